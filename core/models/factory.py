"""Builds the network of a configuration, of whichever kind."""

from __future__ import annotations

import torch

from core.models.config import ModelConfig
from core.models.matching.config import MatchingConfig
from core.models.matching.factory import (
    assemble_matching_network,
    build_matching_network,
    build_static_matching_model,
)
from core.models.matching.network import StaticMatchingModel
from core.models.network import Network
from core.models.transformer.factory import (
    assemble_transformer,
    build_static_transformer,
    build_transformer,
)
from core.models.transformer.static_model import StaticModel

StaticNetwork = StaticModel | StaticMatchingModel
"""Any network for single frames."""


def build_static_model(config: ModelConfig) -> StaticNetwork:
    """Build an untrained stage-1 network; the transformer samples its positions in training."""
    if isinstance(config, MatchingConfig):
        return build_static_matching_model(config)
    return build_static_transformer(config)


def build_model(config: ModelConfig) -> Network:
    """Build an untrained whole network.

    Where the configuration asks for DINOv2, its weights are still to be attached; see
    :func:`core.models.load_dinov2`.
    """
    if isinstance(config, MatchingConfig):
        return build_matching_network(config)
    return build_transformer(config)


def outline_model(config: ModelConfig) -> Network:
    """Build a whole network whose parameters have shapes, but neither values nor memory."""
    with torch.device("meta"):
        if isinstance(config, MatchingConfig):
            return assemble_matching_network(config)
        return assemble_transformer(config)
