"""numba on all cores: tiles in order of depth, float32, with a backward pass of its own."""

from diff_gaussian_rasterization_orth.cpu.autograd import rasterize

__all__ = ["rasterize", "unavailable_reason"]


def unavailable_reason() -> str | None:
    """Return None: numba, which it needs, is among the package's dependencies."""
    return None
