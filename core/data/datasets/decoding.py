"""Decodes images, masks and depth maps of datasets, no larger than needed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8, UInt16

from core.checks import UserError
from core.data.datasets.resizing import covering_size, resize
from core.io.stills.depth_maps import check_orientation
from core.io.stills.headers import jpeg_size
from core.io.stills.images import decode_image
from core.io.stills.png import read_png_values

_REDUCTIONS = (8, 4, 2)
_UINT8_TO_UINT16 = 257


def decode_image_covering(
    data: bytes, at_least: tuple[int, int], source: str | Path
) -> UInt8[np.ndarray, "h w 3"]:
    """Decode an image to RGB, shrunk to the smallest size that covers ``at_least``.

    A JPEG that is at least twice as large is decoded at a half, a quarter or an eighth of its size.
    An image that does not cover ``at_least`` keeps its size. Grey, CMYK and EXIF orientation are
    handled as by :func:`core.io.stills.images.read_image`.

    Args:
        data: The content of the file.
        at_least: Height and width.
        source: Where it comes from, for the message of an error.

    Raises:
        UserError: If it cannot be decoded.
    """
    reduction = _reduction(data, at_least)
    pixels = decode_image(data, source, reduction)
    height, width = pixels.shape[:2]
    if reduction > 1 and (height < at_least[0] or width < at_least[1]):
        # EXIF orientation exchanged height and width.
        pixels = decode_image(data, source)
        height, width = pixels.shape[:2]
    return resize(pixels, covering_size(height, width, at_least))


def read_mask(path: Path, image_size: tuple[int, int]) -> UInt8[np.ndarray, "h w"]:
    """Read an annotation at ``image_size``: 1 on every object, 0 on the background.

    Raises:
        UserError: If the file cannot be read, or lies on its side.
    """
    values = read_png_values(path)
    check_orientation((values.shape[0], values.shape[1]), image_size, path)
    if values.ndim == 3:
        values = values[..., :3].max(axis=-1)
    return (resize(values, image_size, nearest=True) > 0).astype(np.uint8)


def read_inverse_depth(path: Path, image_size: tuple[int, int]) -> UInt16[np.ndarray, "h w"]:
    """Read a relative inverse depth map of 8 or 16 bits at ``image_size``.

    Returns:
        Large is near; 65535 is the largest value of the file.

    Raises:
        UserError: If the file cannot be read, is a colour picture or lies on its side.
    """
    values = read_png_values(path, at_least=image_size)
    check_orientation((values.shape[0], values.shape[1]), image_size, path)
    if values.ndim == 3:
        colors = values[..., :3]
        if (colors != colors[..., :1]).any():
            raise UserError(
                f"{path} is a colour picture; a depth map is grey (large is near), not "
                "colour-coded."
            )
        values = np.ascontiguousarray(colors[..., 0])
    return as_inverse_depth(values, image_size)


def stack_inverse_depths(
    maps: Sequence[UInt16[np.ndarray, "h w"]],
) -> UInt16[np.ndarray, "v h w"] | None:
    """Stack the maps of a clip; None where one of them is zeros, which stand for "no depth"."""
    return np.stack(maps) if all(depth.any() for depth in maps) else None


def as_inverse_depth(
    values: UInt8[np.ndarray, "h w"] | UInt16[np.ndarray, "h w"], image_size: tuple[int, int]
) -> UInt16[np.ndarray, "h w"]:
    """Convert stored inverse depth of 8 or 16 bits to 16 bits and ``image_size``."""
    if values.dtype == np.uint8:
        values = values.astype(np.uint16) * _UINT8_TO_UINT16
    return resize(values, image_size)


def _reduction(data: bytes, at_least: tuple[int, int]) -> int:
    size = jpeg_size(data)
    if size is not None:
        for divisor in _REDUCTIONS:
            if size[0] // divisor >= at_least[0] and size[1] // divisor >= at_least[1]:
                return divisor
    return 1
