"""Options of ``render.py``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from core.checks import UserError
from core.io.video.rates import MAX_FPS, MIN_FPS
from core.outputs.options import CameraName

_MAX_SIDE = 8192


@dataclass(frozen=True)
class RenderOptions:
    """Render a scene file again, at any time, size and camera; no network is needed."""

    scene: tyro.conf.Positional[str]
    """A scene file (.ssplat); the folder of splat_inference.py that holds it; or the id of a
    dataset on the Hugging Face hub."""
    output_dir: Path = Path("outputs/render")
    """Where pictures or videos are put; files of the same names are replaced."""
    times: tuple[float, ...] = ()
    """Times in seconds; each becomes time_T.png and its inverse depth depth_T.png, 16 bits, large
    is near. Without times the whole scene becomes video.mp4 and video_depth.mp4."""
    camera: CameraName = "input"
    """input is the orthographic view of the input; perspective a pinhole camera at --eye; orbit one
    that circles the input viewpoint."""
    size: tuple[int, int] | None = None
    """Height and width in pixels, in any proportions; by default those of splat_inference.py."""
    fov: float = 60.0
    """Horizontal field of view of pinhole cameras, degrees."""
    eye: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Place of the perspective camera, right, down and forward of the input viewpoint; in units of
    depth, of which the scene spans 0.1 to 5. It looks at the middle of the scene."""
    orbit_seconds: float = 4.0
    """Scene time in which the orbit camera makes one round."""
    fps: float | None = None
    """Frame rate of the videos; by default that of the input, or 24 where it is not known."""
    slow: float = 1.0
    """Slow motion: 4 shows a quarter of the speed."""
    html: bool = False
    """Write scene.html instead, one file that plays the scene in any browser."""
    device: str = "auto"
    """auto (CUDA if there is one), cpu, cuda or cuda:N."""
    backend: Literal["auto", "reference", "cpu", "cuda"] = "auto"
    """The rasteriser's backend; auto is the one of the device."""

    def __post_init__(self) -> None:
        if not all(math.isfinite(time) for time in self.times):
            raise UserError("--times: expected finite numbers, seconds")
        if self.size is not None and not all(1 <= side <= _MAX_SIDE for side in self.size):
            raise UserError(f"--size: expected height and width from 1 to {_MAX_SIDE} pixels")
        if not 0 < self.fov < 180:
            raise UserError(f"--fov is {self.fov:g}; expected degrees between 0 and 180")
        if not all(math.isfinite(place) and abs(place) <= 100 for place in self.eye):
            raise UserError("--eye: expected three numbers of at most 100")
        if not 0 < self.orbit_seconds < math.inf:
            raise UserError(f"--orbit_seconds is {self.orbit_seconds:g}; expected more than 0")
        if self.fps is not None and not MIN_FPS <= self.fps <= MAX_FPS:
            raise UserError(f"--fps is {self.fps:g}; expected a rate from {MIN_FPS} to {MAX_FPS}")
        if not 0 < self.slow <= 1000:
            raise UserError(f"--slow is {self.slow:g}; expected a factor above 0, at most 1000")
