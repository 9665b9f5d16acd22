"""One picture of what a network makes of a few samples."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

import cv2
import numpy as np
import torch
from accelerate import Accelerator
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from core.geometry.motion import displace_means
from core.io.stills.sheets import Panel, draw_sheet
from core.metrics import psnr
from core.rendering import render
from core.training.reporting.validation import evaluating
from core.training.stages.stage import Stage
from core.types import ClipBatch, DynamicGaussians

_ROWS = 6
_WIDTH = 1920
"""Pixels that a sheet shall not be wider than by much: what a screen shows at once."""
_MIN_PANEL_WIDTH = 320
_REACH_QUANTILE = 0.98
_MIN_REACH_PX = 1.0
_WHITE = 255
_SOLID_ALPHA = 0.1


def draw_samples(
    accelerator: Accelerator,
    stage: Stage,
    model: nn.Module,
    sets: Mapping[str, Sequence[ClipBatch]],
) -> UInt8[np.ndarray, "h w 3"]:
    """Reconstruct a few samples of each set and lay them out, one row a sample.

    Input, rendering and depth of the first key frame; for samples of several frames the motion
    between the key frames, and truth and rendering of a frame in the middle. Where there are many
    panels they are smaller than the frames.

    Args:
        accelerator: Knows the device.
        stage: Knows how to reconstruct.
        model: The network, which is put into evaluation mode and back.
        sets: Samples by the set's name.

    Raises:
        NonFiniteSceneError: If the network's output cannot be rendered.
    """
    rows = []
    with evaluating(model):
        for name, batches in sets.items():
            for index, batch in enumerate(batches[: max(_ROWS // len(sets), 1)]):
                sample = batch.to(accelerator.device)
                rows.append(_panels(f"{name} {index}", stage, model, sample))
    return draw_sheet(rows)


def _panels(name: str, stage: Stage, model: nn.Module, batch: ClipBatch) -> list[Panel]:
    output = stage.reconstruct(model, batch)
    views, frames = output.views, batch.frames[0]
    images = views.rgb[0].clamp(0, 1)
    quality = psnr(images, frames).tolist()
    panels = [
        color_panel(f"{name}: input", frames[0]),
        color_panel(f"rendered, {quality[0]:.1f} dB", images[0]),
        depth_panel("rendered depth", views.depth[0, 0], views.alpha[0, 0]),
    ]
    if stage.trains_dynamic:
        middle = len(frames) // 2
        time = batch.times[0, middle].item()
        backend = stage.options.rasterizer
        panels += [
            _motion_panel(output.gaussians, batch.times[:1, middle], images.shape[-2:], backend),
            color_panel(f"truth at t = {time:.2f}", frames[middle]),
            color_panel(f"rendered at t = {time:.2f}, {quality[middle]:.1f} dB", images[middle]),
        ]
    width = max(_WIDTH // len(panels), _MIN_PANEL_WIDTH)
    return [shrink(panel, width) for panel in panels]


def _motion_panel(
    gaussians: DynamicGaussians, time: Float[Tensor, "1"], size: Sequence[int], backend: str
) -> Panel:
    """Show how Gaussians move between key frames: hue is direction, saturation distance.

    Full colour is at least a pixel, so that what hardly moves is white.
    """
    height, width = size
    forward = 1.0 - 2.0 * gaussians.anchor_times  # until the other key frame
    moved = displace_means(torch.zeros_like(gaussians.means), gaussians.motion, forward)
    moved = moved * forward[..., None]
    right, up = moved[..., 0] * width / 2, moved[..., 2] * height / 2  # pixels
    distance = torch.hypot(right, up)
    reach = distance.quantile(_REACH_QUANTILE).clamp_min(_MIN_REACH_PX)
    hue = torch.atan2(up, right) / (2 * math.pi)
    colors = _color_wheel(hue, (distance / reach).clamp(max=1.0))
    seen = render(
        replace(gaussians, colors=colors), time[:, None], (height, width), 1.0, backend=backend
    )
    return color_panel(f"motion, full colour is {reach.item():.1f} px", seen.rgb[0, 0])


def _color_wheel(
    hue: Float[Tensor, "b n"], saturation: Float[Tensor, "b n"]
) -> Float[Tensor, "b n 3"]:
    """Return the brightest colours of a hue (1 is a full turn) and saturation; 0 is white."""
    offsets = torch.tensor([0.0, 4.0, 2.0], device=hue.device)
    pure = (((6 * hue[..., None] + offsets) % 6 - 3).abs() - 1).clamp(0, 1)
    return 1 - saturation[..., None] * (1 - pure)


def color_panel(label: str, image: Float[Tensor, "3 h w"]) -> Panel:
    """Show colours in [0, 1]."""
    values = (image.detach().clamp(0, 1) * 255).round().byte()
    return Panel(label, values.permute(1, 2, 0).cpu().numpy())


def depth_panel(label: str, depth: Float[Tensor, "1 h w"], alpha: Float[Tensor, "1 h w"]) -> Panel:
    """Show the inverse of a rendered depth, warm is near; white where hardly anything is.

    Colours span the 2nd to the 98th percentile, so that a few stray Gaussians do not wash out the
    rest.

    Args:
        label: Says what is seen.
        depth: Alpha-weighted sum of depths, as rendered.
        alpha: Accumulated opacity.
    """
    solid = (alpha[0] > _SOLID_ALPHA).cpu().numpy()
    inverse = (alpha / depth.clamp_min(1e-6)).detach()[0].float().cpu().numpy()
    low, high = np.percentile(inverse[solid], (2, 98)) if solid.any() else (0.0, 1.0)
    scaled = np.clip((inverse - low) / max(high - low, 1e-6), 0, 1)
    colors = cv2.applyColorMap((scaled * 255).astype(np.uint8), cv2.COLORMAP_TURBO)
    return Panel(label, np.where(solid[..., None], colors[..., ::-1], np.uint8(_WHITE)))


def shrink(panel: Panel, max_width: int) -> Panel:
    """Return a panel no wider than ``max_width``, whose pixels are means of those they cover."""
    height, width = panel.image.shape[:2]
    if width <= max_width:
        return panel
    size = (max_width, max(round(height * max_width / width), 1))
    return replace(panel, image=cv2.resize(panel.image, size, interpolation=cv2.INTER_AREA))
