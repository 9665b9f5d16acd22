"""A training step as one writes it first: the baseline of ``training.py``.

The same network, losses, optimiser and metrics, without anything that ours does for speed: blocks
are not compiled and computed twice, key frames are encoded one after the other, each image is
rendered in a call of its own, every loss is read at once, every parameter's gradient is looked at
for values that are not finite, and PSNR and SSIM are computed on the host, image by image.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from core.losses import depth_loss, masked_mse, mse
from core.metrics import psnr, ssim
from core.metrics.lpips import Lpips
from core.models.blocks import set_gradient_checkpointing
from core.models.transformer.network import StreamSplat
from core.rendering import render
from core.training.compute.options import OptimizerOptions
from core.training.stages.noise import draw_step_noise
from core.training.stages.stage import Stage
from core.types import ClipBatch, DynamicGaussians, RenderOutput

_MIN_ALPHA = 0.1


class PairByPair(nn.Module):
    """The whole network on two key frames, encoded one after the other."""

    def __init__(self, network: StreamSplat) -> None:
        super().__init__()
        self.network = network

    def forward(self, frames: Tensor, inverse_depths: Tensor) -> DynamicGaussians:
        """Turn pairs of key frames (b, 2, ...) into scenes."""
        first, last = (
            self.network.encode(frames[:, i], inverse_depths[:, i]) for i in range(frames.shape[1])
        )
        return self.network.decode(first, last)


class PlainTrainer:
    """Takes plain steps.

    Args:
        accelerator: Knows device and precision.
        stage: Brings the network and the weights of the losses.
        options: AdamW and gradient clipping.
        seed: Chooses initial weights and noise.
        perceptual: LPIPS on the device, for steps of epochs that have it.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        stage: Stage,
        options: OptimizerOptions,
        seed: int,
        perceptual: Lpips | None,
    ) -> None:
        torch.manual_seed(seed)
        network: Any = stage.build_model().to(accelerator.device)
        set_gradient_checkpointing(network, True)
        self._stage = stage
        self._accelerator = accelerator
        self._seed = seed
        self._perceptual = perceptual
        self._step = 0
        self._max_norm = options.max_grad_norm
        model = PairByPair(network) if stage.trains_dynamic else network
        self._model: Any = accelerator.prepare(model.train())
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        self._optimizer = torch.optim.AdamW(
            self._parameters,
            lr=options.lr,
            betas=options.betas,
            weight_decay=options.weight_decay,
            foreach=False,
        )

    def train_step(self, batch: ClipBatch) -> dict[str, float]:
        """Take a step and return its loss and metrics."""
        noise = draw_step_noise(
            self._seed,
            self._step,
            0,
            batch_size=len(batch.frames),
            depth_drop=self._stage.options.depth_drop,
            device=self._accelerator.device,
        )
        hidden = torch.where(noise.depth_dropped.view(-1, 1, 1, 1, 1), 0.0, batch.inverse_depths)
        if self._stage.trains_dynamic:
            gaussians = self._model(batch.frames[:, [0, -1]], hidden[:, [0, -1]])
        else:
            gaussians = self._model(batch.frames[:, 0], hidden[:, 0])
        rendered = _render_one_by_one(gaussians, batch.times, batch.frames, noise.background)
        loss = self._loss(rendered, batch)
        self._accelerator.backward(loss)
        if all(bool(torch.isfinite(p.grad).all()) for p in self._parameters if p.grad is not None):
            nn.utils.clip_grad_norm_(self._parameters, self._max_norm, foreach=False)
            self._optimizer.step()
        self._optimizer.zero_grad()
        self._step += 1
        return {"loss": loss.item(), **_measure_on_host(rendered.rgb, batch.frames)}

    def _loss(self, rendered: RenderOutput, batch: ClipBatch) -> Tensor:
        options: Any = self._stage.options
        dynamic = self._stage.trains_dynamic
        loss = mse(rendered.rgb, batch.frames)
        if dynamic:
            loss = loss + options.lambda_mask * masked_mse(rendered.rgb, batch.frames, batch.masks)
        valid = rendered.alpha.detach() > _MIN_ALPHA if dynamic else rendered.depth.detach() > 0
        depth = depth_loss(
            rendered.depth, batch.inverse_depths, valid, batch.has_depth, trimmed=dynamic
        )
        loss = loss + options.lambda_depth * depth
        if self._perceptual is None:
            return loss
        rgb, frames = (
            F.interpolate(images.flatten(0, 1), (256, 256), mode="bilinear", antialias=True)
            for images in (rendered.rgb, batch.frames)
        )
        with self._accelerator.autocast():
            return loss + options.lambda_lpips * self._perceptual(rgb, frames).mean()


def _render_one_by_one(
    gaussians: DynamicGaussians, times: Tensor, frames: Tensor, background: Tensor
) -> RenderOutput:
    height, width = frames.shape[-2:]
    scenes = []
    for scene in range(gaussians.num_scenes):
        views = [
            render(gaussians.element(scene), time.view(1, 1), (height, width), background)
            for time in times[scene]
        ]
        scenes.append(_join(views, dim=1))
    return _join(scenes, dim=0)


def _join(views: list[RenderOutput], dim: int) -> RenderOutput:
    return RenderOutput(
        rgb=torch.cat([view.rgb for view in views], dim=dim),
        depth=torch.cat([view.depth for view in views], dim=dim),
        alpha=torch.cat([view.alpha for view in views], dim=dim),
    )


def _measure_on_host(rendered: Tensor, frames: Tensor) -> dict[str, float]:
    images, targets = (values.detach().flatten(0, 1).cpu() for values in (rendered, frames))
    pairs = [(a[None], b[None]) for a, b in zip(images, targets, strict=True)]
    return {
        metric.__name__: sum(metric(a, b).item() for a, b in pairs) / len(pairs)
        for metric in (psnr, ssim)
    }
