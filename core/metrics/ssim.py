"""Structural similarity."""

from __future__ import annotations

from functools import cache

import torch
from jaxtyping import Float
from torch import Tensor

from core.devices import has_c_compiler

_WINDOW = 11
_SIGMA = 1.5
_C1 = 0.01**2
_C2 = 0.03**2
_ORIGIN = 0.5
_WORTH_KERNELS = 4_000_000
"""Values from which on kernels pay for Triton, whose import takes a second; of a training batch."""


def ssim(
    images: Float[Tensor, "b c h w"], targets: Float[Tensor, "b c h w"]
) -> Float[Tensor, " b"]:
    """Structural similarity of each image (Wang et al. 2004), for a data range of 1.

    An 11 by 11 Gaussian window of sigma 1.5, K1 = 0.01, K2 = 0.03, population covariance,
    averaged over channels and over the windows that lie inside the image: nothing is padded. This
    is what scikit-image computes with ``gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False``, which crops the border that its padding touched.

    On CUDA, many float32 images have no gradient.

    Args:
        images: Values in [0, 1]; computed in float64 if they are of it, else in float32.
        targets: The truth, of the same shape.

    Returns:
        One value per image, in [-1, 1].

    Raises:
        ValueError: If the shapes differ, or the images are smaller than the window.
    """
    if images.shape != targets.shape:
        raise ValueError(
            f"ssim: images have shape {tuple(images.shape)}, targets {tuple(targets.shape)}; "
            "expected the same."
        )
    if min(images.shape[-2:]) < _WINDOW:
        raise ValueError(
            f"ssim: images are {images.shape[-2]} by {images.shape[-1]} pixels; the window needs "
            f"at least {_WINDOW} by {_WINDOW}."
        )
    dtype = torch.promote_types(images.dtype, torch.float32)
    # Triton compiles its launchers.
    is_worth_it = images.is_cuda and images.numel() >= _WORTH_KERNELS
    if is_worth_it and dtype == torch.float32 and has_c_compiler():
        from core.metrics.ssim_kernel import ssim_in_kernels

        images, targets = images.to(dtype), targets.to(dtype)
        return ssim_in_kernels(images, targets, _taps(), origin=_ORIGIN, c1=_C1, c2=_C2)
    # Variances do not depend on the origin; around 0 their rounding errors are a quarter as large.
    x, y = images.to(dtype) - _ORIGIN, targets.to(dtype) - _ORIGIN
    # Of the squares their sum is enough.
    mean_x, mean_y, squares, products = _blur(torch.stack([x, y, x * x + y * y, x * y]))
    variances = squares - mean_x.square() - mean_y.square()
    covariance = products - mean_x * mean_y
    mean_x, mean_y = mean_x + _ORIGIN, mean_y + _ORIGIN
    luminance = (2 * mean_x * mean_y + _C1) / (mean_x.square() + mean_y.square() + _C1)
    structure = (2 * covariance + _C2) / (variances + _C2)
    return (luminance * structure).mean(dim=(1, 2, 3))


@cache
def _taps() -> tuple[float, ...]:
    """Return the weights of the Gaussian window along one axis."""
    offsets = torch.arange(_WINDOW, dtype=torch.float64) - _WINDOW // 2
    weights = torch.exp(-0.5 * (offsets / _SIGMA) ** 2)
    return tuple((weights / weights.sum()).tolist())


def _blur(values: Float[Tensor, "*b h w"]) -> Float[Tensor, "*b hv wv"]:
    """Average under the Gaussian window, at the positions where it fits.

    Weighted sums of shifted views rather than a convolution, whose TF32 arithmetic on a GPU would
    drown the variances of smooth regions.
    """
    taps = _taps()
    height, width = values.shape[-2] - _WINDOW + 1, values.shape[-1] - _WINDOW + 1
    rows = taps[0] * values[..., :height, :]
    for i in range(1, _WINDOW):
        rows.add_(values[..., i : i + height, :], alpha=taps[i])
    columns = taps[0] * rows[..., :width]
    for i in range(1, _WINDOW):
        columns.add_(rows[..., i : i + width], alpha=taps[i])
    return columns
