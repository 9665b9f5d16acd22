"""Relative inverse depth of single images: Depth Anything V2."""

from typing import TYPE_CHECKING

from core.depth.config import CONFIGS, DepthAnythingConfig, Encoder
from core.lazy import offer

if TYPE_CHECKING:
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

__getattr__ = offer(
    __name__,
    {
        "core.depth.depth_anything": ["DepthAnythingV2"],
        "core.depth.weights": ["find_depth_weights", "how_to_get_weights", "load_depth_anything"],
    },
)
