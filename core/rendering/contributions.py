"""Which Gaussians make up the colour of a pixel, and by how much."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from diff_gaussian_rasterization_orth.constants import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN
from diff_gaussian_rasterization_orth.inputs import SceneInputs, validate
from diff_gaussian_rasterization_orth.projection import ScreenGaussians, project
from jaxtyping import Float, Int
from torch import Tensor

from core.rendering.boxes import list_boxes
from core.rendering.nearness import Nearness
from core.types import DynamicGaussians

_PAIRS_AT_ONCE = 4_000_000
"""Pairs of a point and a Gaussian near any point, at a time; those in one column, of which there
are a tenth or less, take 50 bytes each."""


@dataclass(frozen=True)
class Contributions:
    """The ``k`` Gaussians that contribute most to each of ``p`` points, the largest first."""

    indices: Int[Tensor, "p k"]
    """Which Gaussians; 0 in places that are not taken."""
    weights: Float[Tensor, "p k"]
    """Opacity at the point times transmittance before it; 0 in places that are not taken."""
    densities: Float[Tensor, "p k"]
    """The Gaussian's density at the point, 1 at its centre; 0 in places that are not taken."""
    alpha: Float[Tensor, " p"]
    """Sum of the weights of all Gaussians, those beyond ``k`` included, in [0, 1]."""


class Contributors:
    """Finds what the rasteriser blends at points of one scene; no gradients.

    At a pixel's centre the weights of all Gaussians, times their colours, add up to the rendered
    pixel without background. The cost grows with the Gaussians near a point, not with the image.

    Args:
        gaussians: One scene.
        image_size: Height and width of its pictures in pixels.

    Raises:
        ValueError: If there is more than one scene.
    """

    @torch.no_grad()
    def __init__(self, gaussians: DynamicGaussians, image_size: tuple[int, int]) -> None:
        if gaussians.num_scenes != 1:
            raise ValueError(f"contributors: got {gaussians.num_scenes} scenes; expected one.")
        self.gaussians = gaussians.map(Tensor.float)
        self.image_size = image_size
        self._nearness = Nearness(self.gaussians, image_size)

    @torch.no_grad()
    def at(self, time: float, points: Float[Tensor, "p 2"], k: int = 32) -> Contributions:
        """Return what is blended at some points.

        Args:
            time: Pair time of the image.
            points: Pixel coordinates (u, v), (0, 0) the centre of the first pixel. Beyond the edge
                of the image only what reaches out of it is found.
            k: How many Gaussians are returned at most.
        """
        drawn = self._nearness.near(points, time)
        few = self.gaussians.map(lambda value: value.index_select(1, drawn))
        screen = _project(few, time, self.image_size)
        means2d, extents = screen.means2d[0, 0], screen.extents[0, 0]
        near = screen.visible[0, 0].nonzero()[:, 0]
        near = near[torch.argsort(screen.depths[0, 0, near], stable=True)]  # front to back
        low, high = (means2d - extents)[near], (means2d + extents)[near]
        indices = near.new_zeros(len(points), k)
        weights, densities = points.new_zeros(2, len(points), k)
        alpha = points.new_zeros(len(points))
        rows = max(1, _PAIRS_AT_ONCE // max(1, len(near)))
        for start in range(0, len(points), rows):
            part = slice(start, start + rows)
            lists, taken = list_boxes(points[part], low, high)  # (r, m), still front to back
            listed = near[lists]
            density = _densities(points[part], means2d[listed], screen.conics[0, listed])
            blended = _blend(torch.where(taken, screen.opacities[0, 0, listed], 0.0) * density)
            alpha[part] = blended.sum(1)
            largest, places = blended.topk(min(k, blended.shape[1]), dim=1)
            there = largest > 0
            columns = slice(largest.shape[1])
            weights[part, columns] = largest
            densities[part, columns] = torch.where(there, density.gather(1, places), 0.0)
            indices[part, columns] = torch.where(there, drawn[listed.gather(1, places)], 0)
        return Contributions(indices, weights, densities, alpha)


def contributors(
    gaussians: DynamicGaussians,
    time: float,
    points: Float[Tensor, "p 2"],
    image_size: tuple[int, int],
    k: int = 32,
) -> Contributions:
    """Return what the rasteriser blends at some points of one image; see :class:`Contributors`."""
    return Contributors(gaussians, image_size).at(time, points, k)


def _project(
    gaussians: DynamicGaussians, time: float, image_size: tuple[int, int]
) -> ScreenGaussians:
    means = gaussians.means
    inputs = SceneInputs(**vars(gaussians), times=means.new_tensor([[time]]))
    return project(validate(inputs, image_size, means.new_zeros(3))[0], image_size)


def _densities(
    points: Float[Tensor, "p 2"], means2d: Float[Tensor, "p m 2"], conics: Float[Tensor, "p m 3"]
) -> Float[Tensor, "p m"]:
    """Return the Gaussians' unnormalised densities at the points."""
    du, dv = (means2d - points[:, None]).unbind(-1)
    uu, uv, vv = conics.unbind(-1)
    return torch.exp(-0.5 * (uu * du * du + vv * dv * dv) - uv * du * dv)


def _blend(alphas: Float[Tensor, "p m"]) -> Float[Tensor, "p m"]:
    """Return the weights of contributions given from front to back."""
    alphas = alphas.clamp_max(ALPHA_MAX)
    alphas = torch.where(alphas >= ALPHA_MIN, alphas, 0.0)
    alphas = torch.where(torch.cumprod(1 - alphas, dim=1) >= TRANSMITTANCE_MIN, alphas, 0.0)
    behind = torch.cumprod(1 - alphas, dim=1)  # transmittance behind each Gaussian
    before = torch.cat([torch.ones_like(behind[:, :1]), behind[:, :-1]], dim=1)
    return alphas * before
