"""Logistic opacity windows and curved paths as Gaussian windows and straight lines.

Formats of moving Gaussians give each a constant velocity and, between two times, the opacity
``peak * exp(-(t - center)² / (2 width²))``. A window that one such segment misses is cut in two
where the opacity is half way between its ends, and so are the halves.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

SAMPLES = 17
"""Pair times, even from 0 to 1, at which scenes are compared; segments begin and end at these."""
TIMES = np.linspace(0, 1, SAMPLES)
_TOLERANCE = 0.05
"""A segment that misses the opacity by more is cut, if it can be."""
_FAINTEST = 1e-4
"""Opacities below count as this where their logarithm is taken."""
_MOST_CUTS = 3
"""A window makes at most 2³ segments."""
_BLOCK = 1 << 16
"""Gaussians that are fitted at a time, to bound the memory."""


@dataclass(frozen=True)
class Segments:
    """``m`` pieces of the lives of Gaussians; times are pair times."""

    gaussian: Int[np.ndarray, " m"]
    """Whose life it is a piece of."""
    first: Int[np.ndarray, " m"]
    """Number of the sample at which it begins."""
    last: Int[np.ndarray, " m"]
    """Number of the sample at which it ends."""
    peak: Float[np.ndarray, " m"]
    """Opacity at the window's centre, in (0, 1]."""
    center: Float[np.ndarray, " m"]
    """Time of the window's centre, often outside of the segment."""
    width: Float[np.ndarray, " m"]
    """Standard deviation of the window; infinite where the opacity is constant."""
    position: Float[np.ndarray, "m 3"]
    """Where the Gaussian is at ``center``, on its straight line."""
    velocity: Float[np.ndarray, "m 3"]
    """Displacement a unit of pair time."""
    opacity_error: Float[np.ndarray, " m"]
    """Largest difference of opacity at a sample."""
    position_error: Float[np.ndarray, " m"]
    """Largest distance from the path at a sample, weighted with the opacity there."""

    def __len__(self) -> int:
        return len(self.gaussian)


def fit_segments(
    opacities: Float[np.ndarray, "n s"], paths: Float[np.ndarray, "n s 3"], faintest: float
) -> Segments:
    """Fit segments to opacities and positions at :data:`TIMES`.

    Pieces that stay below ``faintest`` are left out.
    """
    blocks = [
        _fit_block(
            opacities[start : start + _BLOCK], paths[start : start + _BLOCK], faintest, start
        )
        for start in range(0, max(len(opacities), 1), _BLOCK)
    ]
    pieces = [piece for block in blocks for piece in block]
    names = Segments.__dataclass_fields__
    return Segments(**{name: np.concatenate([vars(p)[name] for p in pieces]) for name in names})


def _fit_block(
    opacities: np.ndarray, paths: np.ndarray, faintest: float, offset: int
) -> list[Segments]:
    count = len(opacities)
    gaussian = np.arange(count)
    first, last = np.zeros(count, dtype=int), np.full(count, SAMPLES - 1)
    accepted = []
    for cuts_left in reversed(range(_MOST_CUTS + 1)):
        inside = _inside(first, last)
        seen = (np.where(inside, opacities[gaussian], 0) >= faintest).any(axis=1)
        gaussian, first, last, inside = gaussian[seen], first[seen], last[seen], inside[seen]
        curves = opacities[gaussian]
        peak, center, width, error = _fit_window(curves, inside)
        cut = (error > _TOLERANCE) & (last - first >= 2) & (cuts_left > 0)
        keep = np.flatnonzero(~cut)
        position, velocity, distance = _fit_line(
            paths[gaussian[keep]], center[keep], curves[keep], inside[keep]
        )
        accepted.append(
            Segments(
                gaussian=gaussian[keep] + offset,
                first=first[keep],
                last=last[keep],
                peak=peak[keep],
                center=center[keep],
                width=width[keep],
                position=position,
                velocity=velocity,
                opacity_error=error[keep],
                position_error=distance,
            )
        )
        gaussian, curves = gaussian[cut], curves[cut]
        first, last = first[cut], last[cut]
        middle = _halfway(curves, first, last)
        gaussian = np.tile(gaussian, 2)
        first, last = np.append(first, middle), np.append(middle, last)
    return accepted


def _inside(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return which samples belong to each segment, its ends included."""
    number = np.arange(SAMPLES)
    return (number >= first[:, None]) & (number <= last[:, None])


def _halfway(curves: np.ndarray, first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """Return the sample inside of each segment nearest the mean of its ends, where it is passed."""
    rows = np.arange(len(curves))
    begin, end = curves[rows, first], curves[rows, last]
    target = (begin + end) / 2
    ahead = (curves - target[:, None]) * np.sign(begin - end)[:, None]  # above 0 before the passage
    passed = (_inside(first, last) & (ahead <= 0)).argmax(axis=1)
    earlier = ahead[rows, passed - 1] <= -ahead[rows, passed]
    return (passed - earlier).clip(first + 1, last - 1)


def _fit_window(
    curves: np.ndarray, inside: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return peak, centre, width and largest error of the best of three fits.

    A constant; a parabola through the logarithms, whose peak may be too high; a Gaussian of peak 1,
    whose roots of logarithms are a line. Weights make errors of logarithms those of opacities.
    """
    time = TIMES - 0.5
    opacity = curves.clip(_FAINTEST, 1)
    weight = np.where(inside, opacity**2, 0)
    logs = np.log(opacity)
    powers = time[:, None] ** np.arange(5)
    moments = weight @ powers
    index = np.arange(3)
    normal = moments[:, index[:, None] + index] + 1e-12 * moments[:, :1, None] * np.eye(3)
    right = (weight * logs) @ powers[:, :3]
    c0, c1, c2 = np.linalg.solve(normal, right[..., None])[..., 0].T
    bends = c2 < -1e-3
    c2 = np.where(bends, c2, -1)
    parabola = (
        np.exp(np.where(bends, np.minimum(c0 - c1**2 / (4 * c2), 1), 1)),  # e: refused below
        0.5 - c1 / (2 * c2),
        np.sqrt(-1 / (2 * c2)),
    )

    roots = np.sqrt(-2 * logs)
    slope_weight = weight * (roots**2 + 1e-3)
    w0, w1, w2 = ((slope_weight * time**k).sum(axis=1) for k in range(3))
    y0, y1 = ((slope_weight * roots * time**k).sum(axis=1) for k in range(2))
    beta = (w0 * y1 - w1 * y0) / np.maximum(w0 * w2 - w1**2, 1e-30)
    alpha = (y0 - beta * w1) / np.maximum(w0, 1e-30)
    sloped = np.abs(beta) > 1e-2
    beta = np.where(sloped, beta, 1)
    ones = np.ones(len(curves))
    half = (np.where(sloped, 1.0, 2.0), 0.5 - alpha / beta, 1 / np.abs(beta))

    high = np.where(inside, curves, -np.inf).max(axis=1)
    low = np.where(inside, curves, np.inf).min(axis=1)
    constant = ((high + low) / 2, 0.5 * ones, np.inf * ones)

    fits = [constant, parabola, half]
    errors = np.stack([_window_error(curves, inside, *fit) for fit in fits])
    bonus = np.array([[1e-3], [0], [0]])  # a constant is smaller in a file
    best = (errors - bonus).argmin(axis=0)
    peak, center, width = (np.choose(best, values) for values in zip(*fits, strict=True))
    return peak, center, width, np.take_along_axis(errors, best[None], axis=0)[0]


def _window_error(
    curves: np.ndarray,
    inside: np.ndarray,
    peak: np.ndarray,
    center: np.ndarray,
    width: np.ndarray,
) -> np.ndarray:
    """Return the largest difference of opacity; infinite where the peak is above 1."""
    fitted = peak[:, None] * np.exp(-0.5 * ((TIMES - center[:, None]) / width[:, None]) ** 2)
    error = np.where(inside, np.abs(fitted - curves), 0).max(axis=1)
    return np.where(peak <= 1, error, np.inf)


def _fit_line(
    paths: np.ndarray, center: np.ndarray, curves: np.ndarray, inside: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return position at ``center``, velocity and largest weighted distance of straight lines."""
    weight = np.where(inside, curves.clip(_FAINTEST, 1) ** 2, 0)
    total = weight.sum(axis=1)
    mean_time = weight @ TIMES / total
    spread = weight @ TIMES**2 / total - mean_time**2
    mean = np.einsum("ns,nsx->nx", weight, paths) / total[:, None]
    mixed = np.einsum("ns,s,nsx->nx", weight, TIMES, paths) / total[:, None]
    velocity = (mixed - mean_time[:, None] * mean) / np.maximum(spread, 1e-12)[:, None]
    position = mean + velocity * (center - mean_time)[:, None]
    fitted = position[:, None] + velocity[:, None] * (TIMES - center[:, None])[..., None]
    distance = np.linalg.norm(fitted - paths, axis=2) * np.where(inside, curves, 0)
    return position, velocity, distance.max(axis=1)
