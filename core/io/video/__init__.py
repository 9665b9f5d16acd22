"""Video files, in and out."""

from typing import TYPE_CHECKING

from core.lazy import offer

if TYPE_CHECKING:
    from core.io.video.encoding import VideoWriter, read_video, usual_rate
    from core.io.video.source import VideoSource

__all__ = ["VideoSource", "VideoWriter", "read_video", "usual_rate"]

__getattr__ = offer(
    __name__,
    {
        "core.io.video.encoding": ["VideoWriter", "read_video", "usual_rate"],
        "core.io.video.source": ["VideoSource"],
    },
)
