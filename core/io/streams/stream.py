"""Frames that come once: cameras, network streams, standard input."""

from __future__ import annotations

from collections.abc import Iterator

from core.checks import UserError
from core.io.frame_source import Frame, FrameSource, OnError
from core.io.streams.mailbox import every, newest


class StreamSource(FrameSource):
    """A source that can be walked through once; subclasses say how in ``_decode``.

    A *live* one goes on whether its frames are fetched or not: a background thread takes them, and
    each step of the walk gives the newest; those that were overtaken are counted in
    :attr:`dropped`. From the others every frame is taken, and the sender waits.

    Args:
        name: What messages call it.
        live: Whether the newest frame wins.
        on_error: See :class:`FrameSource`.
    """

    def __init__(self, name: str, *, live: bool, on_error: OnError = "skip") -> None:
        super().__init__(name, on_error)
        self.live = live
        self._dropped = 0
        self._walk: Iterator[Frame] | None = None
        self._first: Frame | None = None

    @property
    def is_stream(self) -> bool:
        """Whether it comes once only."""
        return True

    @property
    def dropped(self) -> int:
        """Number of frames that newer ones overtook."""
        return self._dropped

    def peek(self) -> Frame:
        """Wait for the first frame; the walk gives it all the same.

        Raises:
            UserError: If none comes, or it was given already.
        """
        if self._walk is None:
            self._walk = super().__iter__()
            self._first = next(self._walk)
        if self._first is None:
            raise UserError(f"{self.path} can be read only once.")
        return self._first

    def __iter__(self) -> Iterator[Frame]:
        """Give the frames as they come.

        Raises:
            UserError: If no frame at all can be decoded, or the source was walked through before.
        """
        yield self.peek()
        self._first = None
        assert self._walk is not None
        yield from self._walk

    def _ahead(self) -> Iterator[Frame]:
        # Ctrl-C ends a walk also while nothing comes.
        return newest(self._decode(), self._count_drop) if self.live else every(self._decode())

    def _count_drop(self) -> None:
        self._dropped += 1
