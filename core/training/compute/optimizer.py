"""AdamW."""

from __future__ import annotations

import torch
from torch import nn

from core.training.compute.options import OptimizerOptions


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
