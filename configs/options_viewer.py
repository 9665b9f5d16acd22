"""Options of ``python -m core.viewer``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from configs.options_inference import EMBEDDED_MODEL, check_depth
from core.checks import UserError


@dataclass(frozen=True)
class ViewerOptions:
    """Show a scene in browsers: a result, or a source while it is reconstructed.

    Videos and folders come at their own rate, from when the first browser looks. Frames that come
    faster than the model works are dropped, so that what is seen is never late.
    """

    source: tyro.conf.Positional[str]
    """A folder of splat_inference.py or a .ssplat file; or what is reconstructed: a folder of
    frames, a video file, the number of a camera of this computer, a URL that FFmpeg reads (RTSP,
    HTTP and others), a named pipe, or - for a video on standard input."""
    host: str = "127.0.0.1"
    """Name or IP address at which browsers ask, 0.0.0.0 for all of this computer's. Where others
    can reach it, the address that is printed holds a random token."""
    port: int = 8642
    """Port at which browsers ask; 0 for any that is free."""
    resume: str = str(EMBEDDED_MODEL)
    """The model: a .safetensors file, a folder with config.json beside it, or a hub id."""
    input_depths_path: Path | None = None
    """Relative inverse depth (large is near), a PNG, EXR or NPY file for each frame."""
    depth: Literal["auto", "folder", "model", "motion", "none"] = "auto"
    """Where depth comes from: maps in input_depths_path (folder), Depth Anything V2 if its weights
    are in checkpoints/ (model), the parallax of the moving camera (motion), or the model of resume
    alone (none), which costs no time. auto takes the folder, else the model if it is there, else
    motion."""
    camera_fov: float | None = None
    """Angle of view of the camera along the longer side of its frames, degrees; for motion. By
    default that of the focal length that images or video note, else that which explains the
    matches of the stream."""
    frame_gap: int = 3
    """Distance between key frames. Where the model is much slower than a camera, 1 spreads them
    evenly."""
    detect_cuts: bool = True
    """Begin anew at scene cuts, so that nothing smears from one shot into the next."""
    allow_other_hosts: bool = False
    """Let a playlist from the network lead to other hosts than the one in its URL."""
    max_megapixels: float | None = None
    """Largest picture, of frames and depth maps, that is decoded; by default 40, above 8K."""
    device: str = "auto"
    """auto (CUDA if there is one), cpu, cuda or cuda:N."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number type of the networks' matrix products."""
    acceleration: Literal["auto", "none", "graphs", "compile"] = "auto"
    """How the networks run: as they are (none), as recorded CUDA graphs (seconds to start), or
    compiled in parts, too (a minute or two to start, fastest). auto takes graphs on a GPU, and none
    elsewhere."""
    fit: Literal["stretch", "crop", "pad"] = "stretch"
    """How frames that are not 16:9 enter the model: changed in proportion, cut or padded."""
    dinov2_path: Path | None = None
    """Weights of DINOv2, for models that need them; by default
    checkpoints/dinov2_vitb14_reg4_pretrain.pth."""

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65535:
            raise UserError(f"--port is {self.port}; expected a number from 0 to 65535")
        if self.frame_gap < 1:
            raise UserError(f"--frame_gap is {self.frame_gap}; expected at least 1")
        check_depth(self.depth, self.input_depths_path, self.camera_fov)
