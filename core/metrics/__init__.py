"""Image metrics: one value per image, no reduction over the batch.

:mod:`core.metrics.lpips` is imported by itself: reconstruction has no use for it.
"""

from core.metrics.psnr import psnr
from core.metrics.ssim import ssim

__all__ = ["psnr", "ssim"]
