"""Kind and size of an image file, from its first bytes."""

from __future__ import annotations

import re
import struct
from typing import Literal

Kind = Literal["jpeg", "png", "webp", "bmp", "tiff"]
PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"

# Every marker that begins a segment or ends the file, not those that occur within compressed data.
_JPEG_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
# Start-of-frame markers, which hold the size: all of 0xC0 to 0xCF but DHT, JPG and DAC.
_JPEG_SIZE_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_JPEG_RESERVED = range(0x02, 0xC0)
_JPEG_END = 0xD9
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_TILE_WIDTH, _TIFF_TILE_HEIGHT = _TIFF_TAGS = 256, 257, 322, 323


def image_kind(data: bytes) -> Kind | None:
    """Return which of the formats that are read a file has; None for all others."""
    signatures: dict[Kind, tuple[bytes, ...]] = {
        "jpeg": (b"\xff\xd8",),
        "png": (PNG_SIGNATURE,),
        "bmp": (b"BM",),
        "tiff": (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"),
    }
    for kind, beginnings in signatures.items():
        if data.startswith(beginnings):
            return kind
    return "webp" if data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def image_size(data: bytes) -> tuple[int, int] | None:
    """Return height and width that the header of an image file announces; None if it says none."""
    kind = image_kind(data)
    if kind is None:
        return None
    readers = {
        "jpeg": jpeg_size,
        "png": _png_size,
        "webp": _webp_size,
        "bmp": _bmp_size,
        "tiff": _tiff_size,
    }
    try:
        return readers[kind](data)
    except (struct.error, IndexError):
        return None


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return height and width in the header of a JPEG; None if it is none."""
    if not data.startswith(b"\xff\xd8"):
        return None
    at = 2
    while (marker := _JPEG_MARKER.search(data, at)) and marker[0][1] != _JPEG_END:
        at = marker.end()
        if marker[0][1] in _JPEG_SIZE_MARKERS and at + 7 <= len(data):
            height, width = struct.unpack_from(">HH", data, at + 3)
            return height, width
        at += int.from_bytes(data[at : at + 2], "big")
    return None


def is_damaged_jpeg(data: bytes) -> bool:
    """Whether a JPEG ends before its end marker, or has markers that no JPEG has.

    Decoders fill what is missing with grey, and what is overwritten with noise.
    """
    at = 2
    while marker := _JPEG_MARKER.search(data, at):
        at = marker.end()
        if marker[0][1] == _JPEG_END:
            return False
        if marker[0][1] in _JPEG_RESERVED:
            return True
        at += int.from_bytes(data[at : at + 2], "big")
    return True


def _png_size(data: bytes) -> tuple[int, int]:
    width, height = struct.unpack_from(">II", data, 16)
    return height, width


def _webp_size(data: bytes) -> tuple[int, int] | None:
    chunk = data[12:16]
    if chunk == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return height & 0x3FFF, width & 0x3FFF
    if chunk == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if chunk == b"VP8X" and len(data) >= 30:
        width = int.from_bytes(data[24:27], "little") + 1
        return int.from_bytes(data[27:30], "little") + 1, width
    return None


def _bmp_size(data: bytes) -> tuple[int, int]:
    (header,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", data, 18)
    return abs(height), abs(width)


def _tiff_size(data: bytes) -> tuple[int, int] | None:
    order = "<" if data[:2] == b"II" else ">"
    if data[2:4] in (b"+\0", b"\0+"):  # BigTIFF
        (at,) = struct.unpack_from(f"{order}Q", data, 8)
        (count,) = struct.unpack_from(f"{order}Q", data, at)
        at, step, value_at = at + 8, 20, 12
    else:
        (at,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, at)
        at, step, value_at = at + 2, 12, 8
    formats = {1: "B", 3: "H", 4: "I", 16: "Q"}
    found: dict[int, int] = {}
    for _ in range(min(count, len(data) // step)):
        tag, kind = struct.unpack_from(f"{order}HH", data, at)
        if tag in _TIFF_TAGS and kind in formats:
            (found[tag],) = struct.unpack_from(order + formats[kind], data, at + value_at)
        at += step
    if not found.keys() >= {_TIFF_WIDTH, _TIFF_HEIGHT}:
        return None
    # A tile may be larger than the picture, and is decoded as a whole.
    return (
        max(found[_TIFF_HEIGHT], found.get(_TIFF_TILE_HEIGHT, 0)),
        max(found[_TIFF_WIDTH], found.get(_TIFF_TILE_WIDTH, 0)),
    )
