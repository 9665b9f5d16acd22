"""A batch of scenes: views, point tracks and flow at any time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.data.procedural.imaging.compositor import Composite, LayerStack, composite, foremost
from core.data.procedural.imaging.motion import BodyMotion, CameraMotion, homographies, invert
from core.data.sensor import Sensor, expose


@dataclass(frozen=True)
class SceneViews:
    """``v`` views of each of ``b`` scenes."""

    frames: Float[Tensor, "b v 3 h w"]
    """RGB in [0, 1]."""
    inverse_depths: Float[Tensor, "b v 1 h w"]
    """Inverse depths in the scene's own unit, not normalised."""
    masks: Float[Tensor, "b v 1 h w"]
    """1 where a body that moves on its own is seen, else 0."""
    layers: Int[Tensor, "b v h w"]
    """Which layer of the scene's stack is seen."""


@dataclass(frozen=True)
class Tracks:
    """Where ``n`` points of each of ``b`` scenes are in ``v`` views."""

    points: Float[Tensor, "b v n 2"]
    """Pixel coordinates (u, v); the centre of the upper left pixel is (0, 0)."""
    visible: Bool[Tensor, "b v n"]
    """Whether the point is inside the image and not covered by another layer."""


@dataclass(frozen=True)
class Scenes(ABC):
    """``b`` scenes of textured planes that move before a moving camera, from time 0 to time 1.

    What kinds of scenes share: planes whose points a view shows by a homography each, at any time.
    """

    sensor: Sensor
    """What the camera does to the images."""
    image_size: tuple[int, int]
    """(height, width) of the views in pixels."""

    @abstractmethod
    def _moving(self) -> Bool[Tensor, "b l"]:
        """Return which layers move on their own."""

    @abstractmethod
    def _maps(self, times: Float[Tensor, "b v"]) -> Float[Tensor, "b v l 3 3"]:
        """Map fixed homogeneous coordinates of each layer to those of the views at ``times``."""

    @abstractmethod
    def _foremost(
        self, maps: Float[Tensor, "b v l 3 3"], x: Float[Tensor, "..."], y: Float[Tensor, "..."]
    ) -> Int[Tensor, "b v h w"]:
        """Return which layer is seen at points of the views."""

    @abstractmethod
    def _composite(self, times: Float[Tensor, "b v"]) -> Composite:
        """Return what the pixels of the views show."""

    def render(self, times: Float[Tensor, "b v"]) -> SceneViews:
        """Look at each scene at its own ``times``; gradients are not recorded."""
        with torch.no_grad():
            seen = self._composite(times)
            frames = expose(self.sensor, seen.colors, times)
            return SceneViews(
                frames=frames,
                inverse_depths=seen.inverse_depths[:, :, None],
                masks=self._is_moving(seen)[:, :, None],
                layers=seen.layers,
            )

    def track(
        self,
        points: Float[Tensor, "b n 2"],
        start_times: Float[Tensor, " b"],
        times: Float[Tensor, "b v"],
    ) -> Tracks:
        """Follow what is seen at ``points`` of the views at ``start_times``.

        Args:
            points: Pixel coordinates (u, v), the centre of the upper left pixel is (0, 0).
            start_times: When the points are chosen, one time for each scene.
            times: When they are asked for.

        Returns:
            Exact positions, also of points that are hidden or outside the image.
        """
        with torch.no_grad():
            x, y = self._view_from_pixels(*points[:, None, None].unbind(-1))  # (b, 1, 1, n)
            start, end = self._maps(start_times[:, None]), self._maps(times)
            owners = self._foremost(start, x, y)  # (b, 1, 1, n)
            owners = owners.expand(-1, times.shape[1], -1, -1)
            x, y = _follow(end @ invert(start), owners, x, y)  # (b, v, 1, n)
            uv = self._pixels_from_view(x, y)
            (height, width), (u, v) = self.image_size, uv.unbind(-1)
            inside = (u >= -0.5) & (u < width - 0.5) & (v >= -0.5) & (v < height - 0.5)
            visible = inside & (self._foremost(end, x, y) == owners)
            return Tracks(uv[:, :, 0], visible[:, :, 0])

    def flow(
        self, start_times: Float[Tensor, " b"], end_times: Float[Tensor, " b"]
    ) -> tuple[Float[Tensor, "b h w 2"], Bool[Tensor, "b h w"]]:
        """Return each pixel's displacement between two times in pixels, and what stays visible.

        Args:
            start_times: The time of the frame whose pixels are followed.
            end_times: The time at which they arrive.
        """
        height, width = self.image_size
        device = start_times.device
        v, u = torch.meshgrid(
            torch.arange(height, device=device, dtype=torch.float32),
            torch.arange(width, device=device, dtype=torch.float32),
            indexing="ij",
        )
        pixels = torch.stack([u, v], dim=-1)  # (h, w, 2)
        start = pixels.reshape(1, -1, 2).expand(len(start_times), -1, -1)
        tracks = self.track(start, start_times, end_times[:, None])
        moved = tracks.points[:, 0].unflatten(1, (height, width))
        return moved - pixels, tracks.visible[:, 0].unflatten(1, (height, width))

    def motion_between(
        self, first_times: Float[Tensor, " b"], last_times: Float[Tensor, " b"]
    ) -> Float[Tensor, "b 2 2 g_h g_w"]:
        """Return how what is seen at either time moves until the other one.

        Returns:
            Canonical (x, z) displacements from the first to the last time, then from the last to
            the first, at the centres of blocks of 2 by 2 pixels.
        """
        with torch.no_grad():
            height, width = (side // 2 for side in self.image_size)
            u = 2.0 * torch.arange(width, device=first_times.device) + 0.5
            v = 2.0 * torch.arange(height, device=first_times.device) + 0.5
            x, y = self._view_from_pixels(u, v[:, None])
            maps = self._maps(torch.stack([first_times, last_times], dim=1))
            owners = self._foremost(maps, x, y)
            there_x, there_y = _follow(maps.flip(1) @ invert(maps), owners, x, y)
            # Canonical z is 1 at the upper border, view y is -height / width there.
            rise = (y - there_y) * (self.image_size[1] / self.image_size[0])
            return torch.stack([there_x - x, rise], dim=2)

    def _pixel_centers(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return view coordinates of the columns and of the rows."""
        height, width = self.image_size
        columns = torch.arange(width, device=device, dtype=torch.float32)
        rows = torch.arange(height, device=device, dtype=torch.float32)
        return self._view_from_pixels(columns, rows[:, None])

    def _is_moving(self, seen: Composite) -> Float[Tensor, "b v h w"]:
        flags = self._moving().to(torch.float32)
        return flags.gather(1, seen.layers.flatten(1).long()).view(seen.layers.shape)

    def _view_from_pixels(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        height, width = self.image_size
        return (2.0 * u + 1.0) / width - 1.0, (2.0 * v + 1.0 - height) / width

    def _pixels_from_view(self, x: Tensor, y: Tensor) -> Float[Tensor, "*batch 2"]:
        height, width = self.image_size
        u = ((x + 1.0) * width - 1.0) / 2.0
        v = (y * width + height - 1.0) / 2.0
        return torch.stack([u, v], dim=-1)


@dataclass(frozen=True)
class ProceduralScenes(Scenes):
    """Layered scenes: planes that are painted one over the other."""

    stack: LayerStack
    """The planes, from far to near."""
    camera: CameraMotion
    """How the camera moves."""
    bodies: BodyMotion
    """How each layer moves on its own."""

    def _moving(self) -> Bool[Tensor, "b l"]:
        return self.stack.moving

    def _maps(self, times: Float[Tensor, "b v"]) -> Float[Tensor, "b v l 3 3"]:
        return homographies(self.camera, self.bodies, self.stack.planes, times)

    def _foremost(
        self, maps: Float[Tensor, "b v l 3 3"], x: Float[Tensor, "..."], y: Float[Tensor, "..."]
    ) -> Int[Tensor, "b v h w"]:
        return foremost(self.stack, maps, x, y)

    def _composite(self, times: Float[Tensor, "b v"]) -> Composite:
        return composite(self.stack, self._maps(times), *self._pixel_centers(times.device))


def _follow(
    maps: Float[Tensor, "b v l 3 3"],
    owners: Int[Tensor, "b v h w"],
    x: Float[Tensor, "..."],
    y: Float[Tensor, "..."],
) -> tuple[Float[Tensor, "b v h w"], Float[Tensor, "b v h w"]]:
    # Every point is carried on by the layer that it belongs to.
    index = owners.flatten(2).long()[..., None].expand(-1, -1, -1, 9)
    own = maps.flatten(3).gather(2, index).unflatten(2, owners.shape[2:])  # (b, v, h, w, 9)
    a, b, c, d, e, f, g, h, i = own.unbind(-1)
    scale = g * x + (h * y + i)
    return (a * x + (b * y + c)) / scale, (d * x + (e * y + f)) / scale
