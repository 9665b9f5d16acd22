"""A sequence of frames that is decoded while it is iterated over."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from time import monotonic
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from core.checks import UserError
from core.io.background import prefetch
from core.logging import get_logger

_PREFETCHED = 2
_logger = get_logger(__name__)

OnError = Literal["skip", "raise"]


@dataclass(frozen=True)
class Frame:
    """One decoded frame."""

    index: int
    """Place in the source, from 0; skipped frames keep theirs (nearly, around a video's damage)."""
    name: str
    """Stem of the image file; the index in five digits for a video."""
    image: UInt8[np.ndarray, "h w 3"]
    """RGB of BT.709, of square pixels, upright."""
    time: float | None = None
    """Seconds from the first frame, as the source has it; None where it has no clock."""
    arrived: float = field(default_factory=monotonic, compare=False)
    """When it was there, by :func:`time.monotonic`."""


class FrameSource(ABC):
    """Frames of a folder, a video or a stream, one at a time and in constant memory.

    Every ``for`` loop starts at the first frame again, unless the source is a stream. While the
    caller works on one frame, a background thread decodes the next two; it ends with the loop, also
    when that is left early.

    Args:
        path: The folder or file, or what a stream is called.
        on_error: What becomes of a frame that cannot be decoded: ``"skip"`` leaves it out, warns
            and counts it, ``"raise"`` raises a ``UserError``.
    """

    def __init__(self, path: Path | str, on_error: OnError) -> None:
        if on_error not in ("skip", "raise"):
            raise ValueError(f'on_error is {on_error!r}; expected "skip" or "raise".')
        self.path = path
        self.on_error: OnError = on_error
        self._skipped = 0
        self._broken_off: str | None = None

    @property
    def is_stream(self) -> bool:
        """Whether it comes once only, and may never end (a camera, a URL, standard input)."""
        return False

    @property
    def is_timed(self) -> bool:
        """Whether its frames have times; images have none."""
        return False

    @property
    def dropped(self) -> int:
        """Number of frames of a live source that newer ones replaced before they were fetched."""
        return 0

    @property
    def broken_off(self) -> str | None:
        """Why the last pass ended before the end of the source; None where it did not."""
        return self._broken_off

    @property
    def skipped(self) -> int:
        """Number of frames (or broken packets of a video) that the last pass left out."""
        return self._skipped

    @property
    def names(self) -> list[str] | None:
        """Names of all frames in order, unreadable ones too; None if unknown before decoding."""
        return None

    @property
    def num_frames(self) -> int | None:
        """Number of frames, unreadable ones too; None if unknown before decoding (videos)."""
        return None if self.names is None else len(self.names)

    @property
    def expected_frames(self) -> int | None:
        """What a progress bar may expect: ``num_frames``, or what a video's header claims."""
        return self.num_frames

    @property
    def fps(self) -> Fraction | None:
        """Average frame rate in 1/s; None for image folders, which have none."""
        return None

    @property
    def field_of_view(self) -> float | None:
        """Angle of view along the longer side, degrees; None where no metadata tell it."""
        return None

    def peek(self) -> Frame:
        """Return the first frame, which the next pass yields again.

        Raises:
            UserError: If it cannot be decoded.
        """
        return next(iter(self))

    def __iter__(self) -> Iterator[Frame]:
        """Decode from the first frame on.

        Raises:
            UserError: If no frame at all can be decoded; or at the first that cannot, with
                ``on_error="raise"``.
        """
        self._skipped = 0
        self._broken_off = None
        empty = True
        for frame in self._ahead():
            empty = False
            yield frame
        if empty:
            raise UserError(
                f"{self.path}: not one frame can be decoded; is the input damaged, or are its "
                "frames larger than --max_megapixels?"
            )

    def _ahead(self) -> Iterator[Frame]:
        """Decode in the background."""
        return prefetch(self._decode(), _PREFETCHED)

    @abstractmethod
    def _decode(self) -> Generator[Frame, None, None]:
        """Yield the frames; problems go through :meth:`_skip`."""

    def _skip(self, reason: str, count: int = 1, *, quiet: bool = False) -> None:
        """Treat ``count`` frames that cannot be decoded as ``on_error`` says."""
        if self.on_error == "raise":
            raise UserError(reason)
        self._skipped += count
        _logger.log(logging.DEBUG if quiet else logging.WARNING, "skipped: %s", reason)
