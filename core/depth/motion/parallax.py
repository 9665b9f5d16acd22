"""Whether matches show a camera that moves before a static world."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int

from core.depth.motion.camera import Camera
from core.depth.motion.pose import Pose

_ROWS, _COLUMNS = 4, 6
"""Cells of the picture, each of which counts the same; the outermost ones are its border."""
_FEWEST_IN_CELL = 5
_FEWEST_POINTS = 20
_PARALLAX_PX = 0.5
"""Distance from what a homography says, in pixels of the maps, from which on it is parallax; and
from the epipolar line, up to which a pose explains it."""
_CONTRADICTION_PX = 1.0
"""Distance from the epipolar line from which on a match contradicts a pose."""
_ENOUGH, _LITTLE = 0.35, 0.1
_DOUBTFUL, _CONTRADICTED = 0.15, 0.3


@dataclass(frozen=True)
class Parallax:
    """What the border of a picture shows, as shares of its matches."""

    seen: float
    """No homography explains them: the camera does not only turn or zoom, nor see one plane."""
    explained: float
    """No homography does, but the pose does."""
    contradicted: float
    """Far from the epipolar lines of the pose."""

    @property
    def is_enough(self) -> bool:
        """Whether a first pose can rest on it."""
        return self.explained > _ENOUGH and self.contradicted < _DOUBTFUL

    def excels(self, other: Parallax) -> bool:
        """Whether this pose explains more of the same matches than another one does."""
        return self.explained - self.contradicted > other.explained - other.contradicted

    @property
    def is_absent(self) -> bool:
        """Whether the border moves as before a camera that turns, whatever the middle does."""
        return self.seen < _LITTLE

    @property
    def is_contradicted(self) -> bool:
        """Whether what moves is no static world before this camera."""
        return self.contradicted > _CONTRADICTED


def border_parallax(
    first: Float[np.ndarray, "n 2"], second: Float[np.ndarray, "n 2"], pose: Pose, camera: Camera
) -> Parallax:
    """Return what the border shows of parallax.

    A camera that turns or zooms moves the picture of a static world by a homography, whatever its
    focal length. A subject that it follows is in the middle: a pose that explains how the subject
    moves has no support at the border (model selection as by Torr, Fitzgibbon and Zisserman 1999,
    by where matches are in place of how many).

    Args:
        first: Pixels of matches.
        second: Where they are in the other frame.
        pose: From the first camera to the second.
        camera: The camera of both.
    """
    cells = _cells(first, camera)
    border = _is_border(cells)
    if border.sum() < _FEWEST_POINTS:
        return Parallax(0.0, 0.0, 0.0)
    first, second, cells = first[border], second[border], cells[border]
    matrix, _ = cv2.findHomography(
        first, second, method=cv2.USAC_MAGSAC, ransacReprojThreshold=1.0, maxIters=1000
    )
    if matrix is None:
        return Parallax(0.0, 0.0, 1.0)
    moved = cv2.perspectiveTransform(first[None], matrix)[0]
    leaves = np.linalg.norm(moved - second, axis=1) > _PARALLAX_PX
    distance = epipolar_distance(first, second, pose, camera)
    return Parallax(
        seen=_mean_share(leaves, cells),
        explained=_mean_share(leaves & (distance < _PARALLAX_PX), cells),
        contradicted=_mean_share(distance > _CONTRADICTION_PX, cells),
    )


def epipolar_distance(
    first: Float[np.ndarray, "n 2"], second: Float[np.ndarray, "n 2"], pose: Pose, camera: Camera
) -> Float[np.ndarray, " n"]:
    """Return how far matches are from the epipolar geometry of a pose (Sampson), pixels."""
    x, y, z = pose.translation
    essential = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]]) @ pose.rotation
    inverse = np.linalg.inv(camera.matrix)
    fundamental = inverse.T @ essential @ inverse
    a, b = (np.insert(pixels, 2, 1, axis=1) for pixels in (first, second))
    there, back = a @ fundamental.T, b @ fundamental
    slopes = (there[:, :2] ** 2).sum(axis=1) + (back[:, :2] ** 2).sum(axis=1)
    return np.abs((b * there).sum(axis=1)) / np.sqrt(np.maximum(slopes, 1e-20))


def _cells(pixels: Float[np.ndarray, "n 2"], camera: Camera) -> Int[np.ndarray, "n 2"]:
    """Return the row and column of the cell of each pixel."""
    size = np.array([camera.height, camera.width])
    return (pixels[:, ::-1] * [_ROWS, _COLUMNS] / size).astype(int)


def _is_border(cells: Int[np.ndarray, "n 2"]) -> Bool[np.ndarray, " n"]:
    return ((cells == 0) | (cells == [_ROWS - 1, _COLUMNS - 1])).any(axis=1)


def _mean_share(chosen: Bool[np.ndarray, " n"], cells: Int[np.ndarray, "n 2"]) -> float:
    """Return the share of chosen points, the mean of all cells that hold some."""
    index = cells[:, 0] * _COLUMNS + cells[:, 1]
    counts = np.bincount(index, minlength=_ROWS * _COLUMNS)
    hits = np.bincount(index, chosen, minlength=_ROWS * _COLUMNS)
    held = counts >= _FEWEST_IN_CELL
    return float((hits[held] / counts[held]).mean()) if held.any() else 0.0
