"""Image metrics: one value per image, no reduction over the batch."""

from core.metrics.lpips import VGG16_FILE, Lpips, load_lpips
from core.metrics.psnr import psnr
from core.metrics.ssim import ssim

__all__ = ["VGG16_FILE", "Lpips", "load_lpips", "psnr", "ssim"]
