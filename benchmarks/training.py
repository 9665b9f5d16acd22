"""How fast training is: ``python benchmarks/training.py``.

On several GPUs: ``accelerate launch --config_file acc_configs/gpu4.yaml benchmarks/training.py``.

Prints a Markdown table of whole optimiser steps with all losses and metrics, on a batch that is on
the device already, beside plain steps of the same network in the same run (``plain_training.py``;
on one GPU only). On several GPUs the same steps are taken without averaging gradients as well; the
difference is the share of the step in which communication is waited for. Then the share of the time
that steps wait for their data, when the readers feed them from datasets of the four layouts, whose
frames are as large as the real ones (DAVIS 1080 x 1920), every frame decoded anew.

Utilisation is of the operations of the network alone, as PyTorch counts them, of what the device
can do in bfloat16. Weights are random: what is computed does not depend on them.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from plain_training import PlainTrainer
from random_weights import write_vgg16
from training_on_files import FedTiming, mix, time_steps_on_files, write_datasets
from training_steps import (
    OPTIMIZER,
    SEED,
    StepOptions,
    build_stage,
    count_operations,
    counted,
    describe_machine,
    draw_batch,
    forget,
    make_trainer,
    open_accelerator,
    synchronize,
    time_steps,
)

from core.checks import UserError, cli_errors
from core.command_line import parse
from core.metrics.lpips import load_lpips
from core.training.feeding.options import DatasetOptions
from core.training.stages.stage import Stage
from core.types import ClipBatch

_GIB = 2**30
_MAX_DIFFERENCE = 0.05
_PROCEDURAL_SHARES = (0.0, 0.5)


@dataclass(frozen=True, kw_only=True)
class Options(StepOptions):
    """Time training steps."""

    static_batch_size: int = 32
    """Samples a step and process in stage 1."""
    dynamic_batch_size: int = 16
    """The same in stage 2."""
    gradient_checkpointing: Literal["auto", "on", "off"] = "auto"
    """Compute activations twice; auto does where they would not fit."""
    baseline_steps: int = 3
    """Plain steps that are timed; 0 leaves the baseline out."""
    loader_steps: int = 20
    """Steps on data from files that are timed; 0 leaves them out."""
    workers: int = 8
    """Processes that read files, for each process that trains."""
    peak_tflops: float = 989.0
    """What the device does in bfloat16, without sparsity; the default is of H100 and H200 (SXM)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("static_batch_size", "dynamic_batch_size"):
            if getattr(self, name) < 1:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least 1.")


@dataclass(frozen=True)
class StageTimings:
    """What was measured of a stage."""

    stage: Stage
    """Which."""
    seconds: float
    """A step."""
    gib: float | None
    """Most memory that steps took; None on the CPU."""
    not_averaging: float | None
    """Seconds of a step that does not average gradients; None with one process."""
    plain: float | None
    """Seconds of a plain step; None without the baseline."""
    fed: dict[float, FedTiming]
    """Steps on samples from files, by the share of procedural ones among them."""


def batch_size_of(stage: Stage, options: Options) -> int:
    """Return the samples a step and process."""
    return options.dynamic_batch_size if stage.trains_dynamic else options.static_batch_size


def measure_stage(
    accelerator: Accelerator,
    stage: Stage,
    options: Options,
    datasets: tuple[DatasetOptions, ...],
) -> StageTimings:
    """Time a stage."""
    batch_size = batch_size_of(stage, options)
    device = accelerator.device
    batch = draw_batch(stage, batch_size, device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    trainer = make_trainer(accelerator, stage, options, batch_size)
    seconds, loss = time_steps(trainer, batch, options, stage.name)
    gib = torch.cuda.max_memory_allocated(device) / _GIB if device.type == "cuda" else None
    not_averaging = None
    if accelerator.num_processes > 1:
        with accelerator.no_sync(trainer.model):
            not_averaging, _ = time_steps(trainer, batch, options, f"{stage.name}: not averaging")
    fed = {
        share: time_steps_on_files(
            accelerator,
            trainer,
            stage,
            mix(datasets, share, options.workers),
            batch_size=batch_size,
            warmup=options.warmup,
            steps=options.loader_steps,
        )
        for share in (_PROCEDURAL_SHARES if datasets else ())
    }
    del trainer
    forget(accelerator)
    plain = None
    if options.baseline_steps and accelerator.num_processes == 1:
        plain = time_plain_steps(accelerator, stage, batch, options, expected_loss=loss)
        forget(accelerator)
    return StageTimings(stage, seconds, gib, not_averaging, plain, fed)


def time_plain_steps(
    accelerator: Accelerator,
    stage: Stage,
    batch: ClipBatch,
    options: Options,
    *,
    expected_loss: float,
) -> float:
    """Take plain steps; return the seconds of a step.

    Raises:
        RuntimeError: If the loss of the first is not that of ours.
    """
    perceptual = None
    if options.lpips:
        perceptual = load_lpips(stage.options.lpips_backbone_path).to(accelerator.device)
    trainer = PlainTrainer(accelerator, stage, OPTIMIZER, SEED, perceptual)
    loss = trainer.train_step(batch)["loss"]
    if not abs(expected_loss - loss) <= _MAX_DIFFERENCE * abs(loss):
        raise RuntimeError(
            f"the baseline computes something else: its first loss is {loss}, ours {expected_loss}"
        )
    synchronize(batch.frames.device)
    started = time.perf_counter()
    for _ in counted(options.baseline_steps, f"{stage.name}: plain"):
        trainer.train_step(batch)
    synchronize(batch.frames.device)
    return (time.perf_counter() - started) / options.baseline_steps


def head_of_steps(accelerator: Accelerator) -> list[str]:
    """Return the head of the table of steps."""
    names = ["stage", "batch", "samples/s", "ms a step", "TFLOP/s a device", "utilisation", "GiB"]
    several = accelerator.num_processes > 1
    names += ["not averaging, ms", "communication"] if several else ["plain ms", "ratio"]
    return [_row(names), "|---|---|" + "---:|" * (len(names) - 2)]


def describe_steps(result: StageTimings, accelerator: Accelerator, options: Options) -> str:
    """Return a stage's row of the table of steps."""
    seconds, batch_size = result.seconds, batch_size_of(result.stage, options)
    tflops = count_operations(result.stage) * batch_size / seconds / 1e12
    cells = [
        result.stage.name,
        f"{accelerator.num_processes} x {batch_size}",
        f"{batch_size * accelerator.num_processes / seconds:.2f}",
        f"{1e3 * seconds:.0f}",
        f"{tflops:.1f}",
        f"{tflops / options.peak_tflops:.1%}" if accelerator.device.type == "cuda" else "",
        f"{result.gib:.1f}" if result.gib is not None else "",
    ]
    if result.not_averaging is not None:
        share = 1 - result.not_averaging / seconds
        cells += [f"{1e3 * result.not_averaging:.0f}", f"{share:.1%}"]
    else:
        plain = result.plain
        cells += [f"{1e3 * plain:.0f}", f"{plain / seconds:.1f}x"] if plain else ["", ""]
    return _row(cells)


def describe_waiting(results: list[StageTimings]) -> list[str]:
    """Return the table of steps on samples from files."""
    table = ["| stage | procedural | ms a step | waiting for data |", "|---|---:|---:|---:|"]
    for result in results:
        for share, fed in result.fed.items():
            waiting = f"{fed.waiting / fed.seconds:.1%}"
            table.append(
                _row([result.stage.name, f"{share:.0%}", f"{1e3 * fed.seconds:.0f}", waiting])
            )
    return table


@cli_errors
def main() -> None:
    """Time the stages and print the tables."""
    options = parse(Options, description=__doc__)
    accelerator = open_accelerator(options)

    def say(*lines: str) -> None:
        if accelerator.is_main_process:
            print("\n".join(lines), flush=True)

    say(describe_machine(accelerator, options, options.gradient_checkpointing), "")
    say(*head_of_steps(accelerator))
    results: list[StageTimings] = []
    with tempfile.TemporaryDirectory() as folder:
        backbone = Path(folder) / "vgg16.pth"
        if options.lpips:
            write_vgg16(backbone)
        datasets = write_datasets(accelerator, Path(folder)) if options.loader_steps else ()
        for name in options.stages:
            stage = build_stage(name, options, backbone, options.gradient_checkpointing)
            results.append(measure_stage(accelerator, stage, options, datasets))
            say(describe_steps(results[-1], accelerator, options))
        accelerator.wait_for_everyone()
    if datasets:
        say("", "Fed from files:", "", *describe_waiting(results))
    accelerator.end_training()


def _row(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


if __name__ == "__main__":
    main()
