"""PNG files of one channel, which hold masks and depth maps, decoded without OpenCV's slow inflate.

Maps of 1920 x 1080 at 16 bits are most of the time that a training sample takes. ISA-L inflates
them about three times faster than the zlib that OpenCV and Pillow bring, and their usual row
filters are undone by whole rows in NumPy.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from isal import isal_zlib
from jaxtyping import UInt8

from core.checks import UserError
from core.io.images import decode_bytes

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3
_NO_FILTER, _SUB, _UP = 0, 1, 2


@dataclass(frozen=True)
class _Header:
    width: int
    height: int
    bits: int
    kind: int
    interlaced: bool

    @property
    def row_bytes(self) -> int:
        """Bytes of a row without that of its filter."""
        return (self.width * self.bits + 7) // 8


def read_png_values(path: str | Path) -> np.ndarray:
    """Read the values that a PNG stores: grey, or the *indices* of a palette, not its colours.

    Returns:
        (h, w), uint8, or uint16 where the file has 16 bits. Colour comes as OpenCV gives it, BGR or
        BGRA in the last dimension; so do palettes of the rare kinds that OpenCV has to decode
        (interlaced, or with predicting row filters).

    Raises:
        UserError: If the file cannot be read or decoded, for example because it is cut short.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the image {path}: {error.strerror or error}.") from error
    try:
        values = _decode(data)
    except (isal_zlib.IsalError, struct.error, ValueError) as error:
        raise UserError(
            f"cannot decode the image {path}: it is damaged, or not an image; replace or remove "
            "the file."
        ) from error
    return decode_bytes(data, cv2.IMREAD_UNCHANGED, path) if values is None else values


def _decode(data: bytes) -> np.ndarray | None:
    """Decode what is grey or has a palette; None for what is better left to OpenCV.

    Raises:
        ValueError, isal_zlib.IsalError, struct.error: If the file is cut short or damaged.
    """
    if not data.startswith(_SIGNATURE):
        return None
    header, compressed = _read_chunks(data)
    if header.kind not in (_GREY, _PALETTE) or header.interlaced:
        return None
    raw = isal_zlib.decompress(compressed)
    rows = np.frombuffer(raw, np.uint8).reshape(header.height, 1 + header.row_bytes)
    values = _undo_filters(rows, max(header.bits // 8, 1))
    if values is None or header.bits == 8:
        return values
    if header.bits == 16:
        return values.view(">u2").astype(np.uint16)
    return _unpack(values, header)


def _read_chunks(data: bytes) -> tuple[_Header, bytes]:
    at, parts = len(_SIGNATURE), []
    header = None
    while True:
        length, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, bits, color, _, _, interlace = struct.unpack(">IIBBBBB", content)
            header = _Header(width, height, bits, color, interlace != 0)
        elif kind == b"IDAT":
            parts.append(content)
        elif kind == b"IEND":
            break
        at += 12 + length
    if header is None:
        raise ValueError("no header")
    return header, b"".join(parts)


def _undo_filters(
    rows: UInt8[np.ndarray, "h filter_and_row"], stride: int
) -> UInt8[np.ndarray, "h row"] | None:
    """Undo the filters of the rows (PNG specification, section 9); None if one predicts."""
    filters, values = rows[:, 0], rows[:, 1:].copy()
    if (filters > _UP).any():
        return None
    left = filters == _SUB
    if left.all():
        values = _sum_along_rows(values, stride)
    elif left.any():
        values[left] = _sum_along_rows(values[left], stride)
    for row in np.flatnonzero(filters == _UP):
        if row > 0:
            values[row] += values[row - 1]
    return values


def _sum_along_rows(values: UInt8[np.ndarray, "h row"], stride: int) -> UInt8[np.ndarray, "h row"]:
    """Add to each byte, modulo 256, all those before it in steps of ``stride`` (1 or 2)."""
    # Turned on its side, the sum runs over whole rows, which is work for vector instructions.
    turned = cv2.transpose(values.view(np.uint16) if stride == 2 else values)
    columns = turned.view(np.uint8)
    for before, column in pairwise(columns):
        np.add(before, column, out=column)
    return cv2.transpose(turned).view(np.uint8)


def _unpack(values: UInt8[np.ndarray, "h row"], header: _Header) -> UInt8[np.ndarray, "h w"]:
    """Spread pixels of 1, 2 or 4 bits; grey is scaled to 255, indices stay as they are."""
    bits = np.unpackbits(values, axis=1).reshape(header.height, -1, header.bits)
    weights = (1 << np.arange(header.bits)[::-1]).astype(np.uint8)
    spread = (bits * weights).sum(axis=-1, dtype=np.uint8)[:, : header.width]
    return spread * np.uint8(255 // (2**header.bits - 1)) if header.kind == _GREY else spread
