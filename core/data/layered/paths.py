"""Draws how layers move: a camera's motion with parallax, each layer's own, and deformation."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from core.data.layered.motion import LayerMaps, apply_affine
from core.data.layered.options import LayeredOptions
from core.data.layered.shapes import Shapes
from core.data.randomness.scene_random import SceneRandom
from core.types import TensorDataclass

_WAVES = 3
_STEP = 1e-3
"""Time over which velocities are measured."""
_STILL, _CAMERA_ONLY, _BOTH, _FOLLOWING = range(4)
_KINDS = (0.25, 0.2, 0.4, 0.15)
"""How often each is drawn: the camera stands still, moves alone, moves as layers do, follows the
foremost of them."""


@dataclass(frozen=True)
class Paths(TensorDataclass):
    """How ``l`` layers of ``b`` samples move from time 0 to time 1.

    At time 0.5 each lies as it was cut out, but for waves that drift. Everything is per clip, in
    view coordinates: half the frame's width is 1, y points downwards.
    """

    pan: Float[Tensor, "b 2"]
    """Motion of the image as a whole."""
    travel: Float[Tensor, "b 2"]
    """Motion of what has inverse depth 1; farther layers move less."""
    zoom: Float[Tensor, "b"]
    """Logarithm of the growth about the frame's centre."""
    roll: Float[Tensor, "b"]
    """Rotation about the frame's centre in radians."""
    camera_bend: Float[Tensor, "b"]
    """Acceleration of the camera: its motion goes with ``tau + bend * tau**2``."""
    planes: Float[Tensor, "b l 3"]
    """Inverse depth at (x, y, 1) of each layer."""
    centers: Float[Tensor, "b l 2"]
    """The points about which layers turn and stretch."""
    shift: Float[Tensor, "b l 2"]
    """Motion of the layers by themselves."""
    spin: Float[Tensor, "b l"]
    """Rotation in radians."""
    stretch: Float[Tensor, "b l 2"]
    """Logarithm of the growth along x and y."""
    shear: Float[Tensor, "b l"]
    """Shift of x with y."""
    bend: Float[Tensor, "b l"]
    """Acceleration of the layers."""
    waves: Float[Tensor, "b l k 5"]
    """Wave vector, phase and largest amplitude of each wave; see :mod:`.motion`."""
    drift: Float[Tensor, "b l k"]
    """Change of the phase; a wave that does not drift swells from one side to the other."""
    exposure: Float[Tensor, "b"]
    """How long a frame is exposed."""

    def at(self, times: Float[Tensor, "b v"]) -> LayerMaps:
        """Return where everything is at ``times``, in [0, 1]."""
        tau = times - 0.5
        camera = tau + self.camera_bend[:, None] * tau**2  # (b, v)
        own = tau[..., None] + self.bend[:, None] * (tau**2)[..., None]  # (b, v, l)
        growth = torch.exp(self.stretch[:, None] * own[..., None])  # (b, v, l, 2)
        turned = _rotation(self.spin[:, None] * own)
        zero, one = torch.zeros_like(own), torch.ones_like(own)
        sheared = _matrix(one, self.shear[:, None] * own, zero, one)
        linear = turned @ (growth[..., None] * sheared)
        moved = self.centers[:, None] - _multiply(linear, self.centers[:, None])
        moved = moved + self.shift[:, None] * own[..., None]
        towards = (self.travel[:, None] * camera[..., None])[:, :, None]  # (b, v, 1, 2)
        linear = linear + towards[..., None] * self.planes[:, None, :, None, :2]
        moved = moved + towards * self.planes[:, None, :, 2:]
        zoomed = torch.exp(self.zoom[:, None] * camera)[..., None, None]
        seen = (zoomed * _rotation(self.roll[:, None] * camera))[:, :, None]  # (b, v, 1, 2, 2)
        linear = seen @ linear
        moved = _multiply(seen, moved) + (self.pan[:, None] * camera[..., None])[:, :, None]
        to_view = torch.cat([linear, moved[..., None]], dim=-1)
        kinds = (to_view, _invert(to_view), self._waves(own))
        return LayerMaps(*(rearrange(values, "b v l i j -> i j b v l") for values in kinds))

    def sweep(self, times: Float[Tensor, "b v"]) -> Float[Tensor, "2 3 b v l"]:
        """Return how far layers pass by points (x, y, 1) of the views while frames are exposed."""
        velocity = (self.at(times + _STEP).from_view - self.at(times).from_view) / _STEP
        return velocity * self.exposure[:, None, None]

    def _waves(self, own: Float[Tensor, "b v l"]) -> Float[Tensor, "b v l k 5"]:
        own = own[..., None]  # (b, v, l, 1)
        vectors, phases, amplitudes = self.waves[:, None].split([2, 1, 2], dim=-1)
        drift = self.drift[:, None]
        size = torch.where(drift == 0, 2.0 * own, 1.0)[..., None]
        phases = phases + (drift * own)[..., None]
        return torch.cat([vectors.expand(*phases.shape[:-1], 2), phases, size * amplitudes], dim=-1)


def draw_paths(
    rng: SceneRandom, shapes: Shapes, present: Bool[Tensor, "b l"], options: LayeredOptions
) -> tuple[Paths, Bool[Tensor, "b l"]]:
    """Draw the motion of each sample so that its longest path has the length drawn for it.

    Args:
        rng: Source of randomness.
        shapes: The layers, from far to near, without the background.
        present: Which layers there are, without the background.
        options: Strengths.

    Returns:
        The motion of the background and of the layers, and which layers move by themselves.
    """
    b, n = present.shape
    kind = rng.choose(_KINDS)
    moving = rng.bernoulli(0.75, n) & (kind != _CAMERA_ONLY)[:, None]
    following = kind == _FOLLOWING
    rows, nearest = torch.arange(b), (present * torch.arange(1, n + 1)).argmax(dim=1)
    moving[rows, nearest] |= following
    paths = _draw_motion(rng, shapes, moving, kind != _STILL, options)
    # The background is layer 0.
    followed, plane = paths.shift[rows, nearest + 1], paths.planes[rows, nearest + 1, 2:]
    paths = replace(
        paths, pan=torch.where(following[:, None], -followed - paths.travel * plane, paths.pan)
    )
    bend = torch.where(following, paths.camera_bend, paths.bend[rows, nearest + 1])
    paths.bend[rows, nearest + 1] = bend
    length = _draw_lengths(rng, options) * torch.where(following, 1.5, 1.0)
    length = length.clamp(max=2.0 * options.max_motion)
    paths = _scale(paths, length, shapes, present, options.height / options.width)
    waves, drift = _draw_waves(rng, n + 1, length, options)
    waves[..., 3:] *= F.pad(moving, (1, 0), value=True)[..., None, None]
    return replace(paths, waves=waves, drift=drift), moving & present & (length > 0)[:, None]


def _draw_motion(
    rng: SceneRandom,
    shapes: Shapes,
    moving: Bool[Tensor, "b l"],
    camera_moves: Bool[Tensor, "b"],
    options: LayeredOptions,
) -> Paths:
    """Draw motion whose parts are in proportion; its size is set later."""
    b, n = moving.shape
    flat = torch.tensor([1.0, 0.5])  # cameras move sideways rather than up and down
    pan = rng.direction() * flat * (rng.uniform(0.0, 1.0) * rng.bernoulli(0.6))[:, None]
    travel = rng.direction() * flat * (rng.uniform(0.3, 1.5) * rng.bernoulli(0.75))[:, None]
    shift = rng.direction(n) * rng.uniform(0.1, 1.0, n)[..., None]
    spin = rng.uniform(-1.0, 1.0, n) * rng.bernoulli(0.5, n)
    stretch = rng.uniform(-0.6, 0.6, n, 2) * rng.bernoulli(0.4, n)[..., None]
    shear = rng.uniform(-0.6, 0.6, n) * rng.bernoulli(0.3, n)

    def own(values: Tensor) -> Tensor:
        """Prepend the background, which does not move by itself."""
        values = values * moving.view(b, n, *[1] * (values.ndim - 2))
        return torch.cat([torch.zeros_like(values[:, :1]), values], dim=1)

    return Paths(
        pan=pan * camera_moves[:, None],
        travel=travel * camera_moves[:, None],
        zoom=rng.uniform(-0.6, 0.6) * rng.bernoulli(0.35) * camera_moves,
        roll=rng.uniform(-0.5, 0.5) * rng.bernoulli(0.25) * camera_moves,
        camera_bend=rng.uniform(-0.3, 0.3),
        planes=_draw_planes(rng, n),
        centers=F.pad(shapes.centers, (0, 0, 1, 0)),
        shift=own(shift),
        spin=own(spin),
        stretch=own(stretch),
        shear=own(shear),
        bend=own(rng.uniform(-0.3, 0.3, n)),
        waves=torch.zeros(b, n + 1, 1, 5),
        drift=torch.zeros(b, n + 1, 1),
        exposure=options.exposure * rng.uniform(0.0, 1.0) * rng.bernoulli(0.3),
    )


def _draw_planes(rng: SceneRandom, n: int) -> Float[Tensor, "b l 3"]:
    """Draw inverse depths that rise from the background to the foremost layer, at most 1."""
    far = rng.uniform(0.15, 0.4)[:, None]
    steps = (torch.arange(n) + rng.uniform(0.1, 0.9, n)) / n
    near = far + 0.1 + (0.9 - far) * steps
    tilts = rng.uniform(-0.05, 0.05, n, 2)
    ground = torch.stack([rng.uniform(-0.1, 0.1), rng.uniform(0.0, 0.2)], dim=-1)
    ground = ground * rng.bernoulli(0.6)[:, None]
    return torch.cat(
        [torch.cat([ground[:, None], tilts], dim=1), torch.cat([far, near], 1)[..., None]], dim=-1
    )


def _draw_lengths(rng: SceneRandom, options: LayeredOptions) -> Float[Tensor, "b"]:
    """Draw the longest path of each sample in half widths: log-logistic, one in twenty still."""
    u = rng.uniform(0.005, 0.995)
    lengths = 2.0 * options.median_motion * (u / (1.0 - u)) ** 0.65
    return lengths * rng.bernoulli(0.95)


def _scale(
    paths: Paths,
    length: Float[Tensor, "b"],
    shapes: Shapes,
    present: Bool[Tensor, "b l"],
    aspect: float,
) -> Paths:
    """Scale all motion so that the longest path of the points of a few places is ``length``."""
    corners = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    frame = corners * torch.tensor([1.0, aspect])
    reach = 0.6 * shapes.radii[..., None, None].clamp(max=0.7)
    places = shapes.centers[:, :, None] + reach * corners  # (b, l, 5, 2)
    places = torch.cat([frame.expand(len(length), 1, -1, -1), places], dim=1)[:, None]
    x, y = places.unbind(-1)
    there = F.pad(present, (1, 0), value=True)
    scaled = paths
    factor = torch.ones_like(length)
    for _ in range(2):  # growth and rotation are not linear
        maps = scaled.at(torch.tensor([[0.0, 1.0]]).expand(len(length), -1))
        seen = torch.stack(apply_affine(maps.to_view[..., None], x, y))  # (2, b, 2, l, 5)
        path = (seen[:, :, 1] - seen[:, :, 0]).norm(dim=0).amax(dim=-1) * there
        factor = factor * length / path.amax(dim=1).clamp(min=1e-3)
        by = factor[:, None]
        scaled = replace(
            paths,
            pan=paths.pan * by,
            travel=paths.travel * by,
            zoom=(paths.zoom * factor).clamp(-0.5, 0.5),
            roll=(paths.roll * factor).clamp(-0.5, 0.5),
            shift=paths.shift * by[..., None],
            spin=(paths.spin * by).clamp(-1.0, 1.0),
            stretch=(paths.stretch * by[..., None]).clamp(-0.5, 0.5),
            shear=(paths.shear * by).clamp(-0.5, 0.5),
        )
    return scaled


def _draw_waves(
    rng: SceneRandom, n: int, length: Float[Tensor, "b"], options: LayeredOptions
) -> tuple[Float[Tensor, "b l k 5"], Float[Tensor, "b l k"]]:
    often = torch.tensor([0.15] + [0.6] * (n - 1))
    waving = rng.uniform(0.0, 1.0, n) < often
    frequency = 2.0 * math.pi / rng.log_uniform(0.25, 2.5, n, _WAVES)
    vectors = rng.direction(n, _WAVES) * frequency[..., None]
    # An amplitude grows by up to 1.15 with the acceleration, see Paths.at.
    strain = options.deformation / 1.15 / _WAVES
    largest = torch.minimum(strain / frequency, 0.5 * length[:, None, None])
    sizes = largest * rng.uniform(0.1, 1.0, n, _WAVES) * waving[..., None]
    amplitudes = rng.direction(n, _WAVES) * sizes[..., None]
    phases = rng.uniform(-math.pi, math.pi, n, _WAVES)
    drift = rng.uniform(-2.0, 2.0, n, _WAVES) * rng.bernoulli(0.3, n)[..., None]
    return torch.cat([vectors, phases[..., None], amplitudes], dim=-1), drift


def _rotation(angles: Float[Tensor, "*batch"]) -> Float[Tensor, "*batch 2 2"]:
    cos, sin = angles.cos(), angles.sin()
    return _matrix(cos, -sin, sin, cos)


def _matrix(a: Tensor, b: Tensor, c: Tensor, d: Tensor) -> Float[Tensor, "*batch 2 2"]:
    return torch.stack([a, b, c, d], dim=-1).unflatten(-1, (2, 2))


def _multiply(
    matrices: Float[Tensor, "*#batch 2 2"], vectors: Float[Tensor, "*#batch 2"]
) -> Float[Tensor, "... 2"]:
    return (matrices * vectors[..., None, :]).sum(dim=-1)


def _invert(affine: Float[Tensor, "*batch 2 3"]) -> Float[Tensor, "*batch 2 3"]:
    (a, b, x), (c, d, y) = (row.unbind(-1) for row in affine.unbind(-2))
    inverse = _matrix(d, -b, -c, a) / (a * d - b * c)[..., None, None]
    shift = -_multiply(inverse, torch.stack([x, y], dim=-1))
    return torch.cat([inverse, shift[..., None]], dim=-1)
