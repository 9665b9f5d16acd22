"""Dynamic scenes in canonical space, seen by the orthographic camera at any times."""

from __future__ import annotations

import torch
from diff_gaussian_rasterization_orth import rasterize
from jaxtyping import Float
from torch import Tensor

from core.types import DynamicGaussians, RenderOutput


def render(
    gaussians: DynamicGaussians,
    times: Float[Tensor, "b t"],
    image_size: tuple[int, int],
    background: Float[Tensor, "*background 3"] | float = 0.5,
    *,
    backend: str = "auto",
    max_pairs: int | None = None,
) -> RenderOutput:
    """Render each scene at its own times, in one call; differentiable in every tensor.

    Under autocast, half-precision Gaussians are raised to float32 first: positions in half
    precision are coarser than a pixel. float64 stays what it is (``backend="reference"`` only).

    Args:
        gaussians: ``b`` scenes in canonical space.
        times: Pair times to render; 0 is the first key frame, 1 the second.
        image_size: Height and width in pixels.
        background: One grey value, one colour (3,), one a scene (b, 3), or one an image (b, t, 3).
        backend: ``"auto"``, ``"cpu"``, ``"cuda"`` or ``"reference"``.
        max_pairs: Room for pairs of a tile and a Gaussian on CUDA, so that the host does not wait;
            where it is too small the images are NaN. None measures what is needed.

    Raises:
        ValueError: If shapes, dtypes or devices do not match, or a value is not finite; the message
            names the argument and the place.
        RuntimeError: If the backend cannot be used on this machine.
    """
    dtype = torch.promote_types(gaussians.means.dtype, torch.float32)
    device = gaussians.means.device
    if not isinstance(background, Tensor):
        background = torch.full((3,), background, dtype=dtype, device=device)
    with torch.autocast(device.type, enabled=False):
        images = rasterize(
            **vars(gaussians.map(lambda tensor: _as(tensor, dtype))),
            times=times.to(dtype),
            image_size=image_size,
            backgrounds=background.to(dtype),
            backend=backend,
            max_pairs=max_pairs,
        )
    return RenderOutput(rgb=images.rgb, depth=images.depth, alpha=images.alpha)


def _as(tensor: Tensor, dtype: torch.dtype) -> Tensor:
    return tensor if tensor.dtype == dtype else tensor.to(dtype)  # a call less for the host
