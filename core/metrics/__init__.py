"""How good an image is: one value per image, no reduction over the batch."""

from core.metrics.psnr import psnr
from core.metrics.ssim import ssim

__all__ = ["psnr", "ssim"]
