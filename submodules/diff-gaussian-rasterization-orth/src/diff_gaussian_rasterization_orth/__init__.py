"""Differentiable orthographic rasterisation of dynamic 3D Gaussians."""

from diff_gaussian_rasterization_orth.api import pairs_needed, rasterize
from diff_gaussian_rasterization_orth.backends import available_backends
from diff_gaussian_rasterization_orth.outputs import Rasterization

__all__ = ["Rasterization", "available_backends", "pairs_needed", "rasterize"]
