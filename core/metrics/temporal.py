"""How a sequence of images changes over time, beside how the truth does."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from core.metrics.psnr import weighted_psnr


def flow_difference(
    flows: Float[Tensor, "t h w 2"], true_flows: Float[Tensor, "t h w 2"]
) -> Float[Tensor, " t"]:
    """Temporal consistency tOF (Chu et al. 2020): the mean L1 distance of optical flows, pixels.

    Args:
        flows: Flow from each image to the next one.
        true_flows: The same of the truth, by the same method.

    Returns:
        ``mean(|u - u'| + |v - v'|)`` over the pixels; 0 is best.
    """
    return (flows - true_flows).abs().sum(dim=-1).mean(dim=(1, 2))


def difference_psnr(
    images: UInt8[Tensor, "t1 3 h w"], targets: UInt8[Tensor, "t1 3 h w"]
) -> Float[Tensor, " t"]:
    """PSNR of the differences between consecutive images against those of the truth, dB.

    Args:
        images: A sequence.
        targets: The truth.

    Returns:
        ``-10 log10(mean(((x[i+1] - x[i]) - (y[i+1] - y[i]))^2))`` over pixels and channels, for
        intensities in [0, 1]; what stays the same from image to image does not count.
    """
    error = (images.double() - targets.double()) / 255
    squared = error.diff(dim=0).square().mean(dim=1)
    return weighted_psnr(squared, torch.ones_like(squared))


def divergence_psnr(
    images: UInt8[Tensor, "t 3 h w"],
    targets: UInt8[Tensor, "t 3 h w"],
    flows: Float[Tensor, "t h w 2"],
) -> Float[Tensor, " t"]:
    """PSNR of luminance that counts errors more where the sequence's own motion diverges, dB.

    In the way of PSNR_DIV (Daly, Ramsook and Kokaram 2025, arXiv 2510.01361), with a weight of our
    own, ``1 + |du/dx + dv/dy|``.

    Args:
        images: A sequence without its last image.
        targets: The truth.
        flows: Optical flow from each image to the next one, pixels.
    """
    weights = 1 + _divergence(flows.double()).abs()
    return weighted_psnr((_luminance(images) - _luminance(targets)).square(), weights)


def _divergence(flows: Float[Tensor, "t h w 2"]) -> Float[Tensor, "t h w"]:
    """Return du/dx + dv/dy by central differences, one-sided ones at the edges."""
    (along_x,) = torch.gradient(flows[..., 0], dim=2)
    (along_y,) = torch.gradient(flows[..., 1], dim=1)
    return along_x + along_y


def _luminance(images: UInt8[Tensor, "t 3 h w"]) -> Float[Tensor, "t h w"]:
    """Return luma of ITU-R BT.709 in [0, 1]."""
    weights = torch.tensor([0.2126, 0.7152, 0.0722], dtype=torch.float64, device=images.device)
    return torch.einsum("tchw,c->thw", images.double() / 255, weights)
