"""Rendering of streams without waiting for the GPU in the middle of an image."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache

import torch
from diff_gaussian_rasterization_orth import pairs_needed
from jaxtyping import Float
from torch import Tensor

from core.devices import Download
from core.recording import Recorded
from core.rendering.orthographic import render
from core.types import DynamicGaussians, RenderOutput

_HEADROOM = 1.5
"""Allocated pairs over the most that an image has needed so far."""


class SteadyRenderer:
    """Renders like :func:`core.rendering.render`, on CUDA without waiting in the middle.

    The number of pairs of a tile and a Gaussian is known on the device only, after projection;
    ``render`` waits for it. Here memory is allocated for 1.5 times the pairs of the images before;
    at the end the host checks that this was enough, and else renders again. The kernels for images
    of one size are recorded as a CUDA graph. No gradients.
    """

    def __init__(self) -> None:
        self._pairs_an_image: dict[tuple[int, int], int] = {}
        self._recordings: dict[tuple[int, int], Callable[..., RenderOutput]] = {}

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
        return self.start(gaussians, times, image_size, background, backend=backend)()

    @torch.no_grad()
    def start(
        self,
        gaussians: DynamicGaussians,
        times: Float[Tensor, "b t"],
        image_size: tuple[int, int],
        background: Float[Tensor, "*background 3"] | float = 0.5,
        *,
        backend: str = "auto",
    ) -> Callable[[], RenderOutput]:
        """Start to render, and return what checks and gives the images.

        Between the two the host may give the device more to do.

        Raises:
            ValueError: As ``render``, now or from what is returned.
            RuntimeError: As ``render``.
        """
        on_cuda = gaussians.means.device.type == "cuda" and backend in ("auto", "cuda")
        steady = on_cuda and times.numel() > 0 and gaussians.num_gaussians > 0
        if not steady or image_size not in self._recordings:
            images = render(gaussians, times, image_size, background, backend=backend)
            if steady:
                self._note(gaussians, times, image_size)
            return lambda: images
        if not isinstance(background, Tensor):
            background = _grey(background, gaussians.means.device)
        images = self._recordings[image_size](gaussians, times, background)
        # All pixels are NaN where the room was too small.
        pixel = Download(images.rgb.flatten()[:1])

        @torch.no_grad()
        def checked() -> RenderOutput:
            if not math.isnan(pixel.result().item()):
                return images
            again = render(gaussians, times, image_size, background, backend=backend)
            self._note(gaussians, times, image_size)
            return again

        return checked

    def _note(
        self, gaussians: DynamicGaussians, times: Float[Tensor, "b t"], image_size: tuple[int, int]
    ) -> None:
        tensors = vars(gaussians.map(Tensor.float))
        moving = {name: tensor for name, tensor in tensors.items() if name != "colors"}
        pairs = pairs_needed(**moving, times=times.float(), image_size=image_size)
        known = max(self._pairs_an_image.get(image_size, 1), math.ceil(pairs / times.numel()))
        self._pairs_an_image[image_size] = known

        def draw(gaussians: DynamicGaussians, times: Tensor, background: Tensor) -> RenderOutput:
            room = math.ceil(_HEADROOM * known * times.numel())
            return render(gaussians, times, image_size, background, max_pairs=room)

        self._recordings[image_size] = Recorded(draw, plain_calls=2)


@lru_cache(maxsize=4)
@torch.inference_mode(False)
def _grey(value: float, device: torch.device) -> Float[Tensor, "3"]:
    return torch.full((3,), value, device=device)
