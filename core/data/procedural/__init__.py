"""Procedural clips, layered and in perspective, with exact depth, masks and motion."""

from typing import TYPE_CHECKING

from core.data.procedural.options import ProceduralOptions
from core.lazy import offer

if TYPE_CHECKING:
    from core.data.procedural.scenes import ProceduralScenes, SceneViews, Tracks
    from core.data.procedural.source import ProceduralSource

__all__ = ["ProceduralOptions", "ProceduralScenes", "ProceduralSource", "SceneViews", "Tracks"]

__getattr__ = offer(
    __name__,
    {
        "core.data.procedural.scenes": ["ProceduralScenes", "SceneViews", "Tracks"],
        "core.data.procedural.source": ["ProceduralSource"],
    },
)
