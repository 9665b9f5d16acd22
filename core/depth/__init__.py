"""Relative inverse depth of single images: Depth Anything V2."""

from core.depth.config import CONFIGS, DepthAnythingConfig, Encoder
from core.depth.depth_anything import DepthAnythingV2
from core.depth.weights import find_depth_weights, how_to_get_weights, load_depth_anything

__all__ = [
    "CONFIGS",
    "DepthAnythingConfig",
    "DepthAnythingV2",
    "Encoder",
    "find_depth_weights",
    "how_to_get_weights",
    "load_depth_anything",
]
