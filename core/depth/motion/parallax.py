"""Whether matches show a camera that moves before a static world."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Bool, Float

from core.depth.motion.camera import Camera
from core.depth.motion.pose import Pose

_BORDER = np.pad(np.zeros((2, 4), bool), 1, constant_values=True)
"""Cells of the picture, each of which counts the same; the outermost ones are its border."""
_FEWEST_IN_CELL = 5
_PARALLAX_PX = 0.5
"""Distance from what a homography says, in pixels of the maps, from which on it is parallax; and
from the epipolar line, up to which a pose explains it."""
_CONTRADICTION_PX = 1.0
"""Distance from the epipolar line from which on a match contradicts a pose."""
_ENOUGH, _LITTLE = 0.35, 0.1
_DOUBTFUL, _CONTRADICTED = 0.15, 0.3
_SMALLEST_COVERAGE = 0.35
"""Share of the border that must have matches: sky and plain roads have none."""


@dataclass(frozen=True)
class Parallax:
    """What the border of a picture shows, as shares of its matches."""

    seen: float
    """No homography explains them: the camera does not only turn or zoom, nor see one plane."""
    explained: float
    """No homography does, but the pose does."""
    contradicted: float
    """Far from the epipolar lines of the pose."""
    coverage: float
    """Share of the border that has matches at all."""

    @property
    def is_enough(self) -> bool:
        """Whether a first pose can rest on it."""
        return (
            self.explained > _ENOUGH
            and self.contradicted < _DOUBTFUL
            and self.coverage >= _SMALLEST_COVERAGE
        )

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
    size = np.array([camera.height, camera.width])
    rows, columns = (first[:, ::-1] * _BORDER.shape / size).astype(int).T
    cells = rows * _BORDER.shape[1] + columns
    held = np.bincount(cells, minlength=_BORDER.size) >= _FEWEST_IN_CELL
    held &= _BORDER.ravel()
    coverage = float(held.sum() / _BORDER.sum())
    inside = held[cells]
    if not inside.any():
        return Parallax(0.0, 0.0, 0.0, 0.0)
    first, second, cells = first[inside], second[inside], cells[inside]
    matrix, _ = cv2.findHomography(
        first, second, method=cv2.USAC_MAGSAC, ransacReprojThreshold=1.0, maxIters=1000
    )
    if matrix is None:
        return Parallax(0.0, 0.0, 0.0, 0.0)
    moved = cv2.perspectiveTransform(first[None], matrix)[0]
    leaves = np.linalg.norm(moved - second, axis=1) > _PARALLAX_PX
    distance = epipolar_distance(first, second, pose, camera)

    def share(chosen: Bool[np.ndarray, " n"]) -> float:
        hits = np.bincount(cells, chosen, minlength=len(held))[held]
        return float((hits / np.bincount(cells, minlength=len(held))[held]).mean())

    return Parallax(
        seen=share(leaves),
        explained=share(leaves & (distance < _PARALLAX_PX)),
        contradicted=share(distance > _CONTRADICTION_PX),
        coverage=coverage,
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
