"""How fast training is: ``python benchmarks/training.py``.

On several GPUs: ``accelerate launch --config_file acc_configs/gpu4.yaml benchmarks/training.py``.

Prints a Markdown table of whole optimiser steps with all losses and metrics, on a batch that is on
the device already, beside plain steps of the same network in the same run (``plain_training.py``;
on one GPU only). Then the share of the time that steps wait for their data, when the readers feed
them from datasets of the four layouts, whose frames are as large as the real ones (DAVIS 1080 x
1920), every frame decoded anew.

Utilisation is of the operations of the network alone (``core/training/flops.py``), of what the
device can do in bfloat16. Weights are random: what is computed does not depend on them.
"""

from __future__ import annotations

import datetime
import gc
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
import torchvision
import tyro
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from plain_training import PlainTrainer
from texture_datasets import SIZES, write_chunks, write_files
from tqdm import tqdm

from core.checks import UserError, cli_errors
from core.data.procedural import ProceduralOptions
from core.metrics import load_lpips
from core.models.config import PRESETS
from core.models.dino import build_dino
from core.models.factory import build_model
from core.models.streamsplat import StreamSplat
from core.training import (
    DataOptions,
    DynamicStage,
    DynamicStageOptions,
    OptimizerOptions,
    RunOptions,
    StaticStage,
    StaticStageOptions,
)
from core.training.batches import Stride, stream_batches
from core.training.data import DatasetOptions, open_sources
from core.training.flops import model_flops
from core.training.loop import Trainer
from core.training.perceptual import open_perceptual
from core.training.plan import Plan
from core.training.prefetch import Prefetcher
from core.training.resuming import new_state
from core.training.run import build_accelerator, build_trainer
from core.training.signals import StopSignals
from core.training.stage import Stage
from core.types import ClipBatch

LAYOUTS = ("davis", "vos", "co3d", "re10k")
_GIB = 2**30
_SEED = 0
_OPTIMIZER = OptimizerOptions(warmup_steps=10)
_MAX_DIFFERENCE = 0.05


@dataclass(frozen=True)
class Options:
    """Time training steps."""

    preset: Literal["full", "small", "tiny"] = "full"
    """Which network."""
    device: Literal["cuda", "cpu"] = "cuda"
    """Where."""
    stages: tuple[Literal["static", "dynamic"], ...] = ("static", "dynamic")
    """Stage 1 and stage 2."""
    static_batch_size: int = 32
    """Samples a step and process in stage 1."""
    dynamic_batch_size: int = 16
    """The same in stage 2."""
    num_frames: int = 6
    """Frames of a sample in stage 2."""
    mixed_precision: Literal["bf16", "no"] = "bf16"
    """Precision of the networks' matrix products."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the transformer blocks; auto does on CUDA."""
    gradient_checkpointing: Literal["auto", "on", "off"] = "auto"
    """Compute activations twice; auto does where they would not fit."""
    lpips: bool = False
    """Take steps of epochs that have the perceptual loss, with a backbone of random weights."""
    warmup: int = 5
    """Steps before the clock starts."""
    steps: int = 20
    """Steps that are timed."""
    baseline_steps: int = 3
    """Plain steps that are timed; 0 leaves the baseline out."""
    loader_steps: int = 20
    """Steps on data from files that are timed; 0 leaves them out."""
    workers: int = 8
    """Processes that read files, for each process that trains."""
    peak_tflops: float = 989.0
    """What the device does in bfloat16, without sparsity; the default is of H100 and H200 (SXM)."""

    def __post_init__(self) -> None:
        sizes = ("static_batch_size", "dynamic_batch_size", "warmup", "steps")
        for name in sizes:
            if getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least 1.")
        if self.device == "cuda" and not torch.cuda.is_available():
            raise UserError("--device is cuda, but torch sees no CUDA device here; use cpu.")


class UntrainedDynamicStage(DynamicStage):
    """Stage 2 on random weights, those of DINOv2 included."""

    def build_model(self, *, initial_weights: bool = True) -> StreamSplat:
        """Build the whole network, its static part frozen."""
        model = build_model(self.config)
        model.freeze_static()
        if model.dino is not None:
            model.dino.attach(build_dino(model.dino.image_size))
        return model


@dataclass(frozen=True)
class Timing:
    """What steps took."""

    seconds: float
    """A step."""
    waiting: float = 0.0
    """Seconds of it in which the step waited for its data."""


def build_stage(name: str, options: Options, backbone: Path) -> Stage:
    """Return a stage on random weights, as in its first epochs or as in those with LPIPS."""
    common: dict[str, Any] = {
        "preset": options.preset,
        "gradient_checkpointing": options.gradient_checkpointing,
        "lambda_lpips": 0.05 if options.lpips else 0.0,
        "lpips_from_epoch": 0,
        "lpips_backbone_path": backbone,
    }
    config = PRESETS[options.preset]
    if name == "static":
        return StaticStage(config, StaticStageOptions(**common))
    nowhere = Path("untrained")
    return UntrainedDynamicStage(
        config,
        DynamicStageOptions(
            **common, encoder_path=nowhere, dinov2_path=nowhere, num_frames=options.num_frames
        ),
    )


def make_trainer(
    accelerator: Accelerator, stage: Stage, run: RunOptions, signals: StopSignals
) -> Trainer:
    """Return what takes the steps of a run, as training makes it."""
    state = new_state(
        stage.name, stage.config, {}, num_processes=accelerator.num_processes, run_id="benchmark"
    )
    plan = Plan(steps=10_000, steps_per_epoch=1000)
    return build_trainer(
        accelerator,
        stage,
        plan,
        run,
        _OPTIMIZER,
        state=state,
        checkpoint=None,
        perceptual=open_perceptual(stage.options, plan),
        signals=signals,
        started=time.monotonic(),
    )


def draw_batch(stage: Stage, batch_size: int, device: torch.device) -> ClipBatch:
    """Return procedural samples on the device."""
    sources = open_sources(
        DataOptions(procedural=ProceduralOptions()), stage, seed=0, device=device
    )
    batches = stream_batches(sources, Stride(batch_size), first=0, workers=0, device=device)
    return next(batches)


def time_steps(
    trainer: Trainer, batch: ClipBatch, options: Options, name: str
) -> tuple[Timing, float]:
    """Take steps on one batch; return their time, and the loss of the first."""
    device = batch.frames.device
    loss = trainer.step(batch)["loss"].item()
    for _ in _counted(options.warmup, f"{name}: warming up"):
        trainer.step(batch)
    synchronize(device)
    started = time.perf_counter()
    for _ in _counted(options.steps, name):
        trainer.step(batch)
    synchronize(device)
    return Timing((time.perf_counter() - started) / options.steps), loss


def time_plain_steps(
    trainer: PlainTrainer, batch: ClipBatch, options: Options, name: str
) -> tuple[Timing, float]:
    """Take plain steps; return their time, and the loss of the first."""
    loss = trainer.step(batch)["loss"]
    synchronize(batch.frames.device)
    started = time.perf_counter()
    for _ in _counted(options.baseline_steps, f"{name}: plain"):
        trainer.step(batch)
    synchronize(batch.frames.device)
    return Timing((time.perf_counter() - started) / options.baseline_steps), loss


def write_datasets(accelerator: Accelerator, folder: Path) -> tuple[DatasetOptions, ...]:
    """Write small datasets of large frames in the main process; return where they are."""
    shared = [folder]
    broadcast_object_list(shared)
    if accelerator.is_main_process:
        for name in tqdm(LAYOUTS, desc="writing datasets", leave=False, disable=None):
            if name == "re10k":
                write_chunks(folder / name, 4, 48, SIZES[name][0])
            else:
                write_files(name, folder / name)
    accelerator.wait_for_everyone()
    return tuple(DatasetOptions(name=name, path=shared[0] / name) for name in LAYOUTS)


def time_steps_on_files(
    accelerator: Accelerator,
    trainer: Trainer,
    stage: Stage,
    options: Options,
    data: DataOptions,
) -> Timing:
    """Take steps on samples that readers bring from files."""
    device = accelerator.device
    sources = open_sources(data, stage, seed=0, device=device)
    stride = Stride(
        batch_size_of(stage, options), accelerator.process_index, accelerator.num_processes
    )
    feed = Prefetcher(
        stream_batches(sources, stride, first=0, workers=data.workers, device=device), device
    )
    try:
        for _ in range(options.warmup):
            trainer.step(feed.next())
        synchronize(device)
        started, waited = time.perf_counter(), 0.0
        for _ in _counted(options.loader_steps, f"{stage.name}: from files"):
            batch = feed.next()
            waited += feed.waited
            trainer.step(batch)
        synchronize(device)
        seconds = time.perf_counter() - started
    finally:
        feed.close()
    return Timing(seconds / options.loader_steps, waited / options.loader_steps)


def batch_size_of(stage: Stage, options: Options) -> int:
    """Return the samples a step and process."""
    return options.dynamic_batch_size if stage.trains_dynamic else options.static_batch_size


def synchronize(device: torch.device) -> None:
    """Wait for the device."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def measure_stage(
    accelerator: Accelerator,
    stage: Stage,
    options: Options,
    datasets: tuple[DatasetOptions, ...],
    signals: StopSignals,
) -> tuple[str, list[str]]:
    """Time a stage; return its row of the first table and its rows of the second."""
    batch_size = batch_size_of(stage, options)
    run = RunOptions(
        workspace=Path("unused"),
        batch_size=batch_size,
        seed=_SEED,
        mixed_precision=options.mixed_precision,
        compile=options.compile,
    )
    device = accelerator.device
    batch = draw_batch(stage, batch_size, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    trainer = make_trainer(accelerator, stage, run, signals)
    ours, loss = time_steps(trainer, batch, options, stage.name)
    memory = torch.cuda.max_memory_allocated(device) / _GIB if device.type == "cuda" else None
    waits = []
    if datasets:
        for share in (0.0, 0.5):
            data = DataOptions(
                datasets=datasets,
                cache_mib=0,
                workers=options.workers,
                procedural=ProceduralOptions() if share else None,
                procedural_share=share or 0.5,
            )
            fed = time_steps_on_files(accelerator, trainer, stage, options, data)
            waits.append(
                f"| {stage.name} | {share:.0%} | {1e3 * fed.seconds:.0f} | "
                f"{fed.waiting / fed.seconds:.1%} |"
            )
    del trainer
    accelerator.free_memory()
    forget(device)
    plain = None
    if options.baseline_steps and accelerator.num_processes == 1:
        perceptual = None
        if options.lpips:
            perceptual = load_lpips(stage.options.lpips_backbone_path).to(device)
        baseline = PlainTrainer(accelerator, stage, _OPTIMIZER, _SEED, perceptual)
        plain, plain_loss = time_plain_steps(baseline, batch, options, stage.name)
        if not abs(loss - plain_loss) <= _MAX_DIFFERENCE * abs(plain_loss):
            raise RuntimeError(
                f"the baseline computes something else: its first loss is {plain_loss}, ours {loss}"
            )
        del baseline, perceptual
        accelerator.free_memory()
        forget(device)
    return describe(stage, accelerator, options, ours, plain, memory), waits


def describe(
    stage: Stage,
    accelerator: Accelerator,
    options: Options,
    ours: Timing,
    plain: Timing | None,
    memory: float | None,
) -> str:
    """Return a row of the table."""
    batch_size = batch_size_of(stage, options)
    samples = batch_size * accelerator.num_processes / ours.seconds
    flops = model_flops(stage) * batch_size / ours.seconds
    on_cuda = accelerator.device.type == "cuda"
    cells = [
        stage.name,
        f"{accelerator.num_processes} x {batch_size}",
        f"{samples:.2f}",
        f"{1e3 * ours.seconds:.0f}",
        f"{flops / 1e12:.1f}",
        f"{flops / 1e12 / options.peak_tflops:.1%}" if on_cuda else "",
        f"{memory:.1f}" if memory is not None else "",
        f"{1e3 * plain.seconds:.0f}" if plain else "",
        f"{plain.seconds / ours.seconds:.1f}x" if plain else "",
    ]
    return "| " + " | ".join(cells) + " |"


def forget(device: torch.device) -> None:
    """Free what the last network took."""
    gc.collect()
    torch.compiler.reset()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def describe_machine(accelerator: Accelerator, options: Options) -> str:
    """Return one line: date, hardware, versions and what was asked for."""
    device = platform.processor() or platform.machine()
    if accelerator.device.type == "cuda":
        device = f"{accelerator.num_processes} x {torch.cuda.get_device_name()}"
    parts = [
        datetime.date.today().isoformat(),
        device,
        f"torch {torch.__version__}",
        f"preset {options.preset}, {options.mixed_precision}",
        f"compile {options.compile}, gradient checkpointing {options.gradient_checkpointing}",
        "with LPIPS" if options.lpips else "without LPIPS",
    ]
    return "; ".join(parts)


@cli_errors
def main() -> None:
    """Time the stages and print the tables."""
    options = tyro.cli(Options, use_underscores=True, description=__doc__)
    if options.device == "cpu":
        os.environ["ACCELERATE_USE_CPU"] = "true"
    run = RunOptions(workspace=Path("unused"), mixed_precision=options.mixed_precision)
    accelerator = build_accelerator(run)
    rows: list[str] = []
    waits: list[str] = []
    signals = StopSignals()  # not listened to: a signal ends a benchmark at once
    with tempfile.TemporaryDirectory() as folder:
        backbone = Path(folder) / "vgg16.pth"
        if options.lpips:
            features = torchvision.models.vgg16(weights=None).features
            torch.save(features.state_dict(prefix="features."), backbone)
        datasets = write_datasets(accelerator, Path(folder)) if options.loader_steps else ()
        for name in options.stages:
            stage = build_stage(name, options, backbone)
            row, more = measure_stage(accelerator, stage, options, datasets, signals)
            rows.append(row)
            waits += more
        accelerator.wait_for_everyone()
    if not accelerator.is_main_process:
        return
    print(describe_machine(accelerator, options))
    print(
        "\n| stage | batch | samples/s | ms a step | TFLOP/s a device | utilisation | GiB | ",
        end="",
    )
    print("plain ms | ratio |\n|---|---|---:|---:|---:|---:|---:|---:|---:|")
    print("\n".join(rows))
    if waits:
        print("\nFed from files:\n\n| stage | procedural | ms a step | waiting for data |")
        print("|---|---:|---:|---:|")
        print("\n".join(waits))


def _counted(count: int, name: str) -> Iterator[int]:
    return iter(tqdm(range(count), desc=name, unit="step", leave=False, disable=None))


if __name__ == "__main__":
    main()
