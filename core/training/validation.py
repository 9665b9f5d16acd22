"""How good the network is on samples that it does not learn from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor, nn

from core.io.sheets import Panel, draw_sheet
from core.metrics import psnr, ssim
from core.training.pictures import color_panel, depth_panel
from core.training.stage import Stage
from core.types import ClipBatch, RenderOutput

_ROWS_A_SET = 3


@dataclass(frozen=True)
class Validation:
    """Outcome of a validation."""

    metrics: dict[str, float]
    """Means by set and metric, for example ``procedural/psnr_middle``."""
    picture: UInt8[ndarray, "h w 3"]
    """The first samples of each set: what was given and what was rendered."""


@torch.no_grad()
def validate(stage: Stage, model: nn.Module, sets: Mapping[str, Sequence[ClipBatch]]) -> Validation:
    """Reconstruct every sample of every set over grey.

    The model is put into evaluation mode, and back into training mode.

    Args:
        stage: Knows how to reconstruct.
        model: The network.
        sets: Samples by the set's name.
    """
    model.eval()
    metrics: dict[str, float] = {}
    rows: list[list[Panel]] = []
    for name, batches in sets.items():
        values: list[dict[str, Tensor]] = []
        for index, batch in enumerate(batches):
            rendered = stage.reconstruct(model, batch)
            values.append(_measure(rendered.rgb.clamp(0, 1), batch.frames))
            if index < _ROWS_A_SET:
                rows.append(_panels(f"{name} {index}", batch, rendered))
        for metric in values[0]:
            mean = torch.stack([value[metric] for value in values]).mean()
            metrics[f"{name}/{metric}"] = mean.item()
    model.train()
    return Validation(metrics, draw_sheet(rows))


def _measure(
    rendered: Float[Tensor, "b v 3 h w"], frames: Float[Tensor, "b v 3 h w"]
) -> dict[str, Tensor]:
    """Measure the key frames, which were given, and those strictly between them."""
    given = [0] if frames.shape[1] == 1 else [0, frames.shape[1] - 1]
    groups = {"given": given, "middle": list(range(1, frames.shape[1] - 1))}
    return {
        f"{metric.__name__}_{name}": metric(
            rendered[:, views].flatten(0, 1), frames[:, views].flatten(0, 1)
        ).mean()
        for name, views in groups.items()
        for metric in (psnr, ssim)
        if views
    }


def _panels(name: str, batch: ClipBatch, rendered: RenderOutput) -> list[Panel]:
    frames, images = batch.frames[0], rendered.rgb[0].clamp(0, 1)
    quality = psnr(images, frames).tolist()
    depth = depth_panel("rendered depth", rendered.depth[0, 0], rendered.alpha[0, 0])
    panels = [
        color_panel(f"{name}: input", frames[0]),
        color_panel(f"rendered, {quality[0]:.1f} dB", images[0]),
        depth,
    ]
    if len(frames) > 2:
        middle = len(frames) // 2
        time = batch.times[0, middle].item()
        panels += [
            color_panel(f"truth at t = {time:.2f}", frames[middle]),
            color_panel(f"rendered at t = {time:.2f}, {quality[middle]:.1f} dB", images[middle]),
        ]
    return panels
