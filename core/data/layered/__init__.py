"""Clips of layers cut out of photographs, which move, deform and hide one another."""

from typing import TYPE_CHECKING

from core.data.layered.options import LayeredOptions
from core.lazy import offer

if TYPE_CHECKING:
    from core.data.layered.source import LayeredSource
    from core.data.layered.textures import TextureBank

__all__ = ["LayeredOptions", "LayeredSource", "TextureBank"]

__getattr__ = offer(
    __name__,
    {
        "core.data.layered.source": ["LayeredSource"],
        "core.data.layered.textures": ["TextureBank"],
    },
)
