"""Builds the published network, untrained."""

from __future__ import annotations

from torch import nn

from core.models.transformer.config import StreamSplatConfig
from core.models.transformer.dino import DinoEncoder
from core.models.transformer.dynamic_model import ConditionEncoder, DynamicDecoder, DynamicModel
from core.models.transformer.heads import DynamicHeads, StaticHeads, three_layer_mlp
from core.models.transformer.initialization import initialize
from core.models.transformer.network import StreamSplat
from core.models.transformer.static_model import StaticEncoder, StaticModel
from core.models.transformer.truncated_gaussian import TanhHead, TruncatedGaussianHead
from core.models.transformer.upsampler import Upsampler


def build_static_transformer(config: StreamSplatConfig) -> StaticModel:
    """Build the part for single frames, untrained; it samples its positions in training."""
    width = config.upsampler_widths[-1]
    position = TruncatedGaussianHead(nn.Linear(width, 3), nn.Linear(width, 3, bias=False))
    model = _static_model(config, position)
    initialize(model)
    return model


def build_transformer(config: StreamSplatConfig) -> StreamSplat:
    """Build the whole network, untrained; its static positions are deterministic.

    Where the configuration asks for DINOv2, its weights are still to be attached; see
    :func:`core.models.load_dinov2`.
    """
    model = assemble_transformer(config)
    initialize(model)
    return model


def assemble_transformer(config: StreamSplatConfig) -> StreamSplat:
    """Put the whole network together; its weights are still to be set."""
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
