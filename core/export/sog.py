"""Gaussian scenes as SOG files: a zip archive of pictures, about a twentieth of a PLY file.

Layout (version 2): https://developer.playcanvas.com/user-manual/gaussian-splatting/formats/sog/
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

from core.export.codebook import quantize_by_codebook
from core.export.smallest_three import smallest_three
from core.export.splats import Splats
from core.io.atomic import atomic_path

_LEVELS = (1 << 16) - 1


def write_sog(path: str | Path, splats: Splats) -> None:
    """Write one scene: axes as COLMAP.

    Positions are kept in 16 bits of a logarithmic scale over the scene's extent, scales and colours
    as one of 256 values chosen for the scene, opacities in steps of 1/255, rotations in 8 bits.

    Raises:
        UserError: If the file cannot be written.
    """
    logs = np.sign(splats.means) * np.log1p(np.abs(splats.means))
    low, high = logs.min(axis=0, initial=0), logs.max(axis=0, initial=0)
    steps = (logs - low) / np.where(high > low, high - low, 1)
    order = _morton_order(steps)
    splats = splats.select(order)
    positions = np.rint(steps[order] * _LEVELS).astype(np.uint16)
    scale_values, scales = quantize_by_codebook(np.log(splats.scales))
    color_values, colors = quantize_by_codebook(splats.harmonics)
    largest, others = smallest_three(splats.quats)
    quats = np.rint((others + 1) / 2 * 255)
    opacities = np.rint(splats.opacities * 255)
    pictures = {
        "means_l.webp": (positions & 255,),
        "means_u.webp": (positions >> 8,),
        "quats.webp": (quats, 252 + largest),
        "scales.webp": (scales,),
        "sh0.webp": (colors, opacities),
    }
    meta = {
        "version": 2,
        "asset": {"generator": "StreamSplat"},
        "count": len(splats),
        "antialias": False,
        "means": {
            "mins": low.tolist(),
            "maxs": high.tolist(),
            "files": ["means_l.webp", "means_u.webp"],
        },
        "scales": {"codebook": scale_values.tolist(), "files": ["scales.webp"]},
        "quats": {"files": ["quats.webp"]},
        "sh0": {"codebook": color_values.tolist(), "files": ["sh0.webp"]},
    }
    with atomic_path(path) as partial, zipfile.ZipFile(partial, "w") as archive:
        archive.writestr("meta.json", json.dumps(meta))
        for name, channels in pictures.items():
            archive.writestr(name, _lossless_webp(np.column_stack(channels)))


def _morton_order(positions: np.ndarray) -> np.ndarray:
    """Return an order in which neighbours in space are neighbours, by which pictures compress.

    Args:
        positions: In [0, 1].
    """
    codes = np.zeros(len(positions), dtype=np.uint32)
    for axis in range(3):
        bits = (positions[:, axis] * 1023).astype(np.uint32)
        for shift, mask in ((16, 0x30000FF), (8, 0x300F00F), (4, 0x30C30C3), (2, 0x9249249)):
            bits = (bits | (bits << np.uint32(shift))) & np.uint32(mask)
        codes |= bits << np.uint32(axis)
    return np.argsort(codes, kind="stable")


def _lossless_webp(values: np.ndarray) -> bytes:
    """Put one row of up to four bytes a Gaussian into a picture, row by row, the rest 0."""
    count, channels = values.shape
    width = max(4, math.ceil(math.sqrt(count) / 4) * 4)
    height = max(4, math.ceil(count / width / 4) * 4)
    pixels = np.zeros((height * width, 4), dtype=np.uint8)
    pixels[:, 3] = 255
    pixels[:count, :channels] = values
    file = io.BytesIO()
    picture = Image.fromarray(pixels.reshape(height, width, 4))
    # exact: colours are data also where alpha is 0. Method 1 takes half of the default's time.
    picture.save(file, "WEBP", lossless=True, exact=True, method=1, quality=25)
    return file.getvalue()
