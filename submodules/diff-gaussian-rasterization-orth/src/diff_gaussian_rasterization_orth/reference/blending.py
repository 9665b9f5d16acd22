"""Every pixel against every Gaussian that may touch its row."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from diff_gaussian_rasterization_orth.constants import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN
from diff_gaussian_rasterization_orth.inputs import SceneInputs
from diff_gaussian_rasterization_orth.outputs import Rasterization
from diff_gaussian_rasterization_orth.projection import project

_PAIRS_AT_ONCE = 4_000_000
"""Pixel-Gaussian pairs in memory at a time: about 200 MB in float32 while differentiating."""


def rasterize(
    inputs: SceneInputs,
    image_size: tuple[int, int],
    backgrounds: Float[Tensor, "b t 3"],
    *,
    max_pairs: int | None = None,
) -> Rasterization:
    """Render all scenes at all their times; differentiable in every tensor."""
    screen = project(inputs, image_size)
    images = []
    for scene in range(inputs.num_scenes):
        for time in range(inputs.num_times):
            seen = screen.visible[scene, time].nonzero()[:, 0]
            order = seen[torch.argsort(screen.depths[scene, time, seen].detach(), stable=True)]
            images.append(
                _render_image(
                    screen.means2d[scene, time, order],
                    screen.conics[scene, order],
                    screen.opacities[scene, time, order],
                    screen.extents[scene, time, order],
                    torch.cat(
                        [inputs.colors[scene, order], screen.depths[scene, time, order, None]], -1
                    ),
                    backgrounds[scene, time],
                    image_size,
                )
            )
    empty = backgrounds.new_empty((0, 5, *image_size))
    stacked = torch.stack(images) if images else empty
    stacked = stacked.unflatten(0, (inputs.num_scenes, inputs.num_times))  # (b, t, 5, h, w)
    return Rasterization(*stacked.split([3, 1, 1], dim=2))


def _render_image(
    means2d: Float[Tensor, "n 2"],
    conics: Float[Tensor, "n 3"],
    opacities: Float[Tensor, " n"],
    extents: Float[Tensor, "n 2"],
    features: Float[Tensor, "n 4"],
    background: Float[Tensor, " 3"],
    image_size: tuple[int, int],
) -> Float[Tensor, "5 h w"]:
    """Blend Gaussians given in order of depth, some rows at a time."""
    height, width = image_size
    top = (means2d - extents)[:, 1].detach()
    bottom = (means2d + extents)[:, 1].detach()
    rows_at_once = max(1, _PAIRS_AT_ONCE // (width * max(1, len(means2d))))
    parts = []
    for first in range(0, height, rows_at_once):
        last = min(first + rows_at_once, height) - 1
        near = ((bottom >= first) & (top <= last)).nonzero()[:, 0]
        arguments = (
            _pixel_centers(first, last, width, like=means2d),
            *(value[near] for value in (means2d, conics, opacities, extents, features)),
            background,
        )
        # Recomputing a part in the backward pass bounds memory by one part, not by the image.
        part = checkpoint(_blend, *arguments, use_reentrant=False)
        parts.append(part.unflatten(1, (-1, width)))
    return torch.cat(parts, dim=1)


def _pixel_centers(first: int, last: int, width: int, *, like: Tensor) -> Float[Tensor, "p 2"]:
    rows = torch.arange(first, last + 1, dtype=like.dtype, device=like.device)
    columns = torch.arange(width, dtype=like.dtype, device=like.device)
    v, u = torch.meshgrid(rows, columns, indexing="ij")
    return torch.stack([u, v], dim=-1).flatten(0, 1)


def _blend(
    pixels: Float[Tensor, "p 2"],
    means2d: Float[Tensor, "n 2"],
    conics: Float[Tensor, "n 3"],
    opacities: Float[Tensor, " n"],
    extents: Float[Tensor, "n 2"],
    features: Float[Tensor, "n 4"],
    background: Float[Tensor, " 3"],
) -> Float[Tensor, "5 p"]:
    """Return rgb over the background, depth and alpha of some pixels."""
    offsets = means2d - pixels[:, None]  # (p, n, 2)
    du, dv = offsets.unbind(-1)
    uu, uv, vv = conics.unbind(-1)
    powers = -0.5 * (uu * du * du + vv * dv * dv) - uv * du * dv  # (p, n)
    alphas = (opacities * torch.exp(powers)).clamp_max(ALPHA_MAX)
    drawn = (offsets.abs() <= extents).all(-1) & (alphas >= ALPHA_MIN)
    alphas = torch.where(drawn, alphas, 0)
    # Transmittance only ever falls, so what is below the limit once stays below it.
    continues = torch.cumprod(1 - alphas, dim=1) >= TRANSMITTANCE_MIN
    alphas = torch.where(continues, alphas, 0)
    behind = torch.cumprod(1 - alphas, dim=1)  # (p, n), transmittance behind each Gaussian
    before = torch.cat([torch.ones_like(behind[:, :1]), behind[:, :-1]], dim=1)
    weights = alphas * before
    final_transmittance = 1 - weights.sum(1, keepdim=True)
    rgb_depth = weights @ features  # (p, 4)
    rgb = rgb_depth[:, :3] + final_transmittance * background
    return torch.cat([rgb, rgb_depth[:, 3:], 1 - final_transmittance], dim=1).T
