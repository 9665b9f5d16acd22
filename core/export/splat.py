"""Gaussian scenes as .splat files: 32 bytes a Gaussian, as the first WebGL viewer reads them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from core.export.splats import Splats
from core.io.atomic import write_bytes

_RECORD = np.dtype([("mean", "<f4", 3), ("scale", "<f4", 3), ("rgba", "u1", 4), ("quat", "u1", 4)])


def write_splat(path: str | Path, splats: Splats) -> None:
    """Write one scene: axes as COLMAP, the largest and most opaque Gaussians first.

    Colours and opacities are kept in steps of 1/255, quaternion components in steps of 1/128.

    Raises:
        UserError: If the file cannot be written.
    """
    order = np.argsort(-splats.scales.prod(axis=1) * splats.opacities, kind="stable")
    splats = splats.select(order)
    records = np.empty(len(splats), dtype=_RECORD)
    records["mean"] = splats.means
    records["scale"] = splats.scales
    rgba = np.column_stack([splats.colors, splats.opacities])
    records["rgba"] = np.rint(rgba * 255).clip(0, 255)
    records["quat"] = np.rint(splats.quats * 128 + 128).clip(0, 255)
    write_bytes(path, records.tobytes())
