"""Options of what a reconstruction writes; imported without PyTorch, for ``--help``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from core.checks import UserError

StillFormat = Literal["ply", "spz", "splat", "sog", "glb"]
DynamicFormat = Literal["ply_sequence", "4dgs", "rrd"]
ExportFormat = Literal[StillFormat, DynamicFormat]
STILL_FORMATS: tuple[StillFormat, ...] = get_args(StillFormat)


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
        if self.fps is not None and not 0.01 <= self.fps <= 1000:
            raise UserError(f"--fps is {self.fps:g}; expected a rate from 0.01 to 1000")
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
