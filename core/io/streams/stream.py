"""Sources that can be read once: cameras, network streams, standard input."""

from __future__ import annotations

from collections.abc import Iterator

from core.checks import UserError
from core.io.background import every, newest
from core.io.frame_source import Frame, FrameSource, OnError


class StreamSource(FrameSource):
    """A source that can be read once; subclasses implement ``_decode``.

    A *live* one goes on whether its frames are fetched or not: a background thread reads them, and
    the caller gets the newest each time; those in between are counted in :attr:`dropped`. From the
    others every frame is read, and the sender waits.

    Args:
        name: What messages call it.
        live: Whether the newest frame wins.
        on_error: See :class:`FrameSource`.
    """

    def __init__(self, name: str, *, live: bool, on_error: OnError = "skip") -> None:
        super().__init__(name, on_error)
        self.live = live
        self._dropped = 0
        self._frames: Iterator[Frame] | None = None
        self._first: Frame | None = None

    @property
    def is_stream(self) -> bool:
        """Whether it comes once only."""
        return True

    @property
    def dropped(self) -> int:
        """Number of frames that were replaced by newer ones before they were fetched."""
        return self._dropped

    def peek(self) -> Frame:
        """Wait for the first frame, which iterating gives again.

        Raises:
            UserError: If none comes, or it was given already.
        """
        if self._frames is None:
            self._frames = super().__iter__()
            self._first = next(self._frames)
        if self._first is None:
            raise UserError(f"{self.path} can be read only once.")
        return self._first

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames as they come.

        Raises:
            UserError: If no frame at all can be decoded, or the source was read before.
        """
        yield self.peek()
        self._first = None
        assert self._frames is not None
        yield from self._frames

    def _ahead(self) -> Iterator[Frame]:
        # Ctrl-C works also while nothing comes.
        return newest(self._decode(), self._count_drop) if self.live else every(self._decode())

    def _count_drop(self) -> None:
        self._dropped += 1
