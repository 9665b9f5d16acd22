"""Videos of which every frame is drawn from one rendered frame."""

from __future__ import annotations

from collections.abc import Callable

from jaxtyping import UInt8
from torch import Tensor

from core.streaming.reconstruct import RenderedFrame
from core.geometry.fit import FrameFit
from core.io import VideoWriter

DrawFrame = Callable[[RenderedFrame, FrameFit], UInt8[Tensor, "h w 3"]]


class VideoSink:
    """Draw each frame and append it to a video.

    Args:
        writer: An open video of the size that ``draw`` gives; its owner closes it.
        draw: Makes the picture, see :mod:`core.outputs.pictures`.
        fit: How the clip was fitted to the model.
    """

    def __init__(self, writer: VideoWriter, draw: DrawFrame, fit: FrameFit) -> None:
        self._writer = writer
        self._draw = draw
        self._fit = fit

    def write(self, frame: RenderedFrame) -> None:
        """Append the picture of ``frame``."""
        self._writer.write(self._draw(frame, self._fit))

    def finish(self) -> None:
        """Leave the rest to the owner of the writer."""
