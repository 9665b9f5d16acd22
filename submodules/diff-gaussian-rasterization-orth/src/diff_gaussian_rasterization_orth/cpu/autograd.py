"""The backend's entry: from tensors to kernels and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

from diff_gaussian_rasterization_orth.cpu.images import (
    Images,
    Scenes,
    render,
    render_backward,
)
from diff_gaussian_rasterization_orth.inputs import SceneInputs
from diff_gaussian_rasterization_orth.outputs import Rasterization


def rasterize(
    inputs: SceneInputs,
    image_size: tuple[int, int],
    backgrounds: Float[Tensor, "b t 3"],
    *,
    max_pairs: int | None = None,
) -> Rasterization:
    """Render all scenes at all their times; differentiable in every tensor, once.

    Tensors of another device are copied to the host, and the images back.

    Raises:
        ValueError: For float64 tensors.
    """
    if inputs.means.dtype != torch.float32:
        raise ValueError(
            f'rasterize: the tensors are {inputs.means.dtype}, but backend "cpu" computes in '
            'torch.float32; convert them, or ask for backend="reference".'
        )
    device = inputs.means.device
    tensors = [value.cpu() for _, value in inputs.named_tensors()]
    backgrounds = backgrounds.cpu()
    # Asked here, since gradients are always off inside a Function.
    keep = torch.is_grad_enabled() and any(value.requires_grad for value in (backgrounds, *tensors))
    images = _Rasterize.apply(image_size, keep, backgrounds, *tensors)
    return Rasterization(*(image.to(device) for image in images))


class _Rasterize(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, image_size: tuple[int, int], keep: bool, backgrounds: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        scenes = Scenes(*(_array(tensor) for tensor in tensors))
        images, ctx.sorted_splats = render(scenes, image_size, _array(backgrounds), keep=keep)
        outputs = tuple(torch.from_numpy(image) for image in images)
        ctx.save_for_backward(*tensors, *outputs)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(  # type: ignore[override]
        ctx: Any, *v_images: Tensor
    ) -> tuple[Tensor | None, ...]:
        *tensors, rgb, depth, alpha = ctx.saved_tensors
        v_scenes = render_backward(
            Scenes(*(_array(tensor) for tensor in tensors)),
            ctx.sorted_splats,
            Images(*(_array(image) for image in (rgb, depth, alpha))),
            Images(*(_array(v_image) for v_image in v_images)),
        )
        v_backgrounds = ((1 - alpha) * v_images[0]).sum((-2, -1))
        return None, None, v_backgrounds, *(torch.from_numpy(value) for value in v_scenes)


def _array(tensor: Tensor) -> np.ndarray[Any, np.dtype[np.float32]]:
    return tensor.detach().contiguous().numpy()
