"""Builds networks from a configuration; the only place where their parts are put together."""

from __future__ import annotations

import torch
from torch import nn

from core.models.config import ModelConfig
from core.models.dino import DinoEncoder
from core.models.dynamic_model import ConditionEncoder, DynamicDecoder, DynamicModel
from core.models.heads import DynamicHeads, StaticHeads, three_layer_mlp
from core.models.initialization import initialize
from core.models.matching.config import MatchingConfig
from core.models.matching.factory import (
    assemble_matching_network,
    build_matching_network,
    build_static_matching_model,
)
from core.models.matching.network import StaticMatchingModel
from core.models.network import Network
from core.models.static_model import PixelSkip, StaticEncoder, StaticModel
from core.models.streamsplat import StreamSplat
from core.models.transformer_config import StreamSplatConfig
from core.models.truncated_gaussian import TanhHead, TruncatedGaussianHead
from core.models.upsampler import Upsampler

StaticNetwork = StaticModel | StaticMatchingModel
"""Any network for single frames."""


def build_static_model(config: ModelConfig) -> StaticNetwork:
    """Build an untrained stage-1 network; the transformer samples its positions in training."""
    if isinstance(config, MatchingConfig):
        return build_static_matching_model(config)
    width = config.upsampler_widths[-1]
    position = TruncatedGaussianHead(
        nn.Linear(width, 3),
        nn.Linear(width, 3, bias=False),
        log_scale_offset=config.log_scale_offset,
    )
    model = _static_model(config, position)
    initialize(model, config)
    return model


def build_model(config: ModelConfig) -> Network:
    """Build an untrained whole network; its static positions are deterministic.

    Where the configuration asks for DINOv2, its weights are still to be attached; see
    :func:`core.models.load_dinov2`.
    """
    if isinstance(config, MatchingConfig):
        return build_matching_network(config)
    model = _transformer(config)
    initialize(model, config)
    return model


def outline_model(config: ModelConfig) -> Network:
    """Build a whole network whose parameters have shapes, but neither values nor memory."""
    with torch.device("meta"):
        if isinstance(config, MatchingConfig):
            return assemble_matching_network(config)
        return _transformer(config)


def _transformer(config: StreamSplatConfig) -> StreamSplat:
    dino = None
    if config.use_dino:
        dino = DinoEncoder(config.dino_image_size, normalize=config.dino_normalize)
    static = _static_model(config, TanhHead(nn.Linear(config.upsampler_widths[-1], 3)))
    return StreamSplat(config, static, _dynamic_model(config), dino)


def _static_model(
    config: StreamSplatConfig, position: TruncatedGaussianHead | TanhHead
) -> StaticModel:
    width = config.upsampler_widths[-1]
    return StaticModel(
        config,
        encoder=StaticEncoder(
            config.token_grid,
            config.patch_size,
            config.width,
            config.head_width,
            config.encoder_layers,
        ),
        upsampler=_upsampler(config),
        heads=StaticHeads(config.gaussian_grid, width, position),
        pixel_skip=PixelSkip(config.pixel_stride, width) if config.pixel_skip else None,
    )


def _dynamic_model(config: StreamSplatConfig) -> DynamicModel:
    width = config.upsampler_widths[-1]
    motion_channels = 3 * config.motion_degree
    return DynamicModel(
        condition=ConditionEncoder(
            config.num_condition_tokens, config.condition_width, config.width
        ),
        decoder=DynamicDecoder(
            config.num_tokens, config.width, config.head_width, config.decoder_layers
        ),
        upsampler=_upsampler(config),
        static_projection=nn.Linear(width, width, bias=False),
        heads=DynamicHeads(
            motion=TruncatedGaussianHead(
                three_layer_mlp(2 * width, width, motion_channels),
                nn.Linear(2 * width, motion_channels, bias=False),
                log_scale_offset=config.log_scale_offset,
            ),
            opacity_window=three_layer_mlp(2 * width, width, 2),
        ),
    )


def _upsampler(config: StreamSplatConfig) -> Upsampler:
    return Upsampler(
        config.token_grid,
        config.width,
        config.upsampler_widths,
        config.head_width,
        config.window,
    )
