"""Clips of layers cut out of photographs, which move, deform and hide one another."""

from core.data.layered.options import LayeredOptions
from core.data.layered.source import LayeredSource
from core.data.layered.textures import TextureBank

__all__ = ["LayeredOptions", "LayeredSource", "TextureBank"]
