"""A network small enough to train in a test, and a whole run of it as a program.

``runpy.run_path(micro.py, {"ARGUMENTS": {...}}, "__main__")`` trains it in the process that calls.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
from collections.abc import Iterator
from dataclasses import fields
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from core.checks import UserError
from core.data.procedural import ProceduralOptions
from core.models.transformer.config import StreamSplatConfig
from core.training import (
    DataOptions,
    DynamicStage,
    DynamicStageOptions,
    OptimizerOptions,
    ReportOptions,
    RunOptions,
    StaticStage,
    StaticStageOptions,
    run,
    train,
)
from core.training.feeding.options import DatasetOptions
from core.training.stages.stage import StepLosses
from core.types import ClipBatch

MICRO = StreamSplatConfig(
    image_height=32,
    image_width=64,
    patch_size=8,
    width=32,
    head_width=16,
    encoder_layers=1,
    decoder_layers=1,
    upsampler_widths=(32, 16),
    window=64,
    use_dino=False,
)
SCENES = DataOptions(procedural=ProceduralOptions(min_objects=1, max_objects=2))
OPTIMIZER = OptimizerOptions(lr=3e-3, warmup_steps=2)


def run_options(workspace: Path, **changes: Any) -> RunOptions:
    """Options of a short run; ``changes`` may be of its report as well."""
    defaults = {"steps": 4, "steps_per_epoch": 1000, "batch_size": 2, "mixed_precision": "no"}
    report = {"log_every": 1, "eval_every": 0, "eval_samples": 1, "picture_every": 0}
    names = {field.name for field in fields(ReportOptions)}
    report.update({name: changes.pop(name) for name in names & set(changes)})
    return RunOptions(
        workspace=workspace,
        report=ReportOptions(**report),  # type: ignore[arg-type]
        **{**defaults, **changes},  # type: ignore[arg-type]
    )


def main(
    workspace: Path,
    clips: Path,
    encoder: Path | None,
    *,
    process: int = 0,
    processes: int = 1,
    port: int = 0,
    broken_steps: tuple[int, ...] = (),
    failing: str | int | None = None,
    **changes: Any,
) -> int:
    """Train on clips and procedural scenes, stage 2 where there is an encoder.

    Args:
        workspace: Where to.
        clips: Folder of clips.
        encoder: Weights of stage 1.
        process: Rank among ``processes`` that meet at ``port``.
        processes: How many train together.
        port: A free one, if there are several.
        broken_steps: Calls, from 0, in which this process's loss is not finite.
        failing: What fails in this process: a function of core.training.run, or a batch, from 0.
        changes: Options of the run.
    """
    # The method of the process that started this one would be inherited otherwise, and workers
    # take seconds to start.
    multiprocessing.set_start_method("fork", force=True)
    torch.set_num_threads(1)
    if processes > 1:
        os.environ.update(
            {"RANK": str(process), "LOCAL_RANK": str(process), "WORLD_SIZE": str(processes)},
            MASTER_ADDR="127.0.0.1",
            MASTER_PORT=str(port),
            ACCELERATE_USE_CPU="true",
        )
    data = DataOptions(
        datasets=(DatasetOptions(name="frames", path=clips),),
        workers=1,
        procedural=SCENES.procedural,
    )
    if encoder is None:
        stage = StaticStage(MICRO, StaticStageOptions())
    else:
        stage = DynamicStage(MICRO, DynamicStageOptions(encoder_path=encoder, num_frames=3))
    _break_steps(stage, broken_steps)
    if isinstance(failing, int):
        _fail_batch(failing)
    elif failing is not None:
        _fail_call(failing)
    return train(stage, data, run_options(workspace, **changes), OPTIMIZER).exit_status


def _break_steps(stage: StaticStage | DynamicStage, steps: tuple[int, ...]) -> None:
    compute, calls = stage.compute_losses, iter(range(10**6))

    def compute_losses(*arguments: Any) -> StepLosses:
        losses = compute(*arguments)
        if next(calls) in steps:
            return StepLosses(losses.total + torch.inf, losses.terms)
        return losses

    stage.compute_losses = compute_losses  # type: ignore[method-assign]


def _fail_batch(number: int) -> None:
    stream = run.stream_batches

    def stream_batches(*arguments: Any, **options: Any) -> Iterator[ClipBatch]:
        yield from islice(stream(*arguments, **options), number)
        raise UserError(f"batch {number} cannot be read")

    run.stream_batches = stream_batches  # type: ignore[assignment]


def _fail_call(name: str) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise UserError(f"{name} fails")

    setattr(run, name, fail)


if __name__ == "__main__":
    try:
        status = main(**globals()["ARGUMENTS"])
    except UserError as error:
        arguments = globals()["ARGUMENTS"]
        said = arguments["workspace"] / f"error_{arguments.get('process', 0)}.txt"
        said.write_text(str(error))
        status = 2
    sys.exit(status)
