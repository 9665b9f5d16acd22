from __future__ import annotations

import time
from collections.abc import Generator

import numpy as np
import pytest

from core.io.frame_source import Frame, FrameSource
from core.io.streams.paced import PacedSource

PICTURE = np.zeros((2, 2, 3), np.uint8)


class Stored(FrameSource):
    """Frames that are there at once; the last one cannot be had."""

    def __init__(self, *, timed: bool) -> None:
        super().__init__("stored", "skip")
        self._timed = timed

    def _decode(self) -> Generator[Frame, None, None]:
        for index in range(6):
            yield Frame(index, str(index), PICTURE, 0.04 * index if self._timed else None)
        self._broken_off = "stored breaks off"


@pytest.mark.parametrize(("timed", "period"), [(True, 0.04), (False, 1 / 24)])
def test_frames_come_at_their_own_rate(timed: bool, period: float) -> None:
    source = PacedSource(Stored(timed=timed))
    began = time.monotonic()
    frames = list(source)
    # A busy machine may be late, and drop some.
    assert len(frames) + source.dropped == 6
    assert frames[-1].index == 5
    for frame in frames:
        assert frame.time == pytest.approx(period * frame.index)
        assert frame.arrived - began > period * frame.index - 0.005
    assert source.broken_off == "stored breaks off"


def test_a_slow_reader_gets_the_newest() -> None:
    source = PacedSource(Stored(timed=True))
    taken = []
    for frame in source:
        taken.append(frame.index)
        time.sleep(0.11)
    assert taken[0] == 0
    assert taken[-1] == 5
    assert len(taken) + source.dropped == 6
    assert source.dropped >= 2
