"""A batch of perspective scenes: where their rectangles are at any time, and what views show."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.data.procedural.appearance.lighting import Lighting
from core.data.procedural.imaging.compositor import Composite
from core.data.procedural.imaging.motion import CameraMotion, camera_at, quadratic, rotation
from core.data.procedural.perspective.quads import Quads, turn
from core.data.procedural.perspective.raycast import Cutouts, Hits, cast
from core.data.procedural.perspective.shading import Light, Posed, shade
from core.data.procedural.perspective.texture_bank import TextureBank
from core.data.procedural.perspective.world import Viewpoint
from core.data.procedural.scenes import Scenes
from core.types import TensorDataclass

_POINTS_AT_ONCE = {"cpu": 2**17, "cuda": 2**23}
"""Points that are looked at together: what they need stays in the cache, or bounds the memory."""


@dataclass(frozen=True)
class BodyPaths(TensorDataclass):
    """How ``m`` bodies move: quadratics in (time - 0.5); the first stands still."""

    pivots: Float[Tensor, "b m 3"]
    """World coordinates about which they turn."""
    shifts: Float[Tensor, "b m 2 3"]
    """Coefficients of the way in metres."""
    turns: Float[Tensor, "b m 2"]
    """Coefficients of the turn about the vertical in radians."""
    moving: Bool[Tensor, "b m"]
    """Which of them move."""


@dataclass(frozen=True)
class Geometry(TensorDataclass):
    """Where the rectangles of ``b`` scenes are and how camera and bodies move."""

    quads: Quads
    """All rectangles; those with outlines come last."""
    paths: BodyPaths
    """Motion of the bodies."""
    viewpoint: Viewpoint
    """The camera at the reference time."""
    camera: CameraMotion
    """Its motion from there, in its own coordinates at that time."""

    def pose(self, times: Float[Tensor, "b v"]) -> Posed:
        """Return where the rectangles are at ``times``."""
        quads, tau = self.quads, times - 0.5
        index = quads.bodies[:, None].expand(-1, times.shape[1], -1)  # (b, v, p)
        angles = quadratic(self.paths.turns[..., None], tau)[..., 0].gather(2, index)
        ways = quadratic(self.paths.shifts, tau)
        ways = ways.gather(2, index[..., None].expand(-1, -1, -1, 3))
        pivots = self.paths.pivots.gather(1, quads.bodies[..., None].expand(-1, -1, 3))[:, None]

        def turned(vectors: Float[Tensor, "b p 3"]) -> Float[Tensor, "b v p 3"]:
            return turn(angles, vectors.expand(angles.shape[1], *vectors.shape).transpose(0, 1))

        centers = turned(quads.centers - pivots[:, 0]) + pivots + ways
        rights, downs = turned(quads.rights), turned(quads.downs)
        normals = torch.linalg.cross(downs, rights)
        normals = normals / normals.norm(dim=-1, keepdim=True).clamp(min=1e-12)
        axes, shift = self.camera_axes(times)
        maps = axes[:, :, None] @ torch.stack([rights, downs, centers], dim=-1)
        maps[..., 2] += shift[:, :, None]
        return Posed(centers, rights, downs, normals, maps)

    def camera_axes(
        self, times: Float[Tensor, "b v"]
    ) -> tuple[Float[Tensor, "b v 3 3"], Float[Tensor, "b v 3"]]:
        """Return matrix and shift that take world to homogeneous view coordinates."""
        focal = self.viewpoint.focal[:, None, None]
        turned, travelled = camera_at(self.camera, times - 0.5, focal)
        axes = turned @ rotation(self.viewpoint.tilt)[:, None]
        # The camera is at (0, -height, 0).
        return axes, travelled + axes[..., 1] * self.viewpoint.height[:, None, None]


@dataclass(frozen=True)
class PerspectiveScenes(Scenes):
    """Rectangles in space with a depth test at each pixel."""

    geometry: Geometry
    """Rectangles and motion."""
    light: Light
    """What lights them, and the air."""
    lighting: Lighting
    """Tone of the images."""
    bank: TextureBank
    """Textures and outlines."""
    num_cutouts: int
    """How many of the last rectangles have outlines."""

    def _moving(self) -> Bool[Tensor, "b l"]:
        moving = self.geometry.paths.moving.gather(1, self.geometry.quads.bodies)
        return torch.cat([moving, torch.zeros_like(moving[:, :1])], dim=1)

    def _maps(self, times: Float[Tensor, "b v"]) -> Float[Tensor, "b v l 3 3"]:
        # What is hit nowhere lies at infinity and only turns with the camera.
        axes, _ = self.geometry.camera_axes(times)
        return torch.cat([self.geometry.pose(times).maps, axes[:, :, None]], dim=2)

    def _foremost(
        self, maps: Float[Tensor, "b v l 3 3"], x: Float[Tensor, "..."], y: Float[Tensor, "..."]
    ) -> Int[Tensor, "b v h w"]:
        return self._cast(maps[:, :, :-1], x, y).owners

    def _cast(self, maps: Float[Tensor, "b v p 3 3"], x: Tensor, y: Tensor) -> Hits:
        sprites = self.geometry.quads.sprites
        chosen = sprites[:, sprites.shape[1] - self.num_cutouts :]
        return cast(maps, Cutouts(self.bank.sprites, chosen), x, y)

    def _composite(self, times: Float[Tensor, "b v"]) -> Composite:
        height, width = self.image_size
        step = max(1, _POINTS_AT_ONCE[times.device.type] // (times.shape[1] * height * width))
        parts = [
            self._part(slice(start, start + step))._composite_at_once(times[start : start + step])
            for start in range(0, len(times), step)
        ]
        return Composite(
            torch.cat([part.colors for part in parts]),
            torch.cat([part.inverse_depths for part in parts]),
            torch.cat([part.layers for part in parts]),
        )

    def _part(self, rows: slice) -> PerspectiveScenes:
        fields = {name: getattr(self, name) for name in ("sensor", "geometry", "light", "lighting")}
        return PerspectiveScenes(
            **{name: value.select(rows) for name, value in fields.items()},
            image_size=self.image_size, bank=self.bank, num_cutouts=self.num_cutouts,
        )  # fmt: skip

    def _composite_at_once(self, times: Float[Tensor, "b v"]) -> Composite:
        posed = self.geometry.pose(times)
        x, y = self._pixel_centers(times.device)
        half = 1.0 / self.image_size[1]
        corner_x = torch.cat([x - half, x[-1:] + half])
        corner_y = torch.cat([y - half, y[-1:] + half])
        hits = self._cast(posed.maps, x, y)
        centers = self._color(posed, hits, x, y)
        at_corners = self._cast(posed.maps, corner_x, corner_y)
        corners = self._color(posed, at_corners, corner_x, corner_y)
        # Each pixel is half its centre and half the mean of its corners.
        across = corners[..., 1:] + corners[..., :-1]
        colors = centers.lerp(0.25 * (across[..., 1:, :] + across[..., :-1, :]), 0.5)
        return Composite(colors, hits.inverse_depths, hits.owners)

    def _color(self, posed: Posed, hits: Hits, x: Tensor, y: Tensor) -> Float[Tensor, "b v 3 h w"]:
        return shade(
            self.geometry.quads.surfaces, self.light, self.lighting, self.bank, posed, hits,
            x, y, 2.0 / self.image_size[1],
        )  # fmt: skip
