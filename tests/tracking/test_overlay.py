from __future__ import annotations

import numpy as np
import torch

from core.tracking import PointTracks, TrackOverlay


def tracks(points: list[tuple[float, float]], visible: list[bool]) -> PointTracks:
    places = torch.tensor([points])
    return PointTracks(torch.zeros(1), places, places[..., 0], torch.tensor([visible]))


FRAME = np.full((90, 120, 3), 128, np.uint8)


def drawn(picture: np.ndarray) -> np.ndarray:
    return (picture != 128).any(-1)


def test_discs_rings_and_nothing() -> None:
    nan = float("nan")
    points = [(20.0, 30.0), (60.0, 30.0), (nan, nan), (1e9, 5.0)]
    picture = TrackOverlay().draw(FRAME, tracks(points, [True, False, False, False]))
    assert (FRAME == 128).all()
    marks = drawn(picture)
    assert marks[30, 20]
    assert not marks[30, 60]
    assert marks[30, 57:60].any()
    assert marks[:, 70:].sum() == marks[50:].sum() == 0
    colors = [picture[30, 20], picture[28, 60]]
    assert (colors[0] != colors[1]).any()


def test_trails_reach_back_so_far_and_no_farther() -> None:
    overlay = TrackOverlay(trail=3)
    for step in range(8):
        picture = overlay.draw(FRAME, tracks([(10.0 + 10 * step, 45.0)], [True]))
    marks = drawn(picture)
    assert marks[45, 51:81].all()
    assert not marks[:, :48].any()
