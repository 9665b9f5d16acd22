"""Dynamic scenes as recordings of Rerun (https://rerun.io), one state a frame."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from core.checks import UserError
from core.export.optional import require
from core.export.placement import Placement
from core.export.timed_scene import TimedScene, frames_of
from core.io.atomic import atomic_path

_EXTRA = "rerun"


def write_rerun(
    path: str | Path, scenes: Iterable[TimedScene], placement: Placement, fps: float
) -> int:
    """Write a recording: axes as COLMAP, the timeline ``time`` in seconds.

    Args:
        path: The file; it appears whole or not at all.
        scenes: Intervals in order of time; each is read once.
        placement: The way out of canonical space.
        fps: States a second.

    Returns:
        How many states were written.

    Raises:
        UserError: If the file cannot be written, or rerun is missing or too old.
    """
    rerun = require("rerun", _EXTRA)
    if not hasattr(rerun, "GaussianSplats3D"):
        raise UserError(
            f"rerun {rerun.__version__} has no GaussianSplats3D; install rerun-sdk 0.36 or newer."
        )
    count = 0
    with atomic_path(path) as partial, rerun.RecordingStream("streamsplat") as recording:
        recording.save(partial)
        recording.log("scene", rerun.ViewCoordinates.RDF, static=True)
        for seconds, scene in frames_of(scenes, fps):
            splats = placement.splats(scene.gaussians, scene.pair_time(seconds))
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
            count += 1
        recording.disconnect()
    return count
