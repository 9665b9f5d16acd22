"""Video files, in and out."""

from core.io.video.encoding import VideoWriter, read_video, usual_rate
from core.io.video.source import VideoSource

__all__ = ["VideoSource", "VideoWriter", "read_video", "usual_rate"]
