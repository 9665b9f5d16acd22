"""Tracks drawn onto frames."""

from __future__ import annotations

import colorsys
from collections import deque

import cv2
import numpy as np
from jaxtyping import UInt8

from core.tracking.tracks import PointTracks

_SHIFT = 4
"""Binary places behind the point that OpenCV draws with."""
_FAR = 10_000.0
"""Pixels beyond which nothing is drawn."""


class TrackOverlay:
    """Draws points with the trails they leave, frame by frame; remembers the trails only.

    Each point has a colour of its own. Visible points are discs, hidden ones rings.

    Args:
        trail: Frames over which a trail reaches back.
    """

    def __init__(self, trail: int = 12) -> None:
        self._trail: deque[np.ndarray] = deque(maxlen=trail + 1)
        self._colors: list[tuple[int, int, int]] = []

    def draw(
        self, frame: UInt8[np.ndarray, "h w 3"], tracks: PointTracks
    ) -> UInt8[np.ndarray, "h w 3"]:
        """Return a copy of ``frame`` with the points on it.

        Args:
            frame: RGB.
            tracks: The same points as in the frames before, at one time, in this frame's pixels.
        """
        points, visible = tracks.points[0].cpu().numpy(), tracks.visible[0].cpu().numpy()
        if not self._colors:
            self._colors = [_color(i, len(points)) for i in range(len(points))]
        self._trail.append(points)
        picture = np.array(frame, order="C")
        radius = max(2.0, min(frame.shape[:2]) / 90)
        history = np.stack(self._trail)  # (frames, n, 2)
        for i, color in enumerate(self._colors):
            line = history[:, i]
            if not (np.abs(line[-1]) < _FAR).all():  # NaN too
                continue
            line = line[(np.abs(line) < _FAR).all(1)]
            cv2.polylines(
                picture, [_fixed(line)], False, color, _width(radius), cv2.LINE_AA, _SHIFT
            )
            center = tuple(_fixed(line[-1]).tolist())
            size, thickness = round(radius * 2**_SHIFT), -1 if visible[i] else _width(radius)
            cv2.circle(picture, center, size, color, thickness, cv2.LINE_AA, _SHIFT)
        return picture


def _width(radius: float) -> int:
    return max(1, round(radius / 2.5))


def _fixed(places: np.ndarray) -> np.ndarray:
    return np.round(places * 2**_SHIFT).astype(np.int32)


def _color(index: int, count: int) -> tuple[int, int, int]:
    """Return one of ``count`` hues, bright."""
    red, green, blue = colorsys.hsv_to_rgb(index / count, 0.85, 1.0)
    return round(255 * red), round(255 * green), round(255 * blue)
