"""JPEG files, decoded by Pillow: OpenCV prints libjpeg's remarks on damaged ones."""

from __future__ import annotations

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

Image.MAX_IMAGE_PIXELS = None  # callers have checked the size by their own limit
_ORIENTATION = 0x0112
_TRANSPOSED, _ROWS_FLIPPED, _COLUMNS_FLIPPED = (5, 6, 7, 8), (3, 4, 7, 8), (2, 3, 6, 7)


def decode_jpeg(data: bytes, reduction: int = 1) -> UInt8[np.ndarray, "h w 3"]:
    """Decode to RGB, turned as the camera noted.

    Args:
        data: The content of the file.
        reduction: 1, 2, 4 or 8: the share of its rows and columns that is decoded.

    Raises:
        Exception: Of many kinds, if it is damaged.
    """
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        orientation = image.getexif().get(_ORIENTATION, 1) if "exif" in image.info else 1
        if reduction > 1:
            image.draft(
                "RGB", (max(1, image.width // reduction), max(1, image.height // reduction))
            )
        pixels = np.asarray(image if image.mode == "RGB" else image.convert("RGB"))
    # Quarter turns and mirrors (Exif 2.32, 4.6.4, Orientation).
    if orientation in _TRANSPOSED:
        pixels = pixels.transpose(1, 0, 2)
    if orientation in _ROWS_FLIPPED:
        pixels = pixels[::-1]
    if orientation in _COLUMNS_FLIPPED:
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
