"""AdamW and its learning rate."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import nn

from core.checks import UserError


@dataclass(frozen=True, kw_only=True)
class OptimizerOptions:
    """AdamW with linear warm-up and cosine decay."""

    lr: float = 5e-4
    """Highest learning rate."""
    weight_decay: float = 0.05
    """Decay of weight matrices and convolutions; norms, biases and embeddings do not decay."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Decay rates of AdamW's moments."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    warmup_steps: int = 50_000
    """Steps over which the learning rate rises linearly from 0."""
    final_lr_fraction: float = 0.1
    """Learning rate of the last step, as a fraction of --lr."""

    def __post_init__(self) -> None:
        for name in ("lr", "max_grad_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"--{name} is {getattr(self, name)}; expected a positive number.")
        for name in ("weight_decay", "warmup_steps"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least 0.")
        if not 0 <= self.final_lr_fraction <= 1:
            raise UserError(
                f"--final_lr_fraction is {self.final_lr_fraction}; expected a number in [0, 1]."
            )
        if not all(0 <= beta < 1 for beta in self.betas):
            raise UserError(f"--betas is {self.betas}; expected two numbers in [0, 1).")


def learning_rate(step: int, steps: int, options: OptimizerOptions, *, ahead: int = 0) -> float:
    """Return the learning rate of ``step`` (from 0) in a run of ``steps``.

    Rises linearly over the warm-up, whose first step already moves the weights, then follows half
    a cosine down to ``final_lr_fraction``. A function of the step alone, so that a schedule has no
    state to save.

    Args:
        step: Steps done. The warm-up counts these.
        steps: Steps of a whole run.
        options: Of the schedule.
        ahead: By how many steps the run is farther than ``step`` says; see
            :attr:`core.training.plan.Plan.ahead`. The cosine counts these as well.
    """
    if step < options.warmup_steps:
        return options.lr * (step + 1) / options.warmup_steps
    after_warmup = max(steps - 1 - options.warmup_steps, 1)
    progress = min(max(step + ahead - options.warmup_steps, 0) / after_warmup, 1.0)
    cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
    low = options.final_lr_fraction
    return options.lr * (low + (1.0 - low) * cosine)


@dataclass(frozen=True, kw_only=True)
class DynamicOptimizerOptions(OptimizerOptions):
    """AdamW of stage 2."""

    warmup_steps: int = 20_000
    """Steps over which the learning rate rises linearly from 0."""
    final_lr_fraction: float = 0.5
    """Learning rate of the last step, as a fraction of --lr."""


def build_optimizer(model: nn.Module, options: OptimizerOptions) -> torch.optim.AdamW:
    """Build AdamW over the parameters that require gradients, in its fused form.

    A fused optimiser leaves all as it is in a step for which its attribute ``found_inf`` holds 1,
    without the host having to know.

    Vectors (norms, biases) and embeddings are not decayed: shrinking them does not regularise the
    function that the network computes, it only shifts it.
    """
    decayed: list[nn.Parameter] = []
    exempt: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (exempt if parameter.ndim < 2 or name.endswith("_embedding") else decayed).append(
                parameter
            )
    groups = [
        {"params": decayed, "weight_decay": options.weight_decay},
        {"params": exempt, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(
        [group for group in groups if group["params"]],
        lr=options.lr,
        betas=options.betas,
        fused=True,
    )
