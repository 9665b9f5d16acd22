"""The camera's angle of view, from the focal length that images and videos note.

It is noted as that of a lens with the same diagonal angle of view on 35 mm film (Exif 2.32, 4.6.5,
FocalLengthIn35mmFilm; CIPA DCG-001).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

_FILM_DIAGONAL_MM = math.hypot(36, 24)
_EXIF, _FOCAL_LENGTH_35MM = 0x8769, 0xA405
_VIDEO_KEY = "focal_length.35mm_equivalent"
"""End of the key; phones write com.apple.quicktime.camera. before it."""
_SHORTEST_MM, _LONGEST_MM = 8.0, 2000.0


def field_of_view(focal_mm: float, width: int, height: int) -> float | None:
    """Return the angle of view along the longer side, degrees.

    Args:
        focal_mm: Focal length on 35 mm film; one that no lens has stands for unknown.
        width: Of the picture, in any unit.
        height: See ``width``.
    """
    if not _SHORTEST_MM <= focal_mm <= _LONGEST_MM:
        return None
    half = max(width, height) / math.hypot(width, height) * _FILM_DIAGONAL_MM / 2
    return math.degrees(2 * math.atan(half / focal_mm))


def field_of_view_of_image(path: Path) -> float | None:
    """Return that of an image file, or None where it does not say."""
    try:
        with Image.open(path) as image:
            focal = image.getexif().get_ifd(_EXIF).get(_FOCAL_LENGTH_35MM)
            return None if focal is None else field_of_view(float(focal), *image.size)
    except Exception:  # damaged metadata raise errors of many kinds; the image may be good
        return None


def field_of_view_of_video(metadata: Mapping[str, str], width: int, height: int) -> float | None:
    """Return that of a video from the metadata of its file, or None where they do not say."""
    for key, value in metadata.items():
        if key.endswith(_VIDEO_KEY):
            try:
                return field_of_view(float(value), width, height)
            except ValueError:
                return None
    return None
