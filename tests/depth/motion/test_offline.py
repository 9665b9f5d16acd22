"""Depth of whole clips, looked at from both ends."""

from __future__ import annotations

from collections import Counter

import numpy as np

from core.depth.motion.offline.clip_depth import clip_depth
from core.depth.motion.picture import Picture, working_picture
from tests.moving_camera import ExactFlow, View


def _picture(grey: np.ndarray) -> Picture:
    return working_picture(np.repeat(grey[..., None], 3, axis=2))


def test_every_frame_has_depth_from_motion_in_one_unit() -> None:
    """Also the first one, for which forwards there would only be a guess."""
    views = [View(0.14 * i) for i in range(7)]
    flow = ExactFlow(views)
    pictures = [_picture(grey) for grey in flow.pictures]
    found = clip_depth(pictures, fov=60.0, flow=flow)
    assert found is not None
    ratios = [
        depth.inverse_depth.numpy() / view.inverse_depth()
        for depth, view in zip(found, views, strict=True)
    ]
    shares = [np.median(ratio) for ratio in ratios]
    assert max(shares) / min(shares) < 1.06, "all frames are in one unit"
    for ratio, share in zip(ratios, shares, strict=True):
        assert (np.abs(np.log(ratio / share)) < np.log(1.25)).mean() > 0.87


def test_frames_that_are_far_apart_are_matched_once() -> None:
    views = [View(0.02 * i) for i in range(18)]
    exact = ExactFlow(views)
    asked: Counter[tuple[int, int]] = Counter()
    places = {picture.tobytes(): i for i, picture in enumerate(exact.pictures)}

    def flow(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        asked[places[first.tobytes()], places[second.tobytes()]] += 1
        return exact(first, second)

    assert clip_depth([_picture(grey) for grey in exact.pictures], fov=60.0, flow=flow) is not None
    assert set(asked.values()) == {1}
    assert {abs(first - second) for first, second in asked} == {1, 8, 16}


def test_a_clip_without_parallax_has_no_depth() -> None:
    flow = ExactFlow([View(turn=0.02 * i) for i in range(5)])
    pictures = [_picture(grey) for grey in flow.pictures]
    assert clip_depth(pictures, fov=60.0, flow=flow) is None
