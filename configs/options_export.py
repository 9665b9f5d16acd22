"""Options of ``export.py``."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import tyro

from core.checks import UserError
from core.export.formats import STILL_FORMATS, ExportFormat, file_name
from core.outputs.options import ExportOptions


@dataclass(frozen=True)
class ExportProgramOptions:
    """Write a scene in a format of other programs, lifted to perspective."""

    result: tyro.conf.Positional[str]
    """A scene file (.ssplat); the folder of splat_inference.py that holds it; or the id of a
    dataset on the Hugging Face hub."""
    format: ExportFormat
    """ply, spz, splat, sog and glb hold the scene at one time; ply_sequence, 4dgs and rrd (Rerun)
    all of it over time."""
    output: Path | None = None
    """The file, or for ply_sequence the folder; by default beside the scene file, or here for one
    of the hub."""
    export: tyro.conf.OmitArgPrefixes[ExportOptions] = field(default_factory=ExportOptions)
    """How it is written."""

    def __post_init__(self) -> None:
        if self.export.time is not None and self.format not in STILL_FORMATS:
            raise UserError(f"--time: {self.format} holds the scene at all times")
        if self.export.fps is not None and self.format not in ("ply_sequence", "rrd"):
            raise UserError(f"--fps: {self.format} holds no states at a rate")

    def destination(self, scene: Path) -> Path:
        """Return what is written.

        Args:
            scene: The scene file.

        Raises:
            UserError: If its name is not of the format, so that no other file is overwritten.
        """
        if self.output is None:
            name = file_name(scene.stem, self.format)
            return scene.with_name(name) if Path(self.result).exists() else Path(name)
        suffix = Path(file_name("scene", self.format)).suffix
        if self.output.suffix.lower() != suffix:
            expected = f"a name that ends in {suffix}" if suffix else "a folder without suffix"
            raise UserError(f"--output {self.output}: expected {expected} for {self.format}")
        return self.output
