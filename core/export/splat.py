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
    records = np.empty(len(splats), dtype=_RECORD)
    records["mean"] = splats.means
    records["scale"] = splats.scales
    records["rgba"][:, :3] = _to_bytes(splats.colors * 255)
    records["rgba"][:, 3] = _to_bytes(splats.opacities * 255)
    records["quat"] = _to_bytes(splats.quats * 128 + 128)
    volumes = splats.scales[:, 0] * splats.scales[:, 1] * splats.scales[:, 2]
    write_bytes(path, records[np.argsort(-volumes * splats.opacities)].tobytes())


def _to_bytes(values: np.ndarray) -> np.ndarray:
    return (values + 0.5).clip(0, 255).astype(np.uint8)
