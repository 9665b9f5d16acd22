"""Procedural clips, layered and in perspective, with exact depth, masks and motion."""

from core.data.procedural.options import ProceduralOptions
from core.data.procedural.scenes import ProceduralScenes, SceneViews, Tracks
from core.data.procedural.source import ProceduralSource

__all__ = ["ProceduralOptions", "ProceduralScenes", "ProceduralSource", "SceneViews", "Tracks"]
