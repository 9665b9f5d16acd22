"""Metrics of the network on held-back samples."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor, nn

from core.geometry.resample import resize
from core.logging import get_logger
from core.metrics import psnr, ssim
from core.metrics.lpips import Lpips
from core.training.stages.stage import NonFiniteSceneError, Stage
from core.types import ClipBatch

_LPIPS_SIZE = (256, 256)
Metric = Callable[[Tensor, Tensor], Tensor]
_logger = get_logger(__name__)


def validate(
    accelerator: Accelerator,
    stage: Stage,
    model: nn.Module,
    sets: Mapping[str, Sequence[ClipBatch]],
    perceptual: Lpips | None = None,
) -> dict[str, float]:
    """Reconstruct every sample of every set over grey; the processes share the samples.

    The model is put into evaluation mode, and back into training mode. All processes call this
    together.

    Args:
        accelerator: Knows the other processes.
        stage: Knows how to reconstruct.
        model: The network.
        sets: Samples by the set's name, the same in all processes.
        perceptual: Measures LPIPS, at 256 by 256; None leaves it out.

    Returns:
        Means over samples by set and metric, for example ``procedural/psnr_middle``: ``given`` are
        the key frames, ``middle`` those strictly between them. A set on which the network gives
        values that are not finite is left out, with a warning.
    """
    metrics: dict[str, Metric] = {"psnr": psnr, "ssim": ssim}
    if perceptual is not None:
        metrics["lpips"] = _at_published_size(perceptual)
    groups = {"given": [0]}
    if stage.num_frames > 1:
        groups = {"given": [0, -1], "middle": list(range(1, stage.num_frames - 1))}
    names = [(metric, group) for group, views in groups.items() for metric in metrics if views]
    sums = torch.zeros(len(sets), len(names) + 1, dtype=torch.float64, device=accelerator.device)
    with evaluating(model):
        for row, batches in zip(sums, sets.values(), strict=True):
            for batch in batches[accelerator.process_index :: accelerator.num_processes]:
                row[-1] += 1
                try:
                    views = stage.reconstruct(model, batch.to(accelerator.device)).views
                except NonFiniteSceneError:
                    row[:-1] += torch.nan
                    continue
                images = views.rgb.clamp(0, 1)
                frames = batch.frames.to(images.device)
                for column, (metric, group) in enumerate(names):
                    chosen = groups[group]
                    row[column] += _mean(metrics[metric], images[:, chosen], frames[:, chosen])
    reduced = accelerator.reduce(sums, reduction="sum")
    assert isinstance(reduced, Tensor)
    means = (reduced[:, :-1] / reduced[:, -1:]).tolist()
    broken = [name for name, row in zip(sets, means, strict=True) if any(map(math.isnan, row))]
    if broken and accelerator.is_main_process:
        _logger.warning("the network gives values that are not finite on %s.", ", ".join(broken))
    return {
        f"{name}/{metric}_{group}": value
        for name, row in zip(sets, means, strict=True)
        for (metric, group), value in zip(names, row, strict=True)
        if not math.isnan(value)
    }


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode without gradients, and back into training mode.

    What is compiled runs as it was written meanwhile: the batches are of other sizes, for each of
    which it would be compiled anew.
    """
    model.eval()
    try:
        with torch.no_grad(), torch.compiler.set_stance("force_eager"):
            yield
    finally:
        model.train()


def _at_published_size(metric: Metric) -> Metric:
    return lambda images, frames: metric(resize(images, _LPIPS_SIZE), resize(frames, _LPIPS_SIZE))


def _mean(
    metric: Metric, images: Float[Tensor, "b v 3 h w"], frames: Float[Tensor, "b v 3 h w"]
) -> Float[Tensor, ""]:
    return metric(images.flatten(0, 1), frames.flatten(0, 1)).mean()
