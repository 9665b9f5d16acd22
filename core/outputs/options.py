"""Options of what is written; imported without PyTorch, for ``--help``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from core.checks import UserError
from core.export.formats import ExportFormat, SpzVersion
from core.io.video.rates import MAX_FPS, MIN_FPS

CameraName = Literal["input", "perspective", "orbit"]


@dataclass(frozen=True)
class OutputOptions:
    """What is written, and how."""

    fps: float | None = None
    """Frame rate of the videos that are written. By default each frame is shown when the source
    shows it, also where its rate varies; those of a folder 24 times a second."""
    ply_time: float = 0.0
    """Frame index, whole or not, at which the scene is written as PLY: counted from 0 as in
    metrics.json, where frames that were skipped or dropped keep their numbers."""
    orbit_frames: int = 96
    """Frames of one round of the camera in the novel-view video; 0 writes none."""
    horizontal_fov_deg: float = 60.0
    """Field of view that the novel views and the PLY suppose, degrees."""
    scene_grade: Literal["fine", "small"] = "fine"
    """How the scene file is compressed: fine loses nothing that can be seen, small takes about half
    as much."""
    html_frames: bool = True
    """Put the input frames into scene.html, where they are shown beside the scene or over it."""
    export: tuple[ExportFormat, ...] = ()
    """Formats of other programs in which the scene is written, too; those that hold one time at
    ply_time. export.py writes them later, with more options."""

    def __post_init__(self) -> None:
        if self.fps is not None and not MIN_FPS <= self.fps <= MAX_FPS:
            raise UserError(f"--fps is {self.fps:g}; expected a rate from {MIN_FPS} to {MAX_FPS}")
        if not self.ply_time >= 0:
            raise UserError(
                f"--ply_time is {self.ply_time:g}; expected a frame index of at least 0"
            )
        if self.orbit_frames < 0:
            raise UserError(f"--orbit_frames is {self.orbit_frames}; expected at least 0")
        if not 0 < self.horizontal_fov_deg < 180:
            raise UserError(
                f"--horizontal_fov_deg is {self.horizontal_fov_deg:g}; expected degrees between "
                "0 and 180, for example 60"
            )


@dataclass(frozen=True)
class ExportOptions:
    """How scenes are exported."""

    time: float | None = None
    """Seconds at which the scene is written, in formats that hold one time; by default its
    beginning."""
    fps: float | None = None
    """States a second of ply_sequence and rrd; by default the frame rate of the input."""
    fov: float = 60.0
    """Horizontal field of view that the input camera is given, degrees."""
    scale: float = 1.0
    """Length in the file of one unit of depth; the scene spans depths from 0.1 to 5. A viewer that
    hides what is nearer than 0.2 shows all at 10."""
    spz_version: SpzVersion = 3
    """Version of .spz; fewer viewers read 4."""

    def __post_init__(self) -> None:
        if self.time is not None and not math.isfinite(self.time):
            raise UserError(f"--time is {self.time}; expected seconds")
        if self.fps is not None and not MIN_FPS <= self.fps <= MAX_FPS:
            raise UserError(f"--fps is {self.fps:g}; expected a rate from {MIN_FPS} to {MAX_FPS}")
        if not 0 < self.fov < 180:
            raise UserError(f"--fov is {self.fov:g}; expected degrees between 0 and 180")
        if not 1e-3 <= self.scale <= 1e3:
            raise UserError(f"--scale is {self.scale:g}; expected a factor from 0.001 to 1000")
