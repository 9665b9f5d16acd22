"""The networks: from frames and inverse depth to dynamic Gaussians."""

from core.models.config import PRESETS, StreamSplatConfig
from core.models.factory import build_model, build_static_model
from core.models.model_files import (
    load_dinov2,
    load_model,
    load_static_weights,
    load_weights,
    push_model,
    save_model,
)
from core.models.static_model import StaticModel
from core.models.streamsplat import KeyFrame, StreamSplat

__all__ = [
    "PRESETS",
    "KeyFrame",
    "StaticModel",
    "StreamSplat",
    "StreamSplatConfig",
    "build_model",
    "build_static_model",
    "load_dinov2",
    "load_model",
    "load_static_weights",
    "load_weights",
    "push_model",
    "save_model",
]
