"""What becomes of rendered frames, one after another."""

from __future__ import annotations

from typing import Protocol

from core.streaming.reconstruct import RenderedFrame


class FrameSink(Protocol):
    """Takes every frame of a clip in order; holds no more than the newest of them."""

    def write(self, frame: RenderedFrame) -> None:
        """Take the next frame."""
        ...

    def finish(self) -> None:
        """Complete the output; at least one frame was written, none follows."""
        ...
