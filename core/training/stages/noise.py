"""Noise of a step, a function of (seed, step, process): there is no state to save."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True)
class StepNoise:
    """What is drawn anew for each step."""

    background: Float[Tensor, "3"]
    """Uniform random colour behind the scenes."""
    depth_dropped: Bool[Tensor, " b"]
    """Samples whose depth is hidden from the network."""


def draw_step_noise(
    seed: int,
    step: int,
    process: int,
    *,
    batch_size: int,
    depth_drop: float,
    device: torch.device,
) -> StepNoise:
    """Draw a step's noise, and seed PyTorch for what the networks themselves draw in that step.

    Args:
        seed: Seed of the run.
        step: Step, from 0.
        process: Rank of this process; each draws its own noise.
        batch_size: Samples of the step.
        depth_drop: Probability that a sample's depth is hidden.
        device: Where the tensors are made.
    """
    digest = hashlib.blake2b(f"{seed}:{step}:{process}".encode(), digest_size=7).digest()
    torch.manual_seed(int.from_bytes(digest, "little"))
    return StepNoise(
        background=torch.rand(3, device=device),
        depth_dropped=torch.rand(batch_size, device=device) < depth_drop,
    )
