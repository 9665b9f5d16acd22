"""Depth Anything V2: relative inverse depth of a single image (Yang et al. 2024)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from core.depth.backbone import PATCH_SIZE, TappedTransformer
from core.depth.config import DepthAnythingConfig
from core.depth.dpt_head import DepthHead

_SHORTER_SIDE = 518
_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)


class DepthAnythingV2(nn.Module):
    """The network; :func:`core.depth.load_depth_anything` builds it with published weights.

    Args:
        config: Its size.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: DepthAnythingConfig) -> None:
        super().__init__()
        self.config = config
        # On the device beforehand: fetching them from the host would make it wait, frame by frame.
        # With values even where weights, which are still to be read, have none.
        for name, values in (("mean", _IMAGENET_MEAN), ("std", _IMAGENET_STD)):
            constant = torch.tensor(values, device="cpu")[:, None, None]
            self.register_buffer(name, constant, persistent=False)
        self.backbone = TappedTransformer(config)
        self.head = DepthHead(config)

    def forward(self, pixels: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 1 h w"]:
        """Return relative inverse depth, at least 0, large is near; float32.

        Args:
            pixels: What :meth:`prepare` returns.
        """
        tapped = self.backbone(pixels)
        # Half precision would leave visible steps in smooth depth.
        with torch.autocast(pixels.device.type, enabled=False):
            tokens = [tap.float() for tap in tapped]
            return self.head(tokens, (pixels.shape[-2], pixels.shape[-1]))

    def prepare(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h2 w2"]:
        """Resample images cubically to :func:`network_size` and standardise them as ImageNet's.

        The cubic kernel is OpenCV's (a = -0.75, no antialiasing), with which the weights were
        trained.

        Args:
            images: RGB in [0, 1].
        """
        size = network_size(images.shape[-2], images.shape[-1])
        pixels = F.interpolate(images.float(), size, mode="bicubic", align_corners=False)
        return (pixels - self.mean) / self.std

    @torch.inference_mode()
    def infer(
        self, images: Float[Tensor, "b 3 h w"], *, autocast: bool = False
    ) -> Float[Tensor, "b 1 h w"]:
        """Estimate the depth of images of one size, all in one pass of the network.

        Args:
            images: RGB in [0, 1], on the network's device.
            autocast: Run the transformer in float16; on CUDA only.

        Returns:
            Relative inverse depth at the images' size: at least 0, large is near, each image in a
            scale of its own.

        Raises:
            ValueError: If the images are not of that shape and type, or ``autocast`` is asked for
                on another device than CUDA.
        """
        if images.ndim != 4 or images.shape[1] != 3 or not images.is_floating_point():
            raise ValueError(
                f"infer: got {images.dtype} of shape {tuple(images.shape)}; expected RGB "
                "in [0, 1], floating point, of shape (b, 3, h, w)."
            )
        if autocast and images.device.type != "cuda":
            raise ValueError(f"infer: autocast needs a CUDA device, not {images.device}.")
        return self.estimate(images, autocast=autocast)

    def estimate(
        self, images: Float[Tensor, "b 3 h w"], *, autocast: bool
    ) -> Float[Tensor, "b 1 h w"]:
        """Do what :meth:`infer` does, without its checks and with gradients."""
        pixels = self.prepare(images)
        with torch.autocast(images.device.type, torch.float16, enabled=autocast):
            depth = self(pixels)
        size = (images.shape[-2], images.shape[-1])
        return F.interpolate(depth, size, mode="bilinear", align_corners=True)


def network_size(height: int, width: int) -> tuple[int, int]:
    """Return the height and width at which the network sees an image.

    The shorter side becomes 518, the other keeps the aspect up to the nearest multiple of 14.
    """
    scale = max(_SHORTER_SIDE / height, _SHORTER_SIDE / width)

    def side(length: int) -> int:
        return max(round(length * scale / PATCH_SIZE) * PATCH_SIZE, _SHORTER_SIDE)

    return side(height), side(width)
