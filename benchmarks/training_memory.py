"""How much memory steps take at several batch sizes: ``python benchmarks/training_memory.py``.

Prints a Markdown table: for each stage, each batch size and with activations kept or computed
twice, the most memory that a few whole optimiser steps took on one GPU (allocated, and reserved by
PyTorch's allocator), beside what ``core/training/compute/memory.py`` says by arithmetic, and
samples a second. Where memory does not suffice the row says so, and the other rows follow.

``--device cpu`` takes the same steps and leaves the memory out.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from random_weights import write_vgg16
from training_steps import (
    StepOptions,
    build_stage,
    describe_machine,
    draw_batch,
    forget,
    make_trainer,
    open_accelerator,
    time_steps,
)

from core.checks import UserError, cli_errors
from core.command_line import parse
from core.training.compute.memory import planned_bytes
from core.training.stages.stage import Stage

_GIB = 2**30


@dataclass(frozen=True, kw_only=True)
class Options(StepOptions):
    """Measure the memory of training steps."""

    static_batch_sizes: tuple[int, ...] = (8, 16, 32, 64)
    """Samples a step in stage 1."""
    dynamic_batch_sizes: tuple[int, ...] = (4, 8, 16, 32)
    """The same in stage 2."""
    gradient_checkpointing: tuple[Literal["off", "on"], ...] = ("off", "on")
    """Whether activations are computed twice."""
    warmup: int = 1
    """Steps before the clock starts."""
    steps: int = 3
    """Steps that are timed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("static_batch_sizes", "dynamic_batch_sizes"):
            if any(size < 1 for size in getattr(self, name)):
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least 1 each.")


@dataclass(frozen=True)
class Weighed:
    """What steps took."""

    seconds: float
    """A step."""
    allocated: int | None
    """Most bytes in tensors; None on the CPU."""
    reserved: int | None
    """Most bytes that the allocator held."""


def weigh(
    accelerator: Accelerator, stage: Stage, options: Options, batch_size: int
) -> Weighed | None:
    """Take steps; return what they took, or None where memory does not suffice."""
    device, on_cuda = accelerator.device, accelerator.device.type == "cuda"
    try:
        batch = draw_batch(stage, batch_size, device)
        if on_cuda:
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)
        trainer = make_trainer(accelerator, stage, options, batch_size)
        seconds, _ = time_steps(trainer, batch, options, f"{stage.name} {batch_size}")
    except torch.OutOfMemoryError:
        return None
    if not on_cuda:
        return Weighed(seconds, None, None)
    return Weighed(
        seconds, torch.cuda.max_memory_allocated(device), torch.cuda.max_memory_reserved(device)
    )


def describe(
    stage: Stage, options: Options, batch_size: int, trained: int, found: Weighed | None
) -> str:
    """Return a row of the table."""
    recomputing = stage.options.gradient_checkpointing
    planned = planned_bytes(
        stage,
        batch_size=batch_size,
        half_precision=options.mixed_precision == "bf16",
        trained_parameters=trained,
        recomputing=recomputing == "on",
    )
    cells = [stage.name, str(batch_size), recomputing]
    if found is None:
        cells += ["out of memory", "", _gib(planned), ""]
    else:
        rate = f"{batch_size / found.seconds:.2f}"
        cells += [_gib(found.allocated), _gib(found.reserved), _gib(planned), rate]
    return "| " + " | ".join(cells) + " |"


@cli_errors
def main() -> None:
    """Weigh all and print the table row by row."""
    options = parse(Options, description=__doc__)
    accelerator = open_accelerator(options)
    if accelerator.num_processes > 1:
        raise UserError(
            "start this benchmark in a process alone: python benchmarks/training_memory.py."
        )
    print(describe_machine(accelerator, options))
    print("\n| stage | batch | gradient checkpointing | GiB allocated | GiB reserved | ", end="")
    print("by arithmetic | samples/s |\n|---|---:|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder:
        backbone = Path(folder) / "vgg16.pth"
        if options.lpips:
            write_vgg16(backbone)
        for name in options.stages:
            sizes = {"static": options.static_batch_sizes, "dynamic": options.dynamic_batch_sizes}
            for recomputing in options.gradient_checkpointing:
                stage = build_stage(name, options, backbone, recomputing)
                model = stage.build_model()
                trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
                del model
                for batch_size in sizes[name]:
                    found = weigh(accelerator, stage, options, batch_size)
                    forget(accelerator)
                    print(describe(stage, options, batch_size, trained, found))
                    sys.stdout.flush()


def _gib(size: int | None) -> str:
    return "" if size is None else f"{size / _GIB:.1f}"


if __name__ == "__main__":
    main()
