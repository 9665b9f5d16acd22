"""Training steps on random weights, as training takes them, for benchmarks.

What is computed does not depend on the weights.
"""

from __future__ import annotations

import datetime
import gc
import os
import platform
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from accelerate import Accelerator
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode
from tqdm import tqdm

from core.checks import UserError
from core.data.procedural import ProceduralOptions
from core.models import PRESETS, MatchedPair, MatchingConfig
from core.models.factory import build_model
from core.models.network import Network
from core.models.transformer.dino import build_dino
from core.models.transformer.network import StreamSplat
from core.training import (
    DataOptions,
    DynamicStage,
    DynamicStageOptions,
    OptimizerOptions,
    RunOptions,
    StaticStage,
    StaticStageOptions,
)
from core.training.compute.networks import build_network, open_perceptual
from core.training.distributed.launch import build_accelerator
from core.training.distributed.signals import StopRequests
from core.training.feeding.batches import BatchShard, stream_batches
from core.training.feeding.sources import open_sources
from core.training.loop import Recipe, Trainer
from core.training.plan import Plan
from core.training.stages.stage import Stage
from core.training.workspace.resuming import new_state
from core.types import ClipBatch

SEED = 0
OPTIMIZER = OptimizerOptions()
NOWHERE = Path("untrained")


@dataclass(frozen=True, kw_only=True)
class StepOptions:
    """What kind of steps."""

    preset: Literal["full", "small", "tiny"] = "full"
    """Which network."""
    device: Literal["cuda", "cpu"] = "cuda"
    """Where."""
    stages: tuple[Literal["static", "dynamic"], ...] = ("static", "dynamic")
    """Stage 1 and stage 2."""
    num_frames: int = 6
    """Frames of a sample in stage 2."""
    mixed_precision: Literal["bf16", "no"] = "bf16"
    """Precision of the networks' matrix products."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile transformer blocks and perceptual loss; auto does on CUDA."""
    lpips: bool = False
    """Take steps of epochs that have the perceptual loss, with a backbone of random weights."""
    warmup: int = 5
    """Steps before the clock starts."""
    steps: int = 20
    """Steps that are timed."""

    def __post_init__(self) -> None:
        for name in ("warmup", "steps"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least 1.")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UserError("--device is cuda, but torch sees no CUDA device here; use cpu.")


class UntrainedDynamicStage(DynamicStage):
    """Stage 2 on random weights, those of DINOv2 included."""

    def build_model(self, *, initial_weights: bool = True) -> Network:
        """Build the whole network, its static part frozen."""
        model = build_model(self.config)
        model.freeze_static()
        if isinstance(model, StreamSplat) and model.dino is not None:
            model.dino.attach(build_dino(model.dino.image_size))
        return model


def open_accelerator(options: StepOptions) -> Accelerator:
    """Join the processes that take steps together."""
    if options.device == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "true"
    return build_accelerator(RunOptions(workspace=NOWHERE, mixed_precision=options.mixed_precision))


def build_stage(
    name: str,
    options: StepOptions,
    backbone: Path,
    gradient_checkpointing: Literal["auto", "on", "off"],
) -> Stage:
    """Return a stage on random weights, as in its first epochs or as in those with LPIPS."""
    common: dict[str, Any] = {
        "preset": options.preset,
        "gradient_checkpointing": gradient_checkpointing,
        "lambda_lpips": 0.05 if options.lpips else 0.0,
        "lpips_from_epoch": 0,
        "lpips_backbone_path": backbone,
    }
    config = PRESETS[options.preset]
    if name == "static":
        return StaticStage(config, StaticStageOptions(**common))
    return UntrainedDynamicStage(
        config,
        DynamicStageOptions(
            **common, encoder_path=NOWHERE, dinov2_path=NOWHERE, num_frames=options.num_frames
        ),
    )


def make_trainer(
    accelerator: Accelerator, stage: Stage, options: StepOptions, batch_size: int
) -> Trainer:
    """Return what takes the steps of a run, as training makes it."""
    run = RunOptions(
        workspace=NOWHERE,
        batch_size=batch_size,
        seed=SEED,
        mixed_precision=options.mixed_precision,
        compile=options.compile,
    )
    state = new_state(
        stage.name, stage.config, {}, num_processes=accelerator.num_processes, run_id="benchmark"
    )
    plan = Plan(steps=10_000, steps_per_epoch=1000, warmup_steps=10)
    perceptual = open_perceptual(stage.options, plan.epochs)
    network = build_network(accelerator, stage, run, OPTIMIZER, perceptual=perceptual)
    # Without handlers for signals, which end a benchmark at once.
    recipe, stop = Recipe(stage, run, OPTIMIZER, plan), StopRequests()
    return Trainer(accelerator, recipe, network, state, stop)


def draw_batch(stage: Stage, batch_size: int, device: torch.device) -> ClipBatch:
    """Return procedural samples on the device."""
    sources = open_sources(
        DataOptions(procedural=ProceduralOptions()), stage, seed=0, device=device
    )
    batches = stream_batches(sources, BatchShard(batch_size), first=0, workers=0, device=device)
    return next(batches)


def count_operations(stage: Stage) -> int:
    """Return the floating-point operations of one sample's forward and backward pass.

    Counted are matrix products, convolutions and attention of the networks, two operations a
    multiply-add; rendering, losses and element-wise work are not.
    """
    network = stage.build_model().train()
    size, views = (stage.config.image_height, stage.config.image_width), (1,)
    if stage.trains_dynamic:
        views = (1, stage.num_encoded)
    # Nothing is computed, but where the network renders.
    renders = isinstance(stage.config, MatchingConfig)
    with (
        nullcontext() if renders else FakeTensorMode(allow_non_fake_inputs=True),
        FlopCounterMode(display=False) as counter,
        sdpa_kernel(SDPBackend.MATH),  # the counter does not know every fused attention
    ):
        output = network(torch.zeros(*views, 3, *size), torch.zeros(*views, 1, *size))
        if isinstance(output, MatchedPair):
            values = [*output.gaussians.tensors(), *output.flows, output.hidden]
        else:
            values = output.tensors()
        torch.stack([value.sum() for value in values if value.requires_grad]).sum().backward()
    return counter.get_total_flops()


def time_steps(
    trainer: Trainer, batch: ClipBatch, options: StepOptions, name: str
) -> tuple[float, float]:
    """Take steps on one batch; return the seconds of a step, and the loss of the first."""
    device = batch.frames.device
    loss = trainer.train_step(batch)["loss"].item()
    for _ in counted(options.warmup, f"{name}: warming up"):
        trainer.train_step(batch)
    synchronize(device)
    started = time.perf_counter()
    for _ in counted(options.steps, name):
        trainer.train_step(batch)
    synchronize(device)
    return (time.perf_counter() - started) / options.steps, loss


def counted(count: int, name: str) -> Iterator[int]:
    """Count steps, with a bar where somebody sees it move."""
    return iter(tqdm(range(count), desc=name, unit="step", leave=False, disable=None))


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forget(accelerator: Accelerator) -> None:
    """Free what the last network took."""
    accelerator.free_memory()
    gc.collect()
    torch.compiler.reset()
    if accelerator.device.type == "cuda":
        torch.cuda.empty_cache()


def describe_machine(accelerator: Accelerator, options: StepOptions, recomputing: str = "") -> str:
    """Return one line: date, hardware, versions and what was asked for.

    Args:
        accelerator: Knows the device.
        options: What was asked for.
        recomputing: Choice of gradient checkpointing, where there is one for all steps.
    """
    device = platform.processor() or platform.machine()
    if accelerator.device.type == "cuda":
        device = f"{accelerator.num_processes} x {torch.cuda.get_device_name()}"
    parts = [
        datetime.date.today().isoformat(),
        device,
        f"torch {torch.__version__}",
        f"preset {options.preset}, {options.mixed_precision}",
        f"compile {options.compile}"
        + (f", gradient checkpointing {recomputing}" if recomputing else ""),
        "with LPIPS" if options.lpips else "without LPIPS",
    ]
    return "; ".join(parts)
