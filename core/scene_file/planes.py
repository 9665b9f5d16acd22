"""Planes of integers as lossless WebP images: three planes are the red, green and blue of one."""

from __future__ import annotations

import io
import struct

import numpy as np
from jaxtyping import UInt8
from PIL import (
    Image,
    WebPImagePlugin,  # noqa: F401 (registers WebP; else Pillow imports all of its formats for it)
)

from core.scene_file.records import damaged

_HEAD = struct.Struct("<4sI4s4sIBI")
_VP8L_SIGNATURE = 0x2F
_METHOD = 1
"""Effort of the encoder, 0 to 6. More takes a multiple of the time and saves a few percent."""


def encode_image(
    planes: UInt8[np.ndarray, "h w 3"] | UInt8[np.ndarray, "h w"], *, is_fast: bool = False
) -> bytes:
    """Return the planes as a lossless WebP image without alpha.

    Args:
        planes: Bytes; a single plane stands for three.
        is_fast: Whether to take a third of the time, for up to twice the bytes.
    """
    buffer = io.BytesIO()
    method = 0 if is_fast else _METHOD
    Image.fromarray(planes).save(buffer, "webp", lossless=True, method=method, quality=0)
    return buffer.getvalue()


def decode_image(data: memoryview, size: tuple[int, int], where: str) -> UInt8[np.ndarray, "h w 3"]:
    """Return the planes of an image; its size is read and checked before it is decoded.

    Args:
        data: The bytes of the image.
        size: Height and width that it must have.
        where: What error messages call the file.

    Raises:
        UserError: If it is no lossless WebP image without alpha, of another size, or damaged.
    """
    if len(data) < _HEAD.size:
        raise damaged(where, "an image is cut short")
    riff, length, webp, vp8l, _, signature, bits = _HEAD.unpack(data[: _HEAD.size])
    kind = (riff, webp, vp8l, signature)
    if kind != (b"RIFF", b"WEBP", b"VP8L", _VP8L_SIGNATURE) or length + 8 != len(data):
        raise damaged(where, "an image is not lossless WebP")
    width, height, alpha = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1, bits >> 28 & 1
    if (height, width) != size or alpha:
        kind = "with" if alpha else "without"
        raise damaged(
            where,
            f"an image has {height} by {width} pixels {kind} alpha, not {size[0]} by {size[1]} "
            "without",
        )
    try:
        with Image.open(io.BytesIO(data), formats=["WEBP"]) as image:
            planes = np.asarray(image)
    except Exception as error:  # decoders raise what they like for bytes that are no image
        raise damaged(where, "an image cannot be decoded") from error
    if planes.shape != (*size, 3):
        raise damaged(where, f"an image has planes of shape {planes.shape}")
    return planes
