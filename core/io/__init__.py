"""Files in and out: images, videos, depth maps and weights.

All names are imported when they are asked for: :mod:`core.io.frames` and :mod:`core.io.video` need
FFmpeg's libraries (PyAV), which neither training nor folders of images do.
"""

from typing import TYPE_CHECKING

from core.lazy import offer

if TYPE_CHECKING:
    from core.io.atomic import atomic_path, write_bytes
    from core.io.frame_source import Frame, FrameSource
    from core.io.frames import open_frames
    from core.io.stills.depth_maps import DepthFolder, read_depth, write_depth_png16
    from core.io.stills.images import list_frames, read_image, write_png
    from core.io.weights import read_tensors

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

__getattr__ = offer(
    __name__,
    {
        "core.io.atomic": ["atomic_path", "write_bytes"],
        "core.io.stills.depth_maps": ["DepthFolder", "read_depth", "write_depth_png16"],
        "core.io.frame_source": ["Frame", "FrameSource"],
        "core.io.frames": ["open_frames"],
        "core.io.stills.images": ["list_frames", "read_image", "write_png"],
        "core.io.weights": ["read_tensors"],
    },
)
