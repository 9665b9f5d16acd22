"""PNG files of one channel, which hold masks and depth maps, decoded without OpenCV's slow inflate.

Maps of 1920 x 1080 at 16 bits are most of the time that a training sample takes: ISA-L inflates
them, and their usual row filters are undone by whole rows in NumPy.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from core.io.reading import read_file
from core.io.stills.headers import PNG_SIGNATURE
from core.io.stills.images import decode_png, decode_values, open_png
from core.io.stills.png_stream import GREY, PALETTE, PngStream

_SUB, _UP = 1, 2


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
    data = read_file(path, "image")
    if not data.startswith(PNG_SIGNATURE):
        return decode_values(data, path)
    stream = open_png(data, path)
    if stream.color not in (GREY, PALETTE):
        return decode_png(stream, path)
    step = 1 if at_least is None else _odd_step(stream, at_least)
    values = _decode_rows(stream, step)
    if values is None:
        values = _decode_with_opencv(stream, path)[step // 2 :: step, step // 2 :: step]
    return values


def _odd_step(png: PngStream, at_least: tuple[int, int]) -> int:
    step = min(png.height // max(at_least[0], 1), png.width // max(at_least[1], 1))
    return max(step - (step + 1) % 2, 1)


def _decode_rows(png: PngStream, step: int) -> np.ndarray | None:
    """Decode every ``step``-th row and column where rows are of the usual kind; None for others."""
    if png.bits < 8 or png.interlaced:
        return None
    stride = png.bits // 8
    rows = np.frombuffer(png.rows, np.uint8).reshape(png.height, 1 + stride * png.width)
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


def _decode_with_opencv(png: PngStream, source: str | Path) -> np.ndarray:
    """Let OpenCV decode the rows, of a palette as well: it is told that they are grey."""
    values = decode_png(png, source, as_grey=True)
    if png.color == PALETTE and png.bits < 8:
        values = values // np.uint8(255 // (2**png.bits - 1))
    return values


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
