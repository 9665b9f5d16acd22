"""Cropping, zooming and mirroring: one draw a sample, applied alike to frames, depth and masks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

MAX_ZOOM = 1.25
"""Largest factor by which a random crop is tighter than the largest crop."""


@dataclass(frozen=True)
class View:
    """Which part of an image is seen, and whether it is mirrored."""

    zoom: float
    """How much tighter than the largest crop of the wanted aspect ratio; at least 1."""
    across: float
    """Where the crop lies between the left (0) and the right (1) end of its range."""
    down: float
    """Where the crop lies between the upper (0) and the lower (1) end of its range."""
    mirrored: bool
    """Whether left and right are exchanged."""

    @staticmethod
    def centered() -> View:
        """Return the largest crop about the centre, as evaluation sees it."""
        return View(zoom=1.0, across=0.5, down=0.5, mirrored=False)

    @staticmethod
    def draw(generator: np.random.Generator) -> View:
        """Draw a crop (zoom log-uniform up to ``MAX_ZOOM``), mirrored half of the time."""
        return View(
            zoom=float(MAX_ZOOM ** generator.uniform()),
            across=float(generator.uniform()),
            down=float(generator.uniform()),
            mirrored=bool(generator.uniform() < 0.5),
        )

    def apply(
        self, image: np.ndarray, image_size: tuple[int, int], *, nearest: bool = False
    ) -> np.ndarray:
        """Crop an image, resize it to ``image_size`` (h, w) and mirror it.

        Args:
            image: (h, w) or (h, w, c), any size.
            image_size: Height and width of the result; its aspect ratio is that of the crop, up to
                whole pixels, so that nothing is distorted.
            nearest: Take the nearest pixel, for masks; otherwise an area average when the crop
                shrinks, bilinear when it grows.
        """
        height, width = image.shape[:2]
        largest = min(height / image_size[0], width / image_size[1]) / self.zoom
        crop_height = min(max(round(largest * image_size[0]), 1), height)
        crop_width = min(max(round(largest * image_size[1]), 1), width)
        top = round(self.down * (height - crop_height))
        left = round(self.across * (width - crop_width))
        seen = resize(
            image[top : top + crop_height, left : left + crop_width], image_size, nearest=nearest
        )
        return np.ascontiguousarray(seen[:, ::-1]) if self.mirrored else seen


def covering_size(
    height: int, width: int, image_size: tuple[int, int], *, margin: float
) -> tuple[int, int]:
    """Return the size to which an image can shrink and still cover ``margin * image_size``."""
    factor = min(1.0, margin * max(image_size[0] / height, image_size[1] / width))
    return round(height * factor), round(width * factor)


def resize(image: np.ndarray, image_size: tuple[int, int], *, nearest: bool = False) -> np.ndarray:
    """Resize to (h, w): an area average when shrinking, bilinear when growing, or nearest."""
    if image.shape[:2] == tuple(image_size):
        return image
    shrinks = image_size[0] * image_size[1] < image.shape[0] * image.shape[1]
    smooth = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    interpolation = cv2.INTER_NEAREST_EXACT if nearest else smooth
    return cv2.resize(image, (image_size[1], image_size[0]), interpolation=interpolation)
