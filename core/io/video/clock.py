"""When frames are shown."""

from __future__ import annotations

from fractions import Fraction

_SMALL_STEP = 16
"""Parts of a frame's duration by which a frame follows one of the same time stamp."""
_DISCONTINUITY_S = 1
"""How far back a time stamp jumps where a stream begins to count anew."""


class FrameClock:
    """Makes of time stamps seconds since the first frame, which rise with every frame.

    A frame without a time stamp follows the one before after one frame's duration, one that is not
    later than it shortly after it. Where time stamps begin anew, they continue from there.

    Args:
        fps: Average frame rate; None takes 24.
    """

    def __init__(self, fps: Fraction | None) -> None:
        self._step = 1 / float(fps or 24)
        self._zero: float | None = None
        self._last: float | None = None

    def restart(self) -> None:
        """Learn that the next frame comes from a connection that was opened again."""
        self._zero = None

    def time(self, stamp: Fraction | None) -> float:
        """Return when the next frame is shown.

        Args:
            stamp: Its time stamp in seconds, from any zero; None where it has none.
        """
        following = 0.0 if self._last is None else self._last + self._step
        if stamp is None:
            time = following
        else:
            seconds = float(stamp)
            last = self._last or 0.0
            if self._zero is None or seconds - self._zero < last - _DISCONTINUITY_S:
                self._zero = seconds - following
            time = seconds - self._zero
            if self._last is not None and time <= self._last:
                time = self._last + self._step / _SMALL_STEP
        self._last = time
        return time
