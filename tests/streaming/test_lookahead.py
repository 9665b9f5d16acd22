"""With lookahead an interval waits for the key frame after it, and is else the same."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from core.checks import UserError
from core.models import StreamSplat
from core.streaming import Interval, Session

Draw = Callable[[int], np.ndarray]


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("num_frames", [1, 2, 3, 8])
def test_where_nothing_bends_intervals_come_later_and_are_the_same(
    network: StreamSplat, frame: Draw, batch: int, num_frames: int
) -> None:
    def run(lookahead: bool) -> list[list[Interval]]:
        with Session(
            network, frame_gap=2, batch_size=batch, max_persistent=10, lookahead=lookahead
        ) as session:
            pushed = [session.push(frame(i)) for i in range(num_frames)]
            # Two shots: what waits must not reach across the cut.
            return [*pushed, session.end_shot(), session.push(frame(9)), session.end_shot()]

    at_once, later = run(False), run(True)
    if batch == 1 and num_frames == 8:
        assert [len(closed) for closed in at_once] == [0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1]
        assert [len(closed) for closed in later] == [0, 0, 0, 0, 1, 0, 1, 0, 2, 0, 1]
    expected, got = ([i for closed in run_ for i in closed] for run_ in (at_once, later))
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        assert (one.first, one.second, one.opens) == (other.first, other.second, other.opens)
        assert [seen.time for seen in one.frames] == [seen.time for seen in other.frames]
        for name, value in vars(one.gaussians).items():
            assert torch.equal(value, getattr(other.gaussians, name))
        assert (one.ended is None) == (other.ended is None)


def test_what_is_final_can_be_rendered(network: StreamSplat, frame: Draw) -> None:
    with Session(network, lookahead=True) as session:
        windows = []
        for i in range(4):
            session.push(frame(i))
            windows.append(session.window)
        assert windows == [(0, 0), (0, 0), (0, 1), (0, 2)]
        session.end_shot()
        assert session.window == (1, 3)


def test_a_frame_that_cannot_be_used_leaves_what_waits(network: StreamSplat, frame: Draw) -> None:
    def run(bad: bool) -> list[Interval]:
        with Session(network, lookahead=True) as session:
            final = [*session.push(frame(0)), *session.push(frame(1))]
            if bad:
                with pytest.raises(UserError):
                    session.push(frame(2), depth=np.full((36, 72), np.nan, np.float32))
            return [*final, *session.push(frame(2)), *session.end_shot()]

    for one, other in zip(run(True), run(False), strict=True):
        assert torch.equal(one.gaussians.motion, other.gaussians.motion)
