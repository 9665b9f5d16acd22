"""Plain PyTorch on any device, in float32 or float64: slow, the reference of all tests."""

from diff_gaussian_rasterization_orth.reference.blending import rasterize

__all__ = ["CHECKS_VALUES", "rasterize", "unavailable_reason"]

CHECKS_VALUES: bool = False
"""NaN and infinity are looked for before it is called."""


def unavailable_reason() -> str | None:
    """Return None: it runs wherever PyTorch does."""
    return None
