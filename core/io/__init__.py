"""Files in and out: images, depth maps and weights.

:mod:`core.io.frames` and :mod:`core.io.video` are imported by themselves: they need FFmpeg's
libraries (PyAV), which neither training nor folders of images do.
"""

from core.io.atomic import atomic_path, write_bytes
from core.io.depth_maps import DepthFolder, read_depth, write_depth_png16
from core.io.frame_source import Frame, FrameSource
from core.io.images import list_frames, read_image, write_png
from core.io.weights import read_tensors

__all__ = [
    "DepthFolder",
    "Frame",
    "FrameSource",
    "atomic_path",
    "list_frames",
    "read_depth",
    "read_image",
    "read_tensors",
    "write_bytes",
    "write_depth_png16",
    "write_png",
]
