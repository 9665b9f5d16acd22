"""Options of ``splat_inference.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import tyro

from core.checks import UserError
from core.depth.motion.camera.field_of_view import check_fov
from core.outputs.options import OutputOptions

EMBEDDED_MODEL = Path(__file__).parents[1] / "core" / "assets" / "streamsplat-tiny"
"""The weights that come with the code."""


def check_depth(depth: str, folder: Path | None, camera_fov: float | None) -> None:
    """Refuse options of depth that do not go together."""
    check_fov("--camera_fov", camera_fov)
    if depth == "folder" and folder is None:
        raise UserError("--depth folder needs --input_depths_path, a folder of depth maps.")
    if depth not in ("auto", "folder") and folder is not None:
        raise UserError(f"--depth is {depth}, which reads no maps; leave out --input_depths_path.")


@dataclass(frozen=True)
class InferenceOptions:
    """Reconstruct a video as dynamic 3D Gaussians and show how good it is."""

    input_frames_path: str
    """A folder of frames in natural order of their names; a video file; the number of a camera of
    this computer; a URL that FFmpeg reads (RTSP, HTTP and others); a named pipe; or - for a video
    on standard input."""
    output_dir: Path = Path("outputs")
    """Where videos, scene, scores and the page are put; files of the same names are replaced once
    everything is complete."""
    resume: str = str(EMBEDDED_MODEL)
    """The model: a .safetensors file, a folder with config.json beside it, or a hub id."""
    input_depths_path: Path | None = None
    """Relative inverse depth (large is near), a PNG, EXR or NPY file for each frame."""
    depth: Literal["auto", "folder", "model", "motion", "none"] = "auto"
    """Where depth comes from: maps in input_depths_path (folder), Depth Anything V2 if its weights
    are in checkpoints/ (model), the parallax of the moving camera (motion), or the model of resume
    alone (none). auto takes the folder, else the model if it is there, else motion."""
    camera_fov: float | None = None
    """Angle of view of the camera along the longer side of its frames, degrees; for motion. By
    default that of the focal length that images or video note, else that which explains the
    matches of the stream."""
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
    allow_other_hosts: bool = False
    """Let a playlist from the network lead to other hosts than the one in its URL."""
    max_megapixels: float | None = None
    """Largest picture, of frames and depth maps, that is decoded; by default 40, above 8K."""
    batch_size: int = 1
    """Key frames and pairs of them that are worked on together."""
    device: str = "auto"
    """auto (CUDA if there is one), cpu, cuda or cuda:N."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """Number type of the networks' matrix products."""
    acceleration: Literal["auto", "none", "graphs", "compile"] = "auto"
    """How the networks run: as they are (none), as recorded CUDA graphs (seconds to start), or
    compiled in parts, too (a minute or two to start, fastest). auto takes graphs on a GPU, and none
    elsewhere."""
    fit: Literal["stretch", "crop", "pad"] = "stretch"
    """How frames that are not 16:9 enter the model: changed in proportion, cut or padded. What is
    shown has the proportions of the input."""
    dinov2_path: Path | None = None
    """Weights of DINOv2, for models that need them; by default
    checkpoints/dinov2_vitb14_reg4_pretrain.pth."""
    backend: Literal["auto", "reference", "cpu", "cuda"] = "auto"
    """The rasteriser's backend; auto is the one of the device."""
    html: bool = True
    """Write scene.html, which plays the scene in any browser, alone or within the page."""
    outputs: tyro.conf.OmitArgPrefixes[OutputOptions] = field(default_factory=OutputOptions)
    """What is written, and how."""

    def __post_init__(self) -> None:
        at_least = {
            "frame_gap": 1,
            "batch_size": 1,
            "max_frames": 0,
            "max_persistent": 0,
        }
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least {least}")
        check_depth(self.depth, self.input_depths_path, self.camera_fov)

    def check_pool(self, image_size: tuple[int, int]) -> None:
        """Refuse more survivors than a model of this image size has a use for."""
        from core.streaming import largest_pool  # brings PyTorch, which --help has no use for

        most = largest_pool(image_size)
        if self.max_persistent > most:
            raise UserError(
                f"--max_persistent is {self.max_persistent}; expected at most {most} with this "
                "model, four for each pixel of its picture."
            )
