"""Plain PyTorch on any device, in float32 or float64: short, slow, and the authority."""

from diff_gaussian_rasterization_orth.reference.blending import rasterize

__all__ = ["rasterize", "unavailable_reason"]


def unavailable_reason() -> str | None:
    """Return None: it runs wherever PyTorch does."""
    return None
