"""Resizes and crops frames to the size of the network."""

from __future__ import annotations

import cv2
import numpy as np

_LINEAR_LIMIT = 2.0
"""Largest factor by which bilinear interpolation shrinks without skipping pixels."""


def resize(image: np.ndarray, image_size: tuple[int, int], *, nearest: bool = False) -> np.ndarray:
    """Resize to (h, w): bilinear, an area average where a side more than halves, or nearest.

    Args:
        image: (h, w) or (h, w, c), uint8 or uint16.
        image_size: Height and width of the result.
        nearest: Take the nearest pixel, for masks.
    """
    height, width = image.shape[:2]
    if (height, width) == tuple(image_size):
        return image
    factor = max(height / image_size[0], width / image_size[1])
    smooth = cv2.INTER_LINEAR if factor <= _LINEAR_LIMIT else cv2.INTER_AREA
    interpolation = cv2.INTER_NEAREST_EXACT if nearest else smooth
    return cv2.resize(image, (image_size[1], image_size[0]), interpolation=interpolation)


def covering_size(height: int, width: int, image_size: tuple[int, int]) -> tuple[int, int]:
    """Return the smallest size of the same proportions that covers ``image_size``.

    Never larger than the original: an image that does not cover ``image_size`` keeps its size.
    """
    factor = min(1.0, max(image_size[0] / height, image_size[1] / width))
    if factor == 1.0:
        return height, width
    return max(round(height * factor), image_size[0]), max(round(width * factor), image_size[1])


def crop_center(
    image: np.ndarray, image_size: tuple[int, int], *, nearest: bool = False
) -> np.ndarray:
    """Crop the largest centred part that has the proportions of ``image_size``, and resize it.

    Args:
        image: (h, w) or (h, w, c).
        image_size: Height and width of the result; its proportions are kept up to whole pixels.
        nearest: See :func:`resize`.
    """
    height, width = image.shape[:2]
    largest = min(height / image_size[0], width / image_size[1])
    crop_height = min(max(round(largest * image_size[0]), 1), height)
    crop_width = min(max(round(largest * image_size[1]), 1), width)
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    seen = image[top : top + crop_height, left : left + crop_width]
    return resize(seen, image_size, nearest=nearest)
