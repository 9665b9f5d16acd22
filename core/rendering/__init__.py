"""Images of Gaussians; the only package that knows the rasteriser."""

from core.rendering.contributions import Contributions, contributors
from core.rendering.orthographic import render

__all__ = ["Contributions", "contributors", "render"]
