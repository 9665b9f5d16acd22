"""Procedural clips: layered scenes with exact depth, masks and motion, on any device."""

from core.data.procedural.options import ProceduralOptions
from core.data.procedural.scenes import ProceduralScenes, SceneViews, Tracks
from core.data.procedural.source import ProceduralSource

__all__ = ["ProceduralOptions", "ProceduralScenes", "ProceduralSource", "SceneViews", "Tracks"]
