"""Builds the small networks, untrained."""

from __future__ import annotations

import math

from torch import nn

from core.models.blocks import FeedForward
from core.models.matching.config import MatchingConfig
from core.models.matching.dynamic_heads import DynamicHeads
from core.models.matching.feature_encoder import FeatureEncoder
from core.models.matching.layers import NormalizedPair, ResidualPair
from core.models.matching.matcher import LOOK_UPS, Matcher, MatchingBlock, Refinement
from core.models.matching.network import DynamicModel, MatchingNetwork, StaticMatchingModel
from core.models.matching.static_heads import STRIDE, DepthHead, PixelHead, StaticHeads

_HEAD_GAIN = 0.01
_PIXELS = 3 * STRIDE**2


def build_static_matching_model(config: MatchingConfig) -> StaticMatchingModel:
    """Build the part for single frames, untrained."""
    model = _static_model(config)
    _initialize(model)
    return model


def build_matching_network(config: MatchingConfig) -> MatchingNetwork:
    """Build the whole network, untrained."""
    model = assemble_matching_network(config)
    _initialize(model)
    return model


def _static_model(config: MatchingConfig) -> StaticMatchingModel:
    quarter, eighth, sixteenth = config.feature_widths
    widths = (quarter, eighth, sixteenth)
    width, blocks = config.pixel_width, config.pixel_blocks
    return StaticMatchingModel(
        config,
        encoder=FeatureEncoder(
            config.coarse_grid, widths, config.head_width, config.encoder_layers
        ),
        heads=StaticHeads(
            config.gaussian_grid,
            first=PixelHead(_PIXELS, width, blocks),
            correction=PixelHead(2 * _PIXELS + width, width, blocks),
            depth=DepthHead(widths),
        ),
    )


def assemble_matching_network(config: MatchingConfig) -> MatchingNetwork:
    """Put the whole network together; its weights are still to be set."""
    quarter, eighth, sixteenth = config.feature_widths
    hidden_quarter, hidden_eighth = config.refinement_widths
    image_size = (config.image_height, config.image_width)
    matcher = Matcher(
        image_size,
        blocks=nn.ModuleList(
            MatchingBlock(sixteenth, config.head_width) for _ in range(config.matcher_layers)
        ),
        at_eighth=Refinement(LOOK_UPS, eighth, hidden_eighth, config.updates[1]),
        at_quarter=Refinement(quarter, quarter, hidden_quarter, config.updates[0]),
        widths=(quarter, eighth, sixteenth),
        hidden=(hidden_quarter, hidden_eighth),
    )
    dynamic = DynamicModel(matcher, DynamicHeads(image_size, hidden_quarter, config.dynamics_width))
    return MatchingNetwork(config, _static_model(config), dynamic)


def _initialize(model: nn.Module) -> None:
    """Draw the weights: He-normal before a SiLU, Xavier-uniform for linear layers, zero biases.

    Layers that close a residual branch start small, so that depth does not raise the magnitude.
    """
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
        elif isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        if isinstance(module, (nn.Linear, nn.Conv2d)) and module.bias is not None:
            nn.init.zeros_(module.bias)
    for module in model.modules():
        if isinstance(module, (ResidualPair, NormalizedPair)):
            module.second.weight.data *= 0.5
        elif isinstance(module, FeedForward):
            module.down.weight.data /= math.sqrt(6)
        elif isinstance(module, MatchingBlock):
            for attention in (module.self_attention, module.cross_attention):
                attention.out.weight.data /= math.sqrt(6)
        elif isinstance(module, (PixelHead, DynamicHeads)):
            _start_near_zero(module.values)
        elif isinstance(module, DepthHead):
            _start_near_zero(module.logits)
        elif isinstance(module, Refinement):
            _start_near_zero(module.correction)
        elif isinstance(module, Matcher):
            _start_near_zero(module.upsampling)


def _start_near_zero(layer: nn.Conv2d) -> None:
    nn.init.normal_(layer.weight, std=_HEAD_GAIN / math.sqrt(layer.in_channels))
