"""How well a picture's texture holds a match in place."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

_WINDOW = 5
"""Side of the window over which gradients are averaged, pixels of the maps."""
_ENOUGH = 2.5
"""Mean squared gradient, (grey levels / pixel)^2, at which a match counts half."""
_LEAST = 1.0
"""The same below which it counts nothing, when poses are sought."""

Structure = Float[Tensor, "3 h w"]
"""Structure tensor (Foerstner and Guelch 1987) of each pixel of a map: xx, xy, yy."""


def gradient(grey: Float[Tensor, "h w"]) -> Float[Tensor, "2 h w"]:
    """Return the change of grey levels by (u, v), per pixel (Scharr)."""
    around = F.pad(grey[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
    across, down = around[:, 2:] - around[:, :-2], around[2:] - around[:-2]
    x = torch.add(3 * (across[:-2] + across[2:]), across[1:-1], alpha=10)
    y = torch.add(3 * (down[:, :-2] + down[:, 2:]), down[:, 1:-1], alpha=10)
    return torch.stack((x, y)) * (1 / 32)


def structure(gradient: Float[Tensor, "2 h w"]) -> Structure:
    """Return the structure tensor of a picture of grey levels up to 255, by its gradient."""
    x, y = gradient
    return window_means(torch.stack((x * x, x * y, y * y)))


def window_means(values: Float[Tensor, "c h w"]) -> Float[Tensor, "c h w"]:
    """Average over the window around each pixel; the border is repeated."""
    reach = _WINDOW // 2
    around = F.pad(values[None], (reach, reach, reach, reach), mode="replicate")[0]
    return _sums(_sums(around, 1), 2) * (1 / _WINDOW**2)


def halve(values: Float[Tensor, "c h2 w2"]) -> Float[Tensor, "c h w"]:
    """Average over 2 by 2 pixels."""
    rows = values[:, ::2] + values[:, 1::2]
    return (rows[..., ::2] + rows[..., 1::2]) * 0.25


def _sums(values: Float[Tensor, "c h w"], dim: int) -> Tensor:
    """Return the sums over windows along one axis."""
    length = values.shape[dim] - _WINDOW + 1
    total = values.narrow(dim, 0, length)
    for i in range(1, _WINDOW):
        total = total + values.narrow(dim, i, length)
    return total


def corners(texture: Float[Tensor, "3 *shape"]) -> Float[Tensor, "*shape"]:
    """Return how well matches are held in both directions, in [0, 1]; 0 where not at all.

    From the smaller eigenvalue of the structure tensor (Shi and Tomasi 1994).
    """
    xx, xy, yy = texture
    least = (xx + yy) / 2 - (((xx - yy) / 2).square() + xy.square()).sqrt()
    return torch.where(least > _LEAST, least / (least + _ENOUGH), 0.0)


def held_along(
    texture: Structure, direction: Float[Tensor, "p 2 h w"], squared: Float[Tensor, "p h w"]
) -> Float[Tensor, "p h w"]:
    """Return how well matches are held along directions of a squared length, in [0, 1].

    Where the picture is the same along a direction, a flow only goes on from its surroundings.
    """
    u, v = direction.unbind(1)
    xx, xy, yy = texture
    energy = u * torch.addcmul(xx * u, xy, v, value=2) + yy * v * v
    return energy / (energy + _ENOUGH * squared + 1e-9)
