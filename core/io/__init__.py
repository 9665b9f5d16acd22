"""Images, videos, depth maps and weight files, in and out."""

from core.io.atomic import atomic_path, write_bytes
from core.io.checkpoints import read_tensors
from core.io.depth_maps import DepthFolder, read_depth, write_depth_png16
from core.io.frame_source import Frame, FrameSource
from core.io.frames import open_frames
from core.io.images import list_frames, read_image, write_png
from core.io.video import VideoWriter, read_video

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
