"""Options of ``splat_inference.py``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.checks import UserError

EMBEDDED_MODEL = Path(__file__).parents[1] / "core" / "assets" / "streamsplat-tiny"
"""The weights that come with the code."""


@dataclass(frozen=True)
class InferenceOptions:
    """Reconstruct a video as dynamic 3D Gaussians and show how good it is."""

    input_frames_path: str
    """A folder of frames in natural order of their names; a video file; the number of a camera of
    this computer; a URL that FFmpeg reads (RTSP, HTTP and others); or - for a video on standard
    input."""
    output_dir: Path = Path("outputs")
    """Where videos, scene, scores and the page are put; files of the same names are replaced once
    everything is complete."""
    resume: str = str(EMBEDDED_MODEL)
    """The model: a .safetensors file, a folder with config.json beside it, or a hub id."""
    input_depths_path: Path | None = None
    """Relative inverse depth (large is near), a PNG, EXR or NPY file for each frame. Without it,
    Depth Anything V2 is used if its weights are in checkpoints/, and else no depth."""
    frame_gap: int = 3
    """Distance between key frames; the last frame of a shot always is one."""
    detect_cuts: bool = True
    """Begin anew at scene cuts, so that nothing smears from one shot into the next."""
    max_persistent: int = 0
    """How many Gaussians may outlive their two intervals because something nearer hides them: at
    most four for each pixel of the model's picture."""
    max_frames: int = 0
    """Frames after which to stop; 0 goes on to the end, of an endless source until Ctrl-C."""
    live: Literal["auto", "yes", "no"] = "auto"
    """Whether the newest frame wins when a camera, URL or pipe is faster than the model; auto does
    so for cameras and live URLs. Dropped frames are counted."""
    damaged: Literal["auto", "skip", "stop"] = "auto"
    """What becomes of a frame that cannot be decoded: left out and counted, or the end. auto stops
    at image files, which can be mended, and goes on in videos and streams."""
    fps: float = 24.0
    """Frame rate of the videos that are written."""
    batch_size: int = 1
    """Key frames and pairs of them that are worked on together."""
    device: str = "auto"
    """auto (CUDA if there is one), cpu, cuda or cuda:N."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number type of the networks' matrix products."""
    acceleration: Literal["auto", "none", "graphs", "compile"] = "auto"
    """How the networks run: as they are (none), as recorded CUDA graphs (seconds to start), or
    compiled in parts, too (about a minute to start, fastest). auto takes graphs on a GPU, and none
    elsewhere."""
    fit: Literal["stretch", "crop", "pad"] = "stretch"
    """How frames that are not 16:9 enter the model: changed in proportion, cut or padded. What is
    shown has the proportions of the input."""
    dinov2_path: Path | None = None
    """Weights of DINOv2, for models that need them; by default
    checkpoints/dinov2_vitb14_reg4_pretrain.pth."""
    backend: Literal["auto", "reference", "cpu", "cuda"] = "auto"
    """The rasteriser's backend; auto is the one of the device."""
    ply_time: float = 0.0
    """Frame index, whole or not, at which the scene is written as PLY: counted from 0 as in
    metrics.json, where frames that were skipped or dropped keep their numbers."""
    orbit_frames: int = 96
    """Frames of one round of the camera in the novel-view video; 0 writes none."""
    horizontal_fov_deg: float = 60.0
    """Field of view that the novel views and the PLY suppose, degrees."""

    def __post_init__(self) -> None:
        at_least = {
            "frame_gap": 1,
            "batch_size": 1,
            "orbit_frames": 0,
            "max_frames": 0,
            "max_persistent": 0,
        }
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least {least}")
        if not 0.01 <= self.fps <= 1000:
            raise UserError(f"--fps is {self.fps:g}; expected a rate from 0.01 to 1000")
        if not self.ply_time >= 0:
            raise UserError(
                f"--ply_time is {self.ply_time:g}; expected a frame index of at least 0"
            )
        if not 0 < self.horizontal_fov_deg < 180:
            raise UserError(
                f"--horizontal_fov_deg is {self.horizontal_fov_deg:g}; expected degrees between "
                "0 and 180, for example 60"
            )
