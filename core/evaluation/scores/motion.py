"""How well the Gaussians of a pair move: their motion as a flow field, against known flow."""

from __future__ import annotations

from dataclasses import asdict, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.evaluation.data.pair import Pair
from core.geometry.canonical import pixels_from_canonical
from core.geometry.motion import displace_means
from core.geometry.optical_flow import agreement
from core.metrics.motion import flow_errors
from core.rendering import render
from core.types import DynamicGaussians

_SEEN_ALPHA = 1e-3
"""Opacity below which there is nothing that could move."""


@torch.inference_mode()
def rendered_flow(
    scene: DynamicGaussians, image_size: tuple[int, int], *, backend: str = "auto"
) -> Float[Tensor, "h w 2"]:
    """Return the motion from the first key frame to the second of what is seen in each pixel.

    The displacement in pixels of each Gaussian from pair time 0 to 1, blended as colours are at
    time 0, and divided by the accumulated opacity.

    Args:
        scene: The Gaussians of one pair.
        image_size: Height and width in pixels.
        backend: The rasteriser's backend.
    """
    ends = [
        pixels_from_canonical(
            displace_means(scene.means, scene.motion, time - scene.anchor_times), image_size
        )
        for time in (0.0, 1.0)
    ]
    moved = ends[1] - ends[0]  # (1, n, 2)
    colors = torch.cat([moved, torch.zeros_like(moved[..., :1])], dim=-1)
    times = torch.zeros(1, 1, device=moved.device)
    image = render(replace(scene, colors=colors), times, image_size, 0.0, backend=backend)
    alpha = image.alpha[0, 0, 0, :, :, None]
    blended = image.rgb[0, 0, :2].permute(1, 2, 0)
    return torch.where(alpha > _SEEN_ALPHA, blended / alpha.clamp_min(_SEEN_ALPHA), 0.0)


def score_motion(
    flows: dict[str, Float[Tensor, "h w 2"]],
    truth: Float[Tensor, "h w 2"],
    valid: Bool[Tensor, "h w"],
) -> dict[str, dict[str, float]]:
    """Return ``epe`` and ``within`` of each flow, and of no motion at all (``still``).

    Args:
        flows: By method, pixels.
        truth: Known flow, pixels.
        valid: Where it is known, somewhere at least.
    """
    every = {**flows, "still": torch.zeros_like(truth)}
    return {name: asdict(flow_errors(flow, truth, valid)) for name, flow in every.items()}


def trusted_flow(pair: Pair) -> tuple[Float[Tensor, "h w 2"], Bool[Tensor, "h w"]]:
    """Return DIS flow between the key frames, and where it agrees with that of the way back."""
    return pair.forward_flow, agreement(pair.forward_flow, pair.backward_flow)
