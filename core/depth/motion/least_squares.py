"""Linear least squares with few unknowns, many at once, without the host waiting for a GPU."""

from __future__ import annotations

from functools import lru_cache

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_MANY = 64
"""Systems from which on elimination beats LAPACK on the CPU, too."""
_RIDGE = 1e-9
"""Added to the diagonal of normal equations, so that what nothing holds stays at 0."""


def solve(
    matrix: Float[Tensor, "*batch k k"], right: Float[Tensor, "*batch k"]
) -> Float[Tensor, "*batch k"]:
    """Solve small positive definite systems by elimination."""
    if not matrix.is_cuda and matrix[..., 0, 0].numel() < _MANY:
        return torch.linalg.solve(matrix, right)
    unit = identity(matrix.shape[-1], matrix.dtype, matrix.device)
    table = torch.cat((matrix, right[..., None]), dim=-1)
    for i in range(matrix.shape[-1]):
        row = table[..., i : i + 1, 1:] / table[..., i : i + 1, :1]
        column = table[..., :1] - unit[:, i : i + 1]
        table = torch.addcmul(table[..., 1:], column, row, value=-1)  # less column i
    return table[..., 0]


def fit_robustly(
    rows: Float[Tensor, "*batch k_1 c n"],
    trust: Float[Tensor, "*batch n"],
    deviation: float,
    rounds: int,
    median_of: Bool[Tensor, "*batch n"] | None = None,
) -> tuple[Float[Tensor, "*batch k"], Float[Tensor, "*batch n"]]:
    """Find ``x`` with ``rows[:-1] . x = rows[-1]`` for most of ``n`` points of ``c`` equations.

    Weights follow Geman and McClure (1985), from errors of the round before.

    Args:
        rows: Coefficients, and as the last one what they should come to.
        trust: Weights of the points.
        deviation: Error beyond which a point counts little.
        rounds: How often it is solved.
        median_of: If given, the deviation is the median error of these points where that is more.

    Returns:
        The solution, and the squared errors that it leaves.
    """
    unknowns, coordinates = rows.shape[-3] - 1, rows.shape[-2]
    flat = rows.flatten(-2)  # (*batch, k + 1, c n)
    ridge = _RIDGE * identity(unknowns, rows.dtype, rows.device)
    left, goal = rows[..., :-1, :, :], flat[..., -1:, :]
    weight, x, squared = trust, goal[..., 0, :0], trust
    scale: float | Tensor = deviation**2
    for _ in range(rounds):
        weighted = (left * weight[..., None, None, :]).flatten(-2)
        normal = weighted @ flat.mT
        x = solve(normal[..., :-1] + ridge, normal[..., -1])
        error = goal - x[..., None, :] @ flat[..., :-1, :]
        squared = error.square().unflatten(-1, (coordinates, -1)).sum(dim=(-3, -2))
        if median_of is not None:
            scale = masked_median(squared, median_of).clamp(deviation**2, 1e6)[..., None]
        weight = trust / (1 + squared / scale).square()
    return x, squared


def masked_median(
    values: Float[Tensor, "*batch n"], mask: Bool[Tensor, "*batch n"]
) -> Float[Tensor, "*batch"]:
    """Return the lower median of the values that a mask leaves; infinite where it leaves none."""
    median = torch.where(mask, values, torch.nan).nanmedian(dim=-1).values
    return median.nan_to_num(torch.inf, posinf=torch.inf)


@lru_cache(maxsize=16)
@torch.inference_mode(False)
def identity(size: int, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "k k"]:
    """Return an identity matrix, which is kept: a stream asks for the same all the time."""
    return torch.eye(size, dtype=dtype, device=device)
