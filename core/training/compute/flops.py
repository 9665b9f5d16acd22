"""Floating-point operations of a training step, by formula: what utilisation is measured against.

Counted are matrix products and attention of the networks, two operations a multiply-add;
rendering, losses and element-wise work are not. A layer from ``i`` to ``o`` channels takes
``2 i o`` a token, so that a block of width ``d`` takes ``24 d**2`` a token; attention among ``m``
tokens takes ``4 m d`` a token. The backward pass of what is trained takes twice its forward pass;
activations that are computed a second time do not count, being no progress.
"""

from __future__ import annotations

from core.models.config import DINO_PATCH_SIZE, DINO_WIDTH, StreamSplatConfig
from core.training.stages.stage import Stage

_DINO_LAYERS = 12
_DINO_EXTRA_TOKENS = 5  # class and registers


def model_flops(stage: Stage) -> float:
    """Return the operations of one sample's forward and backward pass."""
    config = stage.config
    frame = static_flops(config, draws_positions=not stage.trains_dynamic)
    total = stage.num_encoded * frame * (3 if stage.trains_static else 1)
    if stage.trains_dynamic:
        total += 3 * dynamic_flops(config)
        if config.use_dino:
            total += 2 * dino_flops(config)
    return total


def static_flops(config: StreamSplatConfig, *, draws_positions: bool) -> float:
    """Return the operations of the static network's forward pass on one frame.

    Args:
        config: The network.
        draws_positions: Whether the position head has log-scales, as it has in stage 1 only.
    """
    tokens, width = config.num_tokens, config.width
    flops = tokens * 2 * 4 * config.patch_size**2 * width
    flops += config.encoder_layers * _block(tokens, tokens, width)
    flops += _upsampler(config)
    heads = 9 + 3 * draws_positions  # colour, opacity, scale, position
    flops += config.num_gaussians * 2 * config.upsampler_widths[-1] * heads
    if config.pixel_skip:
        pixels = 4 * config.pixel_stride**2
        flops += config.num_gaussians * 2 * pixels * config.upsampler_widths[-1]
    return flops


def dynamic_flops(config: StreamSplatConfig) -> float:
    """Return the operations of the decoder's forward pass on one pair, with both upsamplings."""
    tokens, width = config.num_tokens, config.width
    condition = config.num_condition_tokens
    block = _block(2 * tokens, 2 * tokens, width)
    # Cross-attention: query and output of the tokens, keys and values of the condition.
    block += 2 * (tokens * 4 * width**2 + condition * 4 * width**2 + 4 * tokens * condition * width)
    channels = config.upsampler_widths[-1]
    motion = 3 * config.motion_degree
    mlps = 2 * (2 * channels * channels + channels**2) + channels * (motion + 2)
    heads = channels**2 + mlps + 2 * channels * motion
    return (
        2 * condition * 2 * config.condition_width * width
        + config.decoder_layers * block
        + 2 * _upsampler(config)
        + 2 * config.num_gaussians * 2 * heads
    )


def dino_flops(config: StreamSplatConfig) -> float:
    """Return the operations of DINOv2's forward pass on one frame."""
    patches = config.num_condition_tokens
    tokens = patches + _DINO_EXTRA_TOKENS
    embedding = patches * 2 * 3 * DINO_PATCH_SIZE**2 * DINO_WIDTH
    return embedding + _DINO_LAYERS * _block(tokens, tokens, DINO_WIDTH)


def _block(tokens: int, attended: int, width: int) -> float:
    return tokens * (24 * width**2 + 4 * attended * width)


def _upsampler(config: StreamSplatConfig) -> float:
    flops, tokens, given = 0.0, config.num_tokens, config.width
    for width in config.upsampler_widths:
        flops += tokens * 2 * given * 4 * width
        tokens, given = 4 * tokens, width
        flops += 2 * _block(tokens, config.window, width)
    return flops
