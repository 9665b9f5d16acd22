"""Metrics of images, motion and depth; those of images give one value per image.

The modules of motion, depth, time and optical flow are imported by themselves.
"""

from core.metrics.lpips import VGG16_FILE, Lpips, load_lpips
from core.metrics.psnr import masked_psnr, psnr
from core.metrics.similarity import Similarity, compare
from core.metrics.ssim import ssim

__all__ = [
    "VGG16_FILE",
    "Lpips",
    "Similarity",
    "compare",
    "load_lpips",
    "masked_psnr",
    "psnr",
    "ssim",
]
