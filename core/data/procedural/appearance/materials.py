"""Materials: a pattern in the colours of a palette, with natural detail and a relief."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from einops import einsum, rearrange
from jaxtyping import Float, Int
from torch import Tensor

from core.data.procedural.appearance.patterns import PATTERNS, PatternInputs
from core.data.procedural.records import Rows, take_rows
from core.data.randomness.scene_random import SceneRandom
from core.types import HOST, TensorDataclass


@dataclass(frozen=True)
class Materials(TensorDataclass):
    """``n`` materials."""

    pattern: Int[Tensor, " n"] = field(metadata=HOST)
    """Position in PATTERNS; stays on the CPU, where rows are sorted by it."""
    palette: Float[Tensor, "n 4 3"]
    """Base, dark, light and accent colour."""
    angle: Float[Tensor, " n"]
    """Direction of the pattern, radians."""
    period: Float[Tensor, " n"]
    """Period of the pattern, in pixels of the reference view."""
    warp: Float[Tensor, " n"]
    """How far random fields displace the pattern, in periods."""
    detail: Float[Tensor, " n"]
    """Deviation of the logarithm of brightness that the rough field causes."""
    tint: Float[Tensor, " n"]
    """The same for the difference between red and blue."""
    relief: Float[Tensor, " n"]
    """How much the slope of the rough field catches the light."""
    params: Float[Tensor, "n 4"]
    """Numbers in [0, 1], which each pattern uses differently."""
    keys: Int[Tensor, " n"]
    """Keys of the random fields."""
    exponents: Float[Tensor, "n 2"]
    """Spectral exponents of the rough and of the smooth fields."""


def draw_materials(
    rng: SceneRandom, palettes: Float[Tensor, "b n 4 3"], weights: list[float], width: int
) -> Materials:
    """Draw one material for each palette; the rows of all scenes are joined, scene by scene.

    Args:
        rng: Random generator of the scenes.
        palettes: Colours.
        weights: How often each of PATTERNS is to be chosen.
        width: Width of the image in pixels, which sets the unit of the periods.
    """
    n = palettes.shape[1]
    bend = rng.uniform(0.0, 0.5, n) * rng.bernoulli(0.4, n)
    values = {
        "pattern": rng.choose(weights, n),
        "palette": palettes,
        "angle": torch.where(
            rng.bernoulli(0.5, n), rng.uniform(-0.08, 0.08, n), rng.uniform(-1.6, 1.6, n)
        ),
        "period": rng.log_uniform(0.012, 0.12, n) * width,
        "warp": bend,
        "detail": 0.03 + 0.25 * rng.uniform(0.0, 1.0, n) ** 2,
        "tint": 0.12 * rng.uniform(0.0, 1.0, n) ** 2,
        "relief": 0.4 * rng.uniform(0.0, 1.0, n) ** 2,
        "params": rng.uniform(0.0, 1.0, n, 4),
        "keys": rng.keys(n),
        "exponents": torch.stack([rng.uniform(1.8, 3.0, n), rng.uniform(2.8, 4.2, n)], dim=-1),
    }
    return Materials(
        **{name: rearrange(value, "b n ... -> (b n) ...") for name, value in values.items()}
    )


def paint(
    materials: Materials,
    chart: Float[Tensor, "n 2 h w"],
    footprint: Float[Tensor, "n h w"],
    random_fields: Float[Tensor, "n 4 h w"],
    light: Float[Tensor, "n 2"],
) -> Float[Tensor, "n 3 h w"]:
    """Paint surfaces: colours of :func:`pattern_layers`, of which the arguments are."""
    layers = pattern_layers(materials, chart, footprint, random_fields, light)
    color = einsum(layers[:, :4], materials.palette, "n k h w, n k c -> n c h w")
    return color * gains(layers[:, 4], layers[:, 5], dim=1)


def gains(
    brightness: Float[Tensor, "*shape"], tint: Float[Tensor, "*shape"], *, dim: int
) -> Float[Tensor, "..."]:
    """Return the factors on RGB, along a new axis ``dim``, of the last two pattern layers."""
    exponents = torch.stack([brightness + tint, brightness, brightness - tint], dim=dim)
    return exponents.clamp(-2.0, 0.9).exp()


def pattern_layers(
    materials: Materials,
    chart: Float[Tensor, "n 2 h w"],
    footprint: Float[Tensor, "n h w"],
    random_fields: Float[Tensor, "n 4 h w"],
    light: Float[Tensor, "n 2"],
) -> Float[Tensor, "n 6 h w"]:
    """Make what surfaces are painted from, whatever their palette.

    Args:
        materials: What they are made of.
        chart: Coordinates on each surface, in pixels of the reference view.
        footprint: Extent of a pixel of the reference view in the unit of the chart.
        random_fields: Two rough and two smooth fields of unit deviation.
        light: Direction towards the light, in the image; its length is the light's strength.

    Returns:
        Weights of the palette's colours, then the logarithm of the brightness and of the ratio of
        red to green and of green to blue.
    """
    weights = _pattern_weights(materials, chart, footprint, random_fields)
    rough, other = random_fields[:, :2].unbind(1)
    slope_x = rough.roll(-1, -1) - rough.roll(1, -1)
    slope_y = rough.roll(-1, -2) - rough.roll(1, -2)
    lit = light[:, 0, None, None] * slope_x + light[:, 1, None, None] * slope_y
    brightness = materials.detail[:, None, None] * rough + materials.relief[:, None, None] * lit
    tint = materials.tint[:, None, None] * other
    return torch.cat([weights, brightness[:, None], tint[:, None]], dim=1)


def _pattern_weights(
    materials: Materials,
    chart: Float[Tensor, "n 2 h w"],
    footprint: Float[Tensor, "n h w"],
    random_fields: Float[Tensor, "n 4 h w"],
) -> Float[Tensor, "n 4 h w"]:
    period = materials.period[:, None, None]
    cos, sin = materials.angle.cos()[:, None, None], materials.angle.sin()[:, None, None]
    x, y = chart[:, 0] / period, chart[:, 1] / period
    warp = materials.warp[:, None, None]
    u = cos * x + sin * y + warp * random_fields[:, 2]
    v = cos * y - sin * x + warp * random_fields[:, 3]
    footprint = (footprint / period).expand_as(u)
    inputs = PatternInputs(
        u, v, footprint, random_fields,
        materials.params[..., None, None], materials.keys[:, None, None],
    )  # fmt: skip
    weights = torch.empty_like(random_fields)
    for index, pattern in enumerate(PATTERNS):
        rows = Rows.where(materials.pattern == index, chart.device)
        if len(rows.host):
            weights[rows.device] = pattern(take_rows(inputs, rows))
    # A pattern that a pixel can no longer resolve fades to its mean.
    resolved = (2.0 - 3.0 * footprint).clamp(0.0, 1.0)[:, None]
    return weights.mean(dim=(-2, -1), keepdim=True).lerp(weights, resolved)
