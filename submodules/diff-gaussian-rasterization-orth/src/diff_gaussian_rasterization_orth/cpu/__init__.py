"""numba on all cores: tiles in order of depth, float32, with a backward pass of its own."""

from diff_gaussian_rasterization_orth.cpu.autograd import rasterize

__all__ = ["CHECKS_VALUES", "rasterize", "unavailable_reason"]

CHECKS_VALUES: bool = False
"""NaN and infinity are looked for before it is called."""


def unavailable_reason() -> str | None:
    """Return None: numba, which it needs, is among the package's dependencies."""
    return None
