"""Dynamic scenes as recordings of Rerun (https://rerun.io), one state a frame."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from core.checks import UserError
from core.export.optional import require
from core.export.splats import Splats
from core.io.atomic import atomic_path


def write_rerun(path: str | Path, states: Iterable[tuple[float, Splats]]) -> None:
    """Write a recording: axes as COLMAP, the timeline ``time`` in seconds.

    Args:
        path: The file; it appears whole or not at all.
        states: Times in seconds and what is there, in order; one is in memory at a time.

    Raises:
        UserError: If the file cannot be written, or rerun is missing or too old.
    """
    rerun = check_rerun()
    with atomic_path(path) as partial, rerun.RecordingStream("streamsplat") as recording:
        recording.save(partial)
        recording.log("scene", rerun.ViewCoordinates.RDF, static=True)
        for seconds, splats in states:
            rgba = np.column_stack([splats.colors, splats.opacities])
            recording.set_time("time", duration=seconds)
            recording.log(
                "scene/gaussians",
                rerun.GaussianSplats3D(
                    splats.means,
                    scales=splats.scales,
                    quaternions=splats.quats[:, [1, 2, 3, 0]],
                    colors=np.rint(rgba * 255).clip(0, 255).astype(np.uint8),
                ),
            )
        recording.disconnect()


def check_rerun() -> Any:
    """Return the module.

    Raises:
        UserError: If it is missing or too old.
    """
    rerun = require("rerun", "rerun")
    if not hasattr(rerun, "GaussianSplats3D"):
        raise UserError(
            f"rerun {rerun.__version__} has no GaussianSplats3D; install rerun-sdk 0.36 or newer."
        )
    return rerun
