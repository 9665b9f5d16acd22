"""Options of ``export.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from core.checks import UserError
from core.outputs.clip_outputs import SCENE
from core.outputs.scene_exports import STILL_FORMATS, ExportFormat, ExportOptions, file_name


@dataclass(frozen=True)
class ExportProgramOptions:
    """Write a scene in a format of other programs, lifted to perspective."""

    result: tyro.conf.Positional[Path]
    """A scene file (.ssplat), or the folder of splat_inference.py that holds it."""
    format: ExportFormat
    """ply, spz, splat, sog and glb hold the scene at one time; ply_sequence, 4dgs and rrd (Rerun)
    all of it over time."""
    output: Path | None = None
    """The file, or for ply_sequence the folder; by default beside the scene file."""
    export: tyro.conf.OmitArgPrefixes[ExportOptions] = field(default_factory=ExportOptions)
    """How it is written."""

    def __post_init__(self) -> None:
        if self.export.time is not None and self.format not in STILL_FORMATS:
            raise UserError(f"--time: {self.format} holds the scene at all times")
        if self.export.fps is not None and self.format not in ("ply_sequence", "rrd"):
            raise UserError(f"--fps: {self.format} holds no states at a rate")

    @property
    def scene(self) -> Path:
        """The scene file."""
        return self.result / SCENE if self.result.is_dir() else self.result

    def destination(self) -> Path:
        """Return what is written.

        Raises:
            UserError: If its name is not of the format, so that no other file is overwritten.
        """
        if self.output is None:
            return self.scene.with_name(file_name(self.scene.stem, self.format))
        suffix = Path(file_name("scene", self.format)).suffix
        if self.output.suffix.lower() != suffix:
            expected = f"a name that ends in {suffix}" if suffix else "a folder without suffix"
            raise UserError(f"--output {self.output}: expected {expected} for {self.format}")
        return self.output
