"""Images as they are compared: 8 bits, the truth at the network's size."""

from __future__ import annotations

from einops import rearrange
from jaxtyping import Float, UInt8
from torch import Tensor

from core.geometry.resample import resize


def as_bytes(images: Float[Tensor, "n 3 h w"]) -> UInt8[Tensor, "n 3 h w"]:
    """Clamp to [0, 1] and round to 8 bits."""
    return (images.clamp(0, 1) * 255).round().byte()


def as_floats(images: UInt8[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Return intensities in [0, 1]."""
    return images.float() / 255


def at_network_size(
    images: UInt8[Tensor, "n 3 h w"], network_size: tuple[int, int]
) -> UInt8[Tensor, "n 3 height width"]:
    """Bring images to the network's size, and round them to 8 bits again."""
    if images.shape[-2:] == network_size:
        return images
    return as_bytes(resize(as_floats(images), network_size))


def at_comparison_size(
    images: UInt8[Tensor, "n 3 h w"], network_size: tuple[int, int], size: tuple[int, int]
) -> Float[Tensor, "n 3 height width"]:
    """Bring images to the size at which they are compared, in [0, 1].

    Images that are at least as high and as wide as the network's pass its size on the way, as the
    truth does: a copy of a frame then equals it. Smaller ones are resized directly.
    """
    if images.shape[-2] >= network_size[0] and images.shape[-1] >= network_size[1]:
        images = at_network_size(images, network_size)
    floats = as_floats(images)
    return floats if floats.shape[-2:] == size else resize(floats, size)


def as_tensor(images: UInt8[Tensor, "n h w 3"]) -> UInt8[Tensor, "n 3 h w"]:
    """Put the channels first."""
    return rearrange(images, "n h w c -> n c h w").contiguous()
