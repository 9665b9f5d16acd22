"""Rendering of streams without waiting for the GPU in the middle of an image."""

from __future__ import annotations

import math

import torch
from diff_gaussian_rasterization_orth import pairs_needed
from jaxtyping import Float
from torch import Tensor

from core.rendering.orthographic import render
from core.types import DynamicGaussians, RenderOutput

_HEADROOM = 1.5
"""Allocated pairs over the most that an image has needed so far."""


class SteadyRenderer:
    """Renders like :func:`core.rendering.render`, on CUDA without waiting in the middle.

    The number of pairs of a tile and a Gaussian is known on the device only, after projection;
    ``render`` waits for it. Here memory is allocated for 1.5 times the pairs of the images before;
    at the end the host checks that this was enough, and else renders again. No gradients.
    """

    def __init__(self) -> None:
        self._pairs_an_image: dict[tuple[int, int], int] = {}

    @torch.no_grad()
    def __call__(
        self,
        gaussians: DynamicGaussians,
        times: Float[Tensor, "b t"],
        image_size: tuple[int, int],
        background: Float[Tensor, "*background 3"] | float = 0.5,
        *,
        backend: str = "auto",
    ) -> RenderOutput:
        """Render each scene at its own times; see :func:`core.rendering.render`.

        Raises:
            ValueError: As ``render``.
            RuntimeError: As ``render``.
        """
        on_cuda = gaussians.means.device.type == "cuda" and backend in ("auto", "cuda")
        if not on_cuda or not times.numel():
            return render(gaussians, times, image_size, background, backend=backend)
        known = self._pairs_an_image.get(image_size)
        if known is not None:
            room = math.ceil(_HEADROOM * known * times.numel())
            images = render(
                gaussians, times, image_size, background, backend=backend, max_pairs=room
            )
            # All pixels are NaN where the room was too small.
            if not math.isnan(images.rgb.flatten()[0].item()):
                return images
        images = render(gaussians, times, image_size, background, backend=backend)
        self._note(gaussians, times, image_size)
        return images

    def _note(
        self, gaussians: DynamicGaussians, times: Float[Tensor, "b t"], image_size: tuple[int, int]
    ) -> None:
        tensors = vars(gaussians.map(Tensor.float))
        moving = {name: tensor for name, tensor in tensors.items() if name != "colors"}
        pairs = pairs_needed(**moving, times=times.float(), image_size=image_size)
        known = self._pairs_an_image.get(image_size, 1)
        self._pairs_an_image[image_size] = max(known, math.ceil(pairs / times.numel()))
