"""Pictures and exact flow of a small scene, whose depth and camera are known."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import torch

from core.depth.motion.camera.pinhole import Camera

_LEAN = 0.7
_HALF_ROOM = 1.1
_PICTURE_SIZE = (96, 128)
_MAP_SIZE = (48, 64)
MAP = Camera.of_fov(*_MAP_SIZE, 60.0)
_CPU = torch.device("cpu")


@dataclass(frozen=True)
class View:
    """Where the camera is, how far it is turned to the right (radians), and where a square is."""

    x: float = 0.0
    turn: float = 0.0
    mover: tuple[float, float] | None = None
    mover_half: float = 0.3
    fov: float = 60.0

    @property
    def camera(self) -> Camera:
        """The camera of the picture."""
        return Camera.of_fov(*_PICTURE_SIZE, self.fov)

    @property
    def rotation(self) -> np.ndarray:
        """From camera axes to those of the world."""
        c, s = np.cos(self.turn), np.sin(self.turn)
        return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])

    def cast(self, camera: Camera) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return surface (0 wall, 1 box, 2 mover), points of the world, and depths."""
        rays = camera.rays(_CPU).permute(1, 2, 0).double().numpy() @ self.rotation.T
        planes = [(4.0, (0.0, 0.0), np.inf), (2.0, (0.3, 0.1), 0.6)]
        if self.mover is not None:
            planes.append((3.0, self.mover, self.mover_half))
        surface = np.zeros(rays.shape[:2], int)
        points = np.zeros(rays.shape)
        depths = np.zeros(rays.shape[:2])
        for index, (z, center, half) in enumerate(planes):
            # The wall goes back to the right, so that its flow is that of no turning camera.
            lean = _LEAN if index == 0 else 0.0
            distance = (z + lean * self.x) / (rays[..., 2] - lean * rays[..., 0])
            at = rays * distance[..., None] + [self.x, 0, 0]
            hit = (np.abs(at[..., :2] - center) < half).all(axis=-1)
            surface[hit], points[hit], depths[hit] = index, at[hit], distance[hit]
            if index == 0:
                # Floor and ceiling, which meet the wall: the border of the picture is no plane.
                distance = _HALF_ROOM / np.maximum(np.abs(rays[..., 1]), 1e-9)
                hit = distance < depths
                at = rays * distance[..., None] + [self.x, 0, 0]
                points[hit], depths[hit] = at[hit], distance[hit]
        return surface, points, depths

    def picture(self) -> np.ndarray:
        """Return grey levels of a texture that is fixed to each surface."""
        surface, points, _ = self.cast(self.camera)
        u, v = points[..., 0] * 40 + 200, (points[..., 1] + points[..., 2]) * 40 + 200
        moved = self.mover or (0.0, 0.0)
        u = np.where(surface == 2, u - 40 * moved[0], u)
        v = np.where(surface == 2, v - 40 * moved[1], v)
        noise = np.random.default_rng(0).uniform(0, 255, (3, 200, 200)).astype(np.float32)
        colors = np.zeros(surface.shape, np.float32)
        for index in range(3):
            fine = cv2.resize(noise[index], (400, 400), interpolation=cv2.INTER_CUBIC)
            seen = cv2.remap(
                fine, u.astype(np.float32) % 400, v.astype(np.float32) % 400, cv2.INTER_LINEAR
            )
            colors = np.where(surface == index, seen, colors)
        return np.clip(colors, 0, 255).astype(np.uint8)

    def inverse_depth(self) -> np.ndarray:
        """Return the true inverse depth at the size of the maps."""
        return 1 / self.cast(Camera.of_fov(*_MAP_SIZE, self.fov))[2]

    def flow(self, other: View) -> np.ndarray:
        """Return where the pixels of the picture are in another one, less where they are here."""
        surface, points, _ = self.cast(self.camera)
        points = points.copy()
        if self.mover is not None and other.mover is not None:
            points[surface == 2, :2] += np.subtract(other.mover, self.mover)
        there = (points - [other.x, 0, 0]) @ other.rotation
        places = self.camera.focal_px[0] * there[..., :2] / there[..., 2:]
        return (places - self.camera.pixels(_CPU).permute(1, 2, 0).numpy()).astype(np.float32)


class ExactFlow:
    """The flow between pictures of views, in place of one that is estimated."""

    def __init__(self, views: list[View]) -> None:
        self.pictures = [view.picture() for view in views]
        self._views = {
            picture.tobytes(): view for picture, view in zip(self.pictures, views, strict=True)
        }

    def __call__(self, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        """Return the displacement of each pixel."""
        return self._views[first.tobytes()].flow(self._views[second.tobytes()])
