"""PNG files of one channel, which hold masks and depth maps, decoded without OpenCV's slow inflate.

Maps of 1920 x 1080 at 16 bits are most of the time that a training sample takes. ISA-L inflates
them about three times faster than the zlib that OpenCV and Pillow bring, and their usual row
filters are undone by whole rows in NumPy.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from isal import isal_zlib
from jaxtyping import UInt8

from core.checks import UserError
from core.io.images import decode_bytes

# The library's stubs call this class an instance of it.
_InflateError: type[Exception] = isal_zlib.error  # pyright: ignore[reportAssignmentType]
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _PALETTE = 0, 3
_SUB, _UP = 1, 2


@dataclass(frozen=True)
class _Header:
    width: int
    height: int
    bits: int
    kind: int
    interlaced: bool


def read_png_values(path: str | Path, at_least: tuple[int, int] | None = None) -> np.ndarray:
    """Read the values that a PNG stores: grey, or the *indices* of a palette, not its colours.

    Args:
        path: The file.
        at_least: Height and width that the result may shrink to: of a file that is three, five, ...
            times as large only every third, fifth, ... row and column is read, those in the middle
            of what they stand for. None for all.

    Returns:
        (h, w), uint8, or uint16 where the file has 16 bits; grey of fewer than 8 bits is scaled to
        255. Colour comes as OpenCV gives it, BGR or BGRA in the last dimension.

    Raises:
        UserError: If the file cannot be read or decoded, for example because it is cut short.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"cannot read the image {path}: {error.strerror or error}.") from error
    if not data.startswith(_SIGNATURE):
        return decode_bytes(data, cv2.IMREAD_UNCHANGED, path)
    try:
        header, compressed = _read_chunks(data)
        if header.kind not in (_GREY, _PALETTE):
            return decode_bytes(data, cv2.IMREAD_UNCHANGED, path)
        step = 1 if at_least is None else _odd_step(header, at_least)
        raw = isal_zlib.decompress(compressed)
        values = _decode_rows(header, raw, step)
    except (_InflateError, struct.error, ValueError) as error:
        raise UserError(
            f"cannot decode the image {path}: it is damaged, or not an image; replace or remove "
            "the file."
        ) from error
    if values is None:
        values = _decode_with_opencv(header, raw, path)[step // 2 :: step, step // 2 :: step]
    return values


def _odd_step(header: _Header, at_least: tuple[int, int]) -> int:
    step = min(header.height // max(at_least[0], 1), header.width // max(at_least[1], 1))
    return max(step - (step + 1) % 2, 1)


def _decode_rows(header: _Header, raw: bytes, step: int) -> np.ndarray | None:
    """Decode every ``step``-th row and column where rows are of the usual kind; None for others.

    Raises:
        ValueError: If there are fewer or more bytes than the header announces.
    """
    if header.bits < 8 or header.interlaced:
        return None
    stride = header.bits // 8
    rows = np.frombuffer(raw, np.uint8).reshape(header.height, 1 + stride * header.width)
    if (rows[:, 0] <= _SUB).all():
        rows, down = rows[step // 2 :: step], 1  # no row needs another
    else:
        down = step
    values = _undo_filters(rows, stride)
    if values is None:
        return None
    values = values.view(">u2") if stride == 2 else values
    return values[down // 2 :: down, step // 2 :: step].astype(
        np.uint16 if stride == 2 else np.uint8
    )


def _decode_with_opencv(header: _Header, raw: bytes, source: str | Path) -> np.ndarray:
    """Let OpenCV decode inflated rows, of a palette as well: it is told that they are grey."""
    layout = (header.width, header.height, header.bits, _GREY, 0, 0, header.interlaced)
    chunks = [(b"IHDR", struct.pack(">IIBBBBB", *layout)), (b"IDAT", zlib.compress(raw, 0))]
    parts = [_SIGNATURE]
    for kind, content in (*chunks, (b"IEND", b"")):
        check = isal_zlib.crc32(content, isal_zlib.crc32(kind))
        parts += [struct.pack(">I", len(content)), kind, content, struct.pack(">I", check)]
    values = decode_bytes(b"".join(parts), cv2.IMREAD_UNCHANGED, source)
    if header.kind == _PALETTE and header.bits < 8:
        values = values // np.uint8(255 // (2**header.bits - 1))
    return values


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
