"""The networks: from frames and inverse depth to dynamic Gaussians."""

from core.models.config import PRESETS, ModelConfig
from core.models.factory import (
    StaticNetwork,
    build_model,
    build_static_model,
)
from core.models.matching.config import MatchingConfig
from core.models.matching.network import MatchedPair, MatchingNetwork, StaticMatchingModel
from core.models.model_files import (
    files_of_model,
    load_dinov2,
    load_model,
    load_static_weights,
    load_weights,
    push_model,
    save_model,
    weights_file,
)
from core.models.network import Network
from core.models.transformer.config import StreamSplatConfig
from core.models.transformer.network import KeyFrame, StreamSplat
from core.models.transformer.static_model import StaticModel

__all__ = [
    "PRESETS",
    "KeyFrame",
    "MatchedPair",
    "MatchingConfig",
    "MatchingNetwork",
    "ModelConfig",
    "Network",
    "StaticMatchingModel",
    "StaticModel",
    "StaticNetwork",
    "StreamSplat",
    "StreamSplatConfig",
    "build_model",
    "build_static_model",
    "files_of_model",
    "load_dinov2",
    "load_model",
    "load_static_weights",
    "load_weights",
    "push_model",
    "save_model",
    "weights_file",
]
