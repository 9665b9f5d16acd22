"""Files in and out: images, videos, depth maps and weights.

:mod:`core.io.frames`, of which ``open_frames`` is offered here too, and :mod:`core.io.video` are
imported when they are asked for: they need FFmpeg's libraries (PyAV), which neither training nor
folders of images do.
"""

from typing import TYPE_CHECKING

from core.io.atomic import atomic_path, write_bytes
from core.io.depth_maps import DepthFolder, read_depth, write_depth_png16
from core.io.frame_source import Frame, FrameSource
from core.io.images import list_frames, read_image, write_png
from core.io.weights import read_tensors
from core.lazy import offer

if TYPE_CHECKING:
    from core.io.frames import open_frames

__all__ = [
    "DepthFolder",
    "Frame",
    "FrameSource",
    "atomic_path",
    "list_frames",
    "open_frames",
    "read_depth",
    "read_image",
    "read_tensors",
    "write_bytes",
    "write_depth_png16",
    "write_png",
]

__getattr__ = offer(__name__, {"core.io.frames": ["open_frames"]})
