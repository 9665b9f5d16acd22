"""Optical flow between two images by OpenCV's DIS, warping, and where flow can be trusted."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float, Float32, UInt8
from torch import Tensor


def dis_flow(
    first: UInt8[Tensor, "3 h w"], second: UInt8[Tensor, "3 h w"]
) -> Float[Tensor, "h w 2"]:
    """Return the displacement (u, v) in pixels of each pixel of ``first`` until ``second``.

    Dense inverse search (Kroeger et al. 2016) with OpenCV's preset MEDIUM, on grey images.
    """
    grey = [
        cv2.cvtColor(rearrange(image.cpu(), "c h w -> h w c").numpy(), cv2.COLOR_RGB2GRAY)
        for image in (first, second)
    ]
    return torch.from_numpy(grey_flow(*grey)).to(first.device)


def grey_flow(
    first: UInt8[np.ndarray, "h w"], second: UInt8[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w 2"]:
    """Return :func:`dis_flow` of grey images."""
    return _flow(cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM), first, second)


def fine_flow(
    first: UInt8[np.ndarray, "h w"], second: UInt8[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w 2"]:
    """Return :func:`grey_flow`, but sought at full resolution, for about three times the time."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    dis.setFinestScale(0)
    return _flow(dis, first, second)


def _flow(
    dis: cv2.DISOpticalFlow, first: UInt8[np.ndarray, "h w"], second: UInt8[np.ndarray, "h w"]
) -> Float32[np.ndarray, "h w 2"]:
    # A field in place of None, of zeros as well, would be where the search begins at every scale;
    # the stubs do not know None.
    return dis.calc(first, second, None)  # pyright: ignore[reportCallIssue, reportArgumentType]


def warp(
    images: Float[Tensor, "b c h w"], displacements: Float[Tensor, "b h w 2"]
) -> Float[Tensor, "b c h w"]:
    """Return images whose pixels are those of ``images`` at ``displacements`` (u, v) from there.

    Bilinear; beyond its edge an image goes on as at the edge.
    """
    height, width = images.shape[-2:]
    grid = (2 * _arrivals(displacements) + 1) / displacements.new_tensor([width, height]) - 1
    return F.grid_sample(images, grid.to(images), padding_mode="border", align_corners=False)


def agreement(
    forward: Float[Tensor, "h w 2"], backward: Float[Tensor, "h w 2"], tolerance_px: float = 1.0
) -> Bool[Tensor, "h w"]:
    """Return where a pixel that follows ``forward`` and then ``backward`` comes home.

    Args:
        forward: Displacements from the first image to the second, pixels.
        backward: Displacements from the second to the first, taken bilinearly where the pixel
            arrives.
        tolerance_px: By how much it may miss its place. Pixels that leave the image do not agree.
    """
    height, width = forward.shape[:2]
    back = warp(rearrange(backward, "h w uv -> 1 uv h w"), forward[None])
    miss = (forward + rearrange(back, "1 uv h w -> h w uv")).norm(dim=-1)
    u, v = _arrivals(forward).unbind(-1)
    inside = (u >= -0.5) & (u < width - 0.5) & (v >= -0.5) & (v < height - 0.5)
    return inside & (miss <= tolerance_px)


def _arrivals(displacements: Float[Tensor, "*batch h w 2"]) -> Float[Tensor, "*batch h w 2"]:
    """Return the pixel coordinates (u, v) that displacements lead to."""
    height, width = displacements.shape[-3:-1]
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack((u, v), dim=-1).to(displacements.device) + displacements
