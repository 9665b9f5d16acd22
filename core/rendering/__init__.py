"""Images of Gaussians; the only package that knows the rasteriser."""

from core.rendering.contributions import Contributions, Contributors, contributors
from core.rendering.orthographic import render
from core.rendering.steady import SteadyRenderer

__all__ = ["Contributions", "Contributors", "SteadyRenderer", "contributors", "render"]
