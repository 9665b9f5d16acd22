"""Images, videos, depth maps and weight files, in and out.

What reads or writes videos is imported on first use: it needs FFmpeg's libraries (PyAV), which
neither training nor folders of frames do.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from core.io.atomic import atomic_path, write_bytes
from core.io.depth_maps import DepthFolder, read_depth, write_depth_png16
from core.io.frame_source import Frame, FrameSource
from core.io.images import list_frames, read_image, write_png
from core.io.weights import read_tensors

if TYPE_CHECKING:
    from core.io.frames import open_frames
    from core.io.video.encoding import VideoWriter, read_video

__all__ = [
    "DepthFolder",
    "Frame",
    "FrameSource",
    "VideoWriter",
    "atomic_path",
    "list_frames",
    "open_frames",
    "read_depth",
    "read_image",
    "read_tensors",
    "read_video",
    "write_bytes",
    "write_depth_png16",
    "write_png",
]

_ON_FIRST_USE = {
    "VideoWriter": "core.io.video.encoding",
    "open_frames": "core.io.frames",
    "read_video": "core.io.video.encoding",
}


def __getattr__(name: str) -> Any:
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_ON_FIRST_USE[name]), name)
