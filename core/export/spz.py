"""Gaussian scenes as .spz files, about a tenth of a PLY file in size.

Layout: https://github.com/nianticlabs/spz. Version 3 is one gzip stream; version 4, which fewer
viewers read, has a Zstandard stream for each attribute.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path

import numpy as np
from isal import igzip

from core.export.formats import SpzVersion
from core.export.optional import require
from core.export.smallest_three import smallest_three
from core.export.splats import Splats
from core.io.atomic import write_bytes

_MAGIC = 0x5053474E
_POSITION_LIMIT = 1 << 23
_ZSTD_LEVEL = 12


def write_spz(path: str | Path, splats: Splats, *, version: SpzVersion = 3) -> None:
    """Write one scene: axes right, up, backward.

    Positions are kept in steps of a 32nd of the size of small Gaussians, scales in steps of 6 %
    from 4.5e-5, colours in steps of 0.0074, opacities of 1/255, rotations in 10 bits.

    Raises:
        UserError: If the file cannot be written, or for version 4 zstandard is not installed.
    """
    splats = splats.upright()
    bits = _fractional_bits(splats)
    sections = [
        _positions(splats.means, bits),
        _bytes(splats.opacities * 255),
        _bytes(splats.harmonics * np.float32(0.15 * 255) + np.float32(127.5)),
        _bytes((np.log(splats.scales) + 10) * 16),
        _rotations(splats.quats),
    ]
    count = len(splats)
    if version == 3:
        header = struct.pack("<IIIBBBB", _MAGIC, version, count, 0, bits, 0, 0)
        data = igzip.compress(b"".join([header, *sections]), compresslevel=3)
    else:
        compressor = require("zstandard", "export").ZstdCompressor(level=_ZSTD_LEVEL)
        streams = [compressor.compress(section) for section in sections]
        header = struct.pack("<IIIBBBBI12x", _MAGIC, version, count, 0, bits, 0, len(streams), 32)
        sizes = [(len(s), len(raw)) for s, raw in zip(streams, sections, strict=True)]
        data = b"".join([header, *(struct.pack("<QQ", *size) for size in sizes), *streams])
    write_bytes(path, data)


def _fractional_bits(splats: Splats) -> int:
    """Return how many bits to keep behind the point: steps of a 32nd of the small Gaussians.

    Each further bit would cost three bits a Gaussian that do not compress. A scene whose extent
    needs more of the 24 bits gets fewer.
    """
    if not len(splats):
        return 12
    bits = math.ceil(math.log2(32 / float(np.quantile(splats.scales, 0.01))))
    extent = float(np.abs(splats.means).max())
    return max(1, min(bits, math.floor(math.log2((_POSITION_LIMIT - 1) / extent))))


def _positions(means: np.ndarray, bits: int) -> bytes:
    fixed = np.rint(means.astype(np.float64) * (1 << bits))
    fixed = fixed.clip(-_POSITION_LIMIT, _POSITION_LIMIT - 1).astype("<i4")
    return fixed.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()


def _bytes(values: np.ndarray) -> bytes:
    return np.rint(values).clip(0, 255).astype(np.uint8).tobytes()


def _rotations(quats: np.ndarray) -> bytes:
    """Pack the index of the largest component and nine bits and a sign for each of the others."""
    largest, others = smallest_three(quats[:, [1, 2, 3, 0]])
    packed = largest.astype("<u4")
    magnitudes = np.rint(np.abs(others) * 511).astype("<u4")
    for k in range(3):
        packed = (packed << 10) | ((others[:, k] < 0).astype("<u4") << 9) | magnitudes[:, k]
    return packed.astype("<u4").tobytes()
