"""A batch of scenes that can be looked at, and asked where every point goes, at any time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from core.data.procedural.compositor import Composite, LayerStack, composite
from core.data.procedural.motion import BodyMotion, CameraMotion, homographies, invert
from core.data.procedural.sensor import Sensor, expose


@dataclass(frozen=True)
class SceneViews:
    """``v`` views of each of ``b`` scenes."""

    frames: Float[Tensor, "b v 3 h w"]
    """RGB in [0, 1]."""
    inverse_depths: Float[Tensor, "b v 1 h w"]
    """Inverse depths in the scene's own unit, not normalised."""
    masks: Float[Tensor, "b v 1 h w"]
    """1 where a body that moves on its own is seen, else 0."""


@dataclass(frozen=True)
class Tracks:
    """Where ``n`` points of each of ``b`` scenes are in ``v`` views."""

    points: Float[Tensor, "b v n 2"]
    """Pixel coordinates (u, v); the centre of the upper left pixel is (0, 0)."""
    visible: Bool[Tensor, "b v n"]
    """Whether the point is inside the image and not covered by another layer."""


@dataclass(frozen=True)
class ProceduralScenes:
    """``b`` scenes of textured planes that move before a moving camera, from time 0 to time 1."""

    stack: LayerStack
    """The planes, from far to near."""
    camera: CameraMotion
    """How the camera moves."""
    bodies: BodyMotion
    """How each layer moves on its own."""
    sensor: Sensor
    """What the camera does to the images."""
    image_size: tuple[int, int]
    """(height, width) of the views in pixels."""

    def render(self, times: Float[Tensor, "b v"]) -> SceneViews:
        """Look at each scene at its own ``times``; gradients are not recorded."""
        with torch.no_grad():
            height, width = self.image_size
            columns = torch.arange(width, device=times.device, dtype=torch.float32)
            rows = torch.arange(height, device=times.device, dtype=torch.float32)
            x, y = self._view_from_pixels(columns, rows[:, None])
            seen = composite(self.stack, self._homographies(times), x, y)
            frames = expose(self.sensor, seen.colors, times)
            return SceneViews(
                frames=frames,
                inverse_depths=seen.inverse_depths[:, :, None],
                masks=self._is_moving(seen)[:, :, None],
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
            x, y = self._view_from_pixels(points[..., 0], points[..., 1])  # (b, n)
            start = self._homographies(start_times[:, None])
            seen = composite(self.stack, start, x[:, None, None], y[:, None, None])
            owner = seen.layers[:, 0, 0].long()  # (b, n)
            back = invert(start[:, 0])
            onward = self._homographies(times) @ back[:, None]  # (b, v, l, 3, 3)
            onward = onward.gather(
                2, owner[:, None, :, None, None].expand(-1, times.shape[1], -1, 3, 3)
            )
            position = torch.stack([x, y, torch.ones_like(x)], dim=-1)
            moved = (onward @ position[:, None, :, :, None])[..., 0]  # (b, v, n, 3)
            x, y = (moved[..., :2] / moved[..., 2:]).unbind(-1)  # (b, v, n)
            there = composite(self.stack, self._homographies(times), x[:, :, None], y[:, :, None])
            uv = self._pixels_from_view(x, y)
            height, width = self.image_size
            limits = torch.tensor([width - 0.5, height - 0.5], device=uv.device)
            inside = ((uv >= -0.5) & (uv < limits)).all(dim=-1)
            return Tracks(uv, inside & (there.layers[:, :, 0].long() == owner[:, None]))

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
        height, width = (side // 2 for side in self.image_size)
        device = first_times.device
        v, u = torch.meshgrid(
            2.0 * torch.arange(height, device=device) + 0.5,
            2.0 * torch.arange(width, device=device) + 0.5,
            indexing="ij",
        )
        points = torch.stack([u, v], dim=-1).reshape(1, -1, 2).expand(len(first_times), -1, -1)
        to_canonical = torch.tensor([2.0 / self.image_size[1], -2.0 / self.image_size[0]])
        directions = []
        for start, end in ((first_times, last_times), (last_times, first_times)):
            moved = self.track(points, start, end[:, None]).points[:, 0]
            directions.append((moved - points) * to_canonical.to(device))
        return rearrange(torch.stack(directions, dim=1), "b d (h w) xz -> b d xz h w", h=height)

    def _homographies(self, times: Float[Tensor, "b v"]) -> Float[Tensor, "b v l 3 3"]:
        return homographies(self.camera, self.bodies, self.stack.planes, times)

    def _is_moving(self, seen: Composite) -> Float[Tensor, "b v h w"]:
        flags = self.stack.moving.to(torch.float32)
        return flags.gather(1, seen.layers.flatten(1).long()).view(seen.layers.shape)

    def _view_from_pixels(self, u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        height, width = self.image_size
        return (2.0 * u + 1.0) / width - 1.0, (2.0 * v + 1.0 - height) / width

    def _pixels_from_view(self, x: Tensor, y: Tensor) -> Float[Tensor, "*batch 2"]:
        height, width = self.image_size
        u = ((x + 1.0) * width - 1.0) / 2.0
        v = (y * width + height - 1.0) / 2.0
        return torch.stack([u, v], dim=-1)
