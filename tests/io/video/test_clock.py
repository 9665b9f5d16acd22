from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest

from core.io.video.clock import FrameClock


@pytest.mark.parametrize("first", [0, -2, 95443])
def test_times_count_from_the_first_frame(first):
    clock = FrameClock(Fraction(10))
    stamps = [first + Fraction(milliseconds, 1000) for milliseconds in (0, 33, 67, 3000)]
    assert [clock.time(stamp) for stamp in stamps] == pytest.approx([0, 0.033, 0.067, 3.0])


def test_frames_without_times_follow_at_the_frame_rate():
    clock = FrameClock(Fraction(10))
    times = [clock.time(stamp) for stamp in (None, None, Fraction(2, 10), None)]
    assert times[:2] == pytest.approx([0, 0.1])
    assert times[3] == pytest.approx(times[2] + 0.1)
    assert FrameClock(None).time(None) == 0


def test_times_rise_whatever_the_stamps_do():
    clock = FrameClock(Fraction(10))
    stamps = [0, Fraction(1, 10), Fraction(1, 10), Fraction(1, 20), Fraction(2, 10)]
    times = [clock.time(Fraction(stamp)) for stamp in stamps]
    assert all(a < b for a, b in pairwise(times))
    assert times[-1] == pytest.approx(0.2)


def test_stamps_that_begin_anew_continue():
    clock = FrameClock(Fraction(10))
    assert clock.time(Fraction(50)) == 0
    assert clock.time(Fraction(55)) == pytest.approx(5)
    assert clock.time(Fraction(0)) == pytest.approx(5.1)
    assert clock.time(Fraction(1)) == pytest.approx(6.1)
    clock.restart()
    assert clock.time(Fraction(1000)) == pytest.approx(6.2)
