"""The backend's entry: from validated inputs to images."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from diff_gaussian_rasterization_orth.cuda.launch import open_queue
from diff_gaussian_rasterization_orth.cuda.operators import render
from diff_gaussian_rasterization_orth.cuda.stages import Moving, NotFiniteError, count_pairs
from diff_gaussian_rasterization_orth.inputs import SceneInputs, check_finite
from diff_gaussian_rasterization_orth.outputs import Rasterization


def rasterize(
    inputs: SceneInputs,
    image_size: tuple[int, int],
    backgrounds: Float[Tensor, "b t 3"],
    *,
    max_pairs: int | None = None,
) -> Rasterization:
    """Render all scenes at all their times on the GPU; computes in float32 whatever the dtype.

    Waits for the device once, for the number of pairs of a tile and a Gaussian and whether all
    values are finite; not at all with ``max_pairs``.

    Raises:
        ValueError: If the tensors are not on a CUDA device, or not finite.
        RuntimeError: If the images are too many, or too full of Gaussians, for one call.
    """
    dtype = inputs.means.dtype
    moving = _moving(inputs)
    if backgrounds.dtype != torch.float32 or backgrounds.stride(-1) != 1:
        backgrounds = backgrounds.float().contiguous()
    if torch.compiler.is_compiling():
        images = render(*moving, backgrounds, *image_size, max_pairs)
    else:
        try:
            images = render(*moving, backgrounds, *image_size, max_pairs)
        except NotFiniteError:
            check_finite(inputs, backgrounds)
            raise ValueError(
                "rasterize: an argument is finite in torch.float64, but too large for the "
                "torch.float32 in which the cuda backend computes."
            ) from None
    if dtype == torch.float32:
        return Rasterization(*images[:3])
    return Rasterization(*(image.to(dtype) for image in images[:3]))


def pairs_needed(inputs: SceneInputs, image_size: tuple[int, int]) -> int:
    """Return how many pairs of a tile and a Gaussian the images hold; waits for the device."""
    moving = _moving(inputs)
    with torch.no_grad(), open_queue(inputs.means.device) as queue:
        return count_pairs(queue, moving, image_size)


def _moving(inputs: SceneInputs) -> Moving:
    """Return what the kernels read: contiguous, float32, on a CUDA device."""
    if inputs.means.device.type != "cuda":
        raise ValueError(
            f"rasterize: the cuda backend got tensors on {inputs.means.device}; move them with "
            '.cuda(), or use backend="cpu".'
        )
    return Moving(*[_plain(value) for _, value in inputs.named_tensors()])


def _plain(value: Tensor) -> Tensor:
    if value.dtype == torch.float32 and value.is_contiguous():
        return value
    return value.float().contiguous()
