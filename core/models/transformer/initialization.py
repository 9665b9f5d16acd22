"""Weights of an untrained network.

- Linear and patch layers: Xavier-uniform weights, zero biases.
- The layer that closes a residual branch: divided by the square root of the number of branches in
  its stack, so that the residual stream keeps its magnitude with depth.
- The layer that closes a head: Xavier-normal with gain 0.01, so that an untrained network gives
  every Gaussian nearly the values of the biases.
- Learned embeddings: normal with deviation 0.02. Norm weights: one.
"""

from __future__ import annotations

import math

from torch import nn

from core.models.blocks import CrossAttention, FeedForward, RecomputingStack, SelfAttention
from core.models.transformer.dynamic_model import DynamicDecoder
from core.models.transformer.heads import DynamicHeads, StaticHeads
from core.models.transformer.truncated_gaussian import TanhHead, TruncatedGaussianHead

_HEAD_GAIN = 0.01
_EMBEDDING_STD = 0.02


def initialize(model: nn.Module) -> None:
    """Set the weights of ``model`` as listed above, from torch's generator."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.Conv2d):
            nn.init.xavier_uniform_(module.weight.view(len(module.weight), -1))
        elif isinstance(module, DynamicDecoder):
            nn.init.normal_(module.positional_embedding, std=_EMBEDDING_STD)
            nn.init.normal_(module.frame_embedding, std=_EMBEDDING_STD)
    for module in model.modules():
        if isinstance(module, RecomputingStack):
            _scale_residual_branches(module)
        elif isinstance(module, StaticHeads):
            for head in (module.color, module.opacity, module.scale):
                _initialize_last_layer(head)
        elif isinstance(module, DynamicHeads):
            _initialize_last_layer(_last_linear(module.opacity_window))
        elif isinstance(module, TruncatedGaussianHead):
            _initialize_last_layer(_last_linear(module.mean))
            _initialize_last_layer(_last_linear(module.log_scale))
        elif isinstance(module, TanhHead):
            _initialize_last_layer(_last_linear(module.mean))


def _scale_residual_branches(stack: RecomputingStack) -> None:
    branches = [
        module.down if isinstance(module, FeedForward) else module.out
        for module in stack.modules()
        if isinstance(module, (FeedForward, SelfAttention, CrossAttention))
    ]
    for branch in branches:
        branch.weight.data /= math.sqrt(len(branches))


def _initialize_last_layer(layer: nn.Linear) -> None:
    nn.init.xavier_normal_(layer.weight, gain=_HEAD_GAIN)


def _last_linear(module: nn.Module) -> nn.Linear:
    return [part for part in module.modules() if isinstance(part, nn.Linear)][-1]
