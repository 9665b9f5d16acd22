"""Metrics of images, motion and depth; those of images give one value per image.

The modules of motion, depth and time are imported by themselves, and so is
:mod:`core.metrics.lpips`: reconstruction has no use for them.
"""

from core.metrics.psnr import masked_psnr, psnr
from core.metrics.similarity import Similarity, compare
from core.metrics.ssim import ssim

__all__ = ["Similarity", "compare", "masked_psnr", "psnr", "ssim"]
