"""The obvious CPU rasteriser, as a baseline: one thread, no tiles, one pixel at a time.

Compiled like the real one, with the same boxes, the same stopping rule and a backward pass, but
what one would write in an afternoon: for every Gaussian in order of depth, for every pixel of its
box. Projection is the rasteriser package's differentiable PyTorch.
"""

from __future__ import annotations

import math
from typing import Any

import numba
import numpy as np
import torch
from diff_gaussian_rasterization_orth.constants import ALPHA_MAX, ALPHA_MIN, TRANSMITTANCE_MIN
from diff_gaussian_rasterization_orth.inputs import SceneInputs
from diff_gaussian_rasterization_orth.outputs import Rasterization
from diff_gaussian_rasterization_orth.projection import project
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable


def rasterize_naively(
    inputs: SceneInputs, image_size: tuple[int, int], backgrounds: Float[Tensor, "b t 3"]
) -> Rasterization:
    """Render like a backend of the rasteriser, in float32 on the CPU."""
    screen = project(inputs, image_size)
    images = []
    for b, t in np.ndindex(inputs.num_scenes, inputs.num_times):
        seen = screen.visible[b, t].nonzero()[:, 0]
        order = seen[torch.argsort(screen.depths[b, t, seen].detach(), stable=True)]
        conics = screen.conics[b]
        depths = screen.depths[b, t, order, None]
        image = _Splat.apply(
            image_size,
            screen.extents[b, t, order],
            screen.means2d[b, t, order],
            conics[order],
            screen.opacities[b, t, order],
            torch.cat([inputs.colors[b, order], depths, torch.ones_like(depths)], dim=-1),
        )
        rgb = image[:3] + (1 - image[4]) * backgrounds[b, t, :, None, None]
        images.append(torch.cat([rgb, image[3:]]))
    stacked = torch.stack(images).unflatten(0, (inputs.num_scenes, inputs.num_times))
    return Rasterization(*stacked.split([3, 1, 1], dim=2))


class _Splat(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        image_size: tuple[int, int],
        extents: Tensor,
        means2d: Tensor,
        conics: Tensor,
        opacities: Tensor,
        features: Tensor,
    ) -> Tensor:
        image = torch.zeros(5, *image_size)
        tensors = (extents, means2d, conics, opacities, features)
        arrays = [value.numpy() for value in (*tensors, image)]
        _splat(*arrays)
        ctx.save_for_backward(*tensors, image)
        return image

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, v_image: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        *tensors, image = ctx.saved_tensors
        gradients = [torch.zeros_like(value) for value in tensors[1:]]
        _splat_backward(
            *(value.numpy() for value in (*tensors, image, v_image.contiguous(), *gradients))
        )
        return None, None, *gradients


@numba.njit(cache=True, nogil=True)
def _splat(extents, means2d, conics, opacities, features, image):  # type: ignore[no-untyped-def]
    _, height, width = image.shape
    transmittance = np.ones((height, width), np.float32)
    for g in range(len(means2d)):
        u, v = means2d[g]
        for y in range(
            max(0, math.ceil(v - extents[g, 1])),
            min(height - 1, math.floor(v + extents[g, 1])) + 1,
        ):
            for x in range(
                max(0, math.ceil(u - extents[g, 0])),
                min(width - 1, math.floor(u + extents[g, 0])) + 1,
            ):
                du, dv = u - x, v - y
                power = (
                    -0.5 * (conics[g, 0] * du * du + conics[g, 2] * dv * dv)
                    - conics[g, 1] * du * dv
                )
                alpha = min(ALPHA_MAX, opacities[g] * math.exp(power))
                before = transmittance[y, x]
                if alpha < ALPHA_MIN or before < 0:
                    continue
                if before * (1 - alpha) < TRANSMITTANCE_MIN:
                    transmittance[y, x] = -before
                    continue
                for c in range(5):
                    image[c, y, x] += before * alpha * features[g, c]
                transmittance[y, x] = before * (1 - alpha)


@numba.njit(cache=True, nogil=True)
def _splat_backward(  # type: ignore[no-untyped-def]
    extents,
    means2d,
    conics,
    opacities,
    features,
    image,
    v_image,
    v_means2d,
    v_conics,
    v_opacities,
    v_features,
):
    _, height, width = image.shape
    transmittance = np.ones((height, width), np.float32)
    rest = (image * v_image).sum(axis=0)  # the loss's share of what is not yet blended
    for g in range(len(means2d)):
        u, v = means2d[g]
        for y in range(
            max(0, math.ceil(v - extents[g, 1])),
            min(height - 1, math.floor(v + extents[g, 1])) + 1,
        ):
            for x in range(
                max(0, math.ceil(u - extents[g, 0])),
                min(width - 1, math.floor(u + extents[g, 0])) + 1,
            ):
                du, dv = u - x, v - y
                power = (
                    -0.5 * (conics[g, 0] * du * du + conics[g, 2] * dv * dv)
                    - conics[g, 1] * du * dv
                )
                falloff = math.exp(power)
                alpha = min(ALPHA_MAX, opacities[g] * falloff)
                before = transmittance[y, x]
                if alpha < ALPHA_MIN or before < 0:
                    continue
                if before * (1 - alpha) < TRANSMITTANCE_MIN:
                    transmittance[y, x] = -before
                    continue
                weight, v_weight = before * alpha, 0.0
                for c in range(5):
                    v_weight += features[g, c] * v_image[c, y, x]
                    v_features[g, c] += weight * v_image[c, y, x]
                rest[y, x] -= weight * v_weight
                transmittance[y, x] = before * (1 - alpha)
                if opacities[g] * falloff >= ALPHA_MAX:
                    continue
                v_alpha = before * v_weight - rest[y, x] / (1 - alpha)
                v_opacities[g] += v_alpha * falloff
                v_power = v_alpha * alpha
                v_means2d[g, 0] -= v_power * (conics[g, 0] * du + conics[g, 1] * dv)
                v_means2d[g, 1] -= v_power * (conics[g, 1] * du + conics[g, 2] * dv)
                v_conics[g, 0] -= 0.5 * v_power * du * du
                v_conics[g, 1] -= v_power * du * dv
                v_conics[g, 2] -= 0.5 * v_power * dv * dv
