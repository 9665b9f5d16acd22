"""The networks: from frames and inverse depth to dynamic Gaussians."""

from core.models.config import PRESETS, StreamSplatConfig
from core.models.factory import build_model, build_static_model
from core.models.hub import save_model
from core.models.keyframe import KeyFrame
from core.models.loading import load_dinov2, load_model, load_static_weights
from core.models.published import load_published_checkpoint
from core.models.static_model import EncodedFrames, StaticModel
from core.models.streamsplat import StreamSplat

__all__ = [
    "PRESETS",
    "EncodedFrames",
    "KeyFrame",
    "StaticModel",
    "StreamSplat",
    "StreamSplatConfig",
    "build_model",
    "build_static_model",
    "load_dinov2",
    "load_model",
    "load_published_checkpoint",
    "load_static_weights",
    "save_model",
]
