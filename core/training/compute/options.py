"""Options of the optimiser."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from core.checks import UserError


@dataclass(frozen=True, kw_only=True)
class OptimizerOptions:
    """AdamW with linear warm-up and cosine decay."""

    published_warmup_steps: ClassVar[int] = 50_000
    """Steps of the published warm-up."""

    lr: float = 5e-4
    """Highest learning rate."""
    weight_decay: float = 0.05
    """Decay of weight matrices and convolutions; norms, biases and embeddings do not decay."""
    betas: tuple[float, float] = (0.9, 0.95)
    """Decay rates of AdamW's moments."""
    max_grad_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    warmup_steps: int | None = None
    """Steps over which the learning rate rises linearly from 0; by default the published 50,000 in
    stage 1 and 20,000 in stage 2, but at most a tenth of the run's steps."""
    final_lr_fraction: float = 0.1
    """Learning rate of the last step, as a fraction of --lr."""

    def __post_init__(self) -> None:
        for name in ("lr", "max_grad_norm"):
            if not 0 < getattr(self, name) < math.inf:
                raise UserError(f"--{name} is {getattr(self, name)}; expected a positive number.")
        for name in ("weight_decay", "warmup_steps"):
            if not 0 <= (getattr(self, name) or 0) < math.inf:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least 0.")
        if not 0 <= self.final_lr_fraction <= 1:
            raise UserError(
                f"--final_lr_fraction is {self.final_lr_fraction}; expected a number in [0, 1]."
            )
        if not all(0 <= beta < 1 for beta in self.betas):
            raise UserError(f"--betas is {self.betas}; expected two numbers in [0, 1).")


@dataclass(frozen=True, kw_only=True)
class DynamicOptimizerOptions(OptimizerOptions):
    """AdamW of stage 2."""

    published_warmup_steps: ClassVar[int] = 20_000
    """Steps of the published warm-up."""

    final_lr_fraction: float = 0.5
    """Learning rate of the last step, as a fraction of --lr."""
