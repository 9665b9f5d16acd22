"""Names of the formats; imported without what writes them, for ``--help``."""

from __future__ import annotations

from typing import Literal, get_args

StillFormat = Literal["ply", "spz", "splat", "sog", "glb"]
DynamicFormat = Literal["ply_sequence", "4dgs", "rrd"]
ExportFormat = Literal[StillFormat, DynamicFormat]
SpzVersion = Literal[3, 4]
STILL_FORMATS: tuple[StillFormat, ...] = get_args(StillFormat)


def file_name(stem: str, kind: ExportFormat) -> str:
    """Return the name of an exported file, or of the folder of a sequence."""
    return f"{stem}_ply" if kind == "ply_sequence" else f"{stem}.{kind}"
