"""Whether interrupted runs resume as if nothing had happened: ``python benchmarks/resuming.py``.

Starts the command lines of both stages, through ``accelerate launch`` for several processes:

- several runs of the same command that nothing interrupts: how far apart they are is the noise from
  run to run, which on a GPU comes from atomic additions in any order;
- one that is killed (SIGKILL, to all of its processes) at random moments, and started again until
  it ends. Kills are aimed, in turn, at a step, at a checkpoint that is being written, and at the
  program's start.

Prints Markdown tables: how far apart whole runs are, the largest of all pairs; how far steps are
from themselves that were taken before a kill and again after it, from the same checkpoint, beside
the first steps of the others (``repeated_steps.py``); and where the kills fell. Exit status 1

- for one process on the CPU, unless all are equal to the last bit;
- on a GPU, where whole runs differ widely without interruption as well, and for several processes,
  whose gradients are added in another order after a restart, if the loss of the first or second
  step after a checkpoint is farther from itself than three times what first and second steps of the
  others are from one another, and than rounding;
- in any case, if a kill left a damaged checkpoint, or no first step was taken twice; where bits may
  differ, or no second one.

``--data combined`` writes miniatures of the four layouts to train on; ``--size 32 64`` takes
networks for such frames, on which all of it takes a minute or two.
"""

from __future__ import annotations

import datetime
import itertools
import platform
import random
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeVar

import torch
from interrupting import Kill, Program, Workspace
from random_weights import write_dinov2
from reduced import reduced
from repeated_steps import (
    FACTOR,
    FLOORS,
    Repeat,
    Spread,
    compare_beginnings,
    compare_starts,
    spread,
)
from run_differences import Difference, compare_runs, largest

from core.checks import UserError, cli_errors
from core.command_line import parse
from core.data.miniature import write_miniature
from core.models import PRESETS
from core.models.factory import build_static_model
from core.models.model_files import save_model

LAYOUTS = ("re10k", "co3d", "davis", "vos")
_INTERRUPTED = "interrupted"
_JUDGED = {1: "first", 2: "second"}
"""Steps after a checkpoint that are judged: the first shows that weights, samples and noise are the
same, the second that the optimiser's state is."""
StageName = Literal["static", "dynamic"]
T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """Interrupt runs, and compare them with others that were not."""

    device: Literal["cpu", "cuda"] = "cpu"
    """Where."""
    processes: int = 1
    """How many train together."""
    preset: Literal["full", "small", "tiny"] = "tiny"
    """Which network."""
    size: tuple[int, int] | None = None
    """Height and width of the frames of a reduced network; by default the preset as it is."""
    stages: tuple[StageName, ...] = ("static", "dynamic")
    """Stage 1 and stage 2. The second starts from what the first gave, or else from random
    weights."""
    data: Literal["synthetic", "combined"] = "synthetic"
    """Procedural scenes, or miniatures of the datasets of all four layouts."""
    steps: int = 24
    """Steps of a run."""
    save_every: int = 4
    """Steps between two checkpoints, at least 3: some are to be taken again after a kill."""
    kills: int = 3
    """Times that the interrupted run of each stage is killed."""
    repeats: int = 3
    """Runs of each stage that nothing interrupts."""
    batch_size: int = 2
    """Samples a step and process."""
    num_frames: int = 6
    """Frames of a sample in stage 2."""
    mixed_precision: Literal["bf16", "no"] = "bf16"
    """Precision of the networks' matrix products."""
    workers: int = 2
    """Processes that read files, for each that trains; with --data combined."""
    seed: int = 0
    """Of the runs, and of the moments."""
    side_by_side: bool = False
    """Start all runs of a stage at once rather than one after the other."""
    folder: Path | None = None
    """Keeps workspaces and the programs' output; must be new. By default all is removed."""

    @property
    def exact(self) -> bool:
        """Whether runs are expected to be equal to the last bit."""
        return self.device == "cpu" and self.processes == 1

    def __post_init__(self) -> None:
        for name, least in (
            *(("processes", 1), ("save_every", 3), ("steps", 2 * self.save_every)),
            *(("kills", 1), ("repeats", 2)),
            *(("batch_size", 1), ("num_frames", 2), ("workers", 0), ("seed", 0)),
        ):
            if getattr(self, name) < least:
                value = getattr(self, name)
                raise UserError(f"--{name} is {value}; expected at least {least}.")
        if self.stages not in (("static",), ("dynamic",), ("static", "dynamic")):
            raise UserError(
                f"--stages is {' '.join(self.stages)}; expected static, dynamic or both."
            )
        if self.device == "cuda" and torch.cuda.device_count() < self.processes:
            raise UserError(
                f"--device is cuda, but torch sees {torch.cuda.device_count()} CUDA devices here, "
                f"for {self.processes} processes; use cpu or other --processes."
            )
        if self.folder is not None and self.folder.exists():
            raise UserError(f"--folder {self.folder} is there already; choose a new one.")


@dataclass(frozen=True)
class StageResult:
    """What was found for a stage."""

    name: StageName
    """Which."""
    noise: Difference
    """Largest difference between runs that nothing interrupted."""
    interrupted: Difference
    """Largest difference between these and the one that was."""
    kills: Sequence[Kill]
    """How that was interrupted."""
    beginnings: Sequence[Repeat]
    """First steps of the runs that nothing interrupted, as many as were taken twice in a row."""
    repeats: Sequence[Repeat]
    """Steps that the other one took twice."""


def describe_program(name: StageName, options: Options, folder: Path) -> Program:
    """Return the command line of a stage's runs."""
    arguments = ["train.py" if name == "static" else "train_decoder.py", options.data]
    values = {
        "preset": options.preset,
        "steps": options.steps,
        "warmup_steps": 2,
        "steps_per_epoch": options.save_every,
        "save_every_epochs": 1,
        "log_every": 1,
        "eval_every": options.steps,
        "eval_samples": 2,
        "picture_every": 0,
        "lambda_lpips": 0,
        "batch_size": options.batch_size,
        "mixed_precision": options.mixed_precision,
        "seed": options.seed,
    }
    if options.data == "combined":
        values |= {f"{layout}_path": folder / "data" / layout for layout in LAYOUTS}
        values["workers"] = options.workers
    if name == "dynamic":
        values["num_frames"] = options.num_frames
        values["encoder_path"] = folder / "encoder" / "model.safetensors"
        if PRESETS[options.preset].use_dino:
            values["dinov2_path"] = folder / "dinov2.pth"
    for key, value in values.items():
        arguments += [f"--{key}", str(value)]
    return Program(tuple(arguments), options.device, options.processes, options.size)


def prepare(options: Options, folder: Path) -> None:
    """Write what the runs read: datasets, and weights where no run makes them."""
    folder.mkdir(parents=True, exist_ok=True)
    if options.data == "combined":
        for layout in LAYOUTS:
            write_miniature(layout, folder / "data" / layout)
    config = PRESETS[options.preset]
    if "dynamic" in options.stages and config.use_dino:
        write_dinov2(folder / "dinov2.pth")
    if "static" not in options.stages:
        torch.manual_seed(options.seed)
        config = reduced(config, options.size) if options.size else config
        save_model(build_static_model(config), folder / "encoder")


def run_stage(name: StageName, options: Options, folder: Path) -> StageResult:
    """Run a stage's program as often as is asked for, and compare what came of it.

    Raises:
        UserError: If a run fails; the others are given up.
    """
    program, stopped = describe_program(name, options, folder), threading.Event()
    whole = [folder / f"{name}-{number}" for number in range(options.repeats)]
    interrupted = folder / f"{name}-{_INTERRUPTED}"
    tasks = [Workspace(program, path, stopped).run for path in whole]
    interrupt = partial(
        Workspace(program, interrupted, stopped).run_interrupted,
        options.steps,
        options.save_every,
        options.kills,
        random.Random(f"{options.seed} {name}"),
    )
    with ThreadPoolExecutor(len(tasks) + 1 if options.side_by_side else 1) as pool:
        killed = pool.submit(_or_stop, interrupt, stopped)
        others = [pool.submit(_or_stop, task, stopped) for task in tasks]
        try:
            for run in (*others, killed):
                run.result()
        except BaseException:
            stopped.set()
            raise
    repeats = compare_starts(killed.result().starts)
    in_a_row = max((repeat.since for repeat in repeats), default=2)
    return StageResult(
        name,
        noise=largest([compare_runs(*pair) for pair in itertools.combinations(whole, 2)]),
        interrupted=largest([compare_runs(path, interrupted) for path in whole]),
        kills=killed.result().kills,
        beginnings=compare_beginnings(whole, in_a_row),
        repeats=repeats,
    )


def judge(result: StageResult, options: Options) -> list[str]:
    """Return what is wrong with a stage's runs."""
    wrong = []
    if any(kill.damaged for kill in result.kills):
        wrong.append("a kill left a damaged checkpoint in place of the newest")
    for since, name in _JUDGED.items():
        if spread(result.repeats, since) is None and (since == 1 or not options.exact):
            wrong.append(f"no {name} step after a checkpoint was taken twice; use more --kills")
    if options.exact:
        if not result.noise.same_bits:
            wrong.append("runs of the same command differ")
        if not result.interrupted.same_bits:
            wrong.append("the interrupted run differs from one that was not")
        if any(repeat.loss or repeat.grad_norm for repeat in result.repeats):
            wrong.append("steps differ from themselves when they are taken again")
        return [f"{result.name}: {problem}" for problem in wrong]
    for since, name in _JUDGED.items():
        noise, found = (spread(seen, since) for seen in (result.beginnings, result.repeats))
        if noise is None or found is None:
            continue
        bound = max(FACTOR * noise.loss_largest, FLOORS[options.mixed_precision])
        if found.loss_largest > bound:
            wrong.append(
                f"the {name} step after a checkpoint has another loss when it is taken again: "
                f"{found.loss_largest:.1e} apart, expected at most {bound:.1e}"
            )
    return [f"{result.name}: {problem}" for problem in wrong]


def describe(results: Sequence[StageResult], options: Options) -> str:
    """Return the tables."""
    device = platform.processor() or platform.machine()
    if options.device == "cuda":
        device = f"{options.processes} x {torch.cuda.get_device_name()}"
    elif options.processes > 1:
        device += f", {options.processes} processes"
    network = options.preset + (
        "" if options.size is None else " for {} x {}".format(*options.size)
    )
    lines = [
        f"{datetime.date.today().isoformat()}; {device}; torch {torch.__version__}; {network}, "
        f"{options.mixed_precision}, {options.data}; {options.steps} steps of "
        f"{options.processes} x {options.batch_size} samples, saved every {options.save_every}",
        "",
        "| stage | runs | loss: median | largest | weights: median | largest | bits |",
        "|---|---|---:|---:|---:|---:|---|",
    ]
    for result in results:
        rows = (
            (f"{options.repeats}, not interrupted", result.noise),
            (f"killed {len(result.kills)} times, and these", result.interrupted),
        )
        lines += [f"| {result.name} | {label} | {_cells(found)} |" for label, found in rows]
    lines += [
        "",
        "| stage | steps | pairs | loss: median | largest | grad_norm: median | largest |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for result in results:
        for since, name in (*_JUDGED.items(), (None, "all")):
            for label, seen in (
                ("of runs not interrupted", result.beginnings),
                ("after a checkpoint, taken twice", result.repeats),
            ):
                cells = _spread_cells(spread(seen, since))
                lines.append(f"| {result.name} | {name}, {label} | {cells} |")
    lines += ["", "| stage | killed | last line | resumed from | save left half done |"]
    lines += ["|---|---|---:|---:|---|"]
    for result in results:
        for kill in result.kills:
            half = "yes" if kill.half_saved else ""
            lines.append(
                f"| {result.name} | {kill.aim} | {kill.last_line} | {kill.saved} | {half} |"
            )
    return "\n".join(lines)


@cli_errors
def main() -> None:
    """Run all stages, print the tables and what is wrong."""
    options = parse(Options, description=__doc__)
    place = tempfile.TemporaryDirectory() if options.folder is None else nullcontext(options.folder)
    results: list[StageResult] = []
    with place as name:
        folder = Path(name).resolve()
        prepare(options, folder)
        for stage in options.stages:
            result = run_stage(stage, options, folder)
            results.append(result)
            if stage == "static":
                (folder / "encoder").symlink_to(folder / "static-0")
    print(describe(results, options))
    wrong = [problem for result in results for problem in judge(result, options)]
    if wrong:
        print("\n" + "\n".join(wrong), file=sys.stderr)
        sys.exit(1)


def _or_stop(task: Callable[[], T], stopped: threading.Event) -> T:
    """Do a task; have the others given up where it fails."""
    try:
        return task()
    except BaseException:
        stopped.set()
        raise


def _cells(found: Difference) -> str:
    values = (
        *(found.loss_median, found.loss_largest),
        *(found.weights_median, found.weights_largest),
    )
    return " | ".join([*map(_number, values), "equal" if found.same_bits else "differ"])


def _spread_cells(found: Spread | None) -> str:
    if found is None:
        return "0 | | | |"
    values = (
        *(found.loss_median, found.loss_largest),
        *(found.grad_norm_median, found.grad_norm_largest),
    )
    return " | ".join([str(found.count), *map(_number, values)])


def _number(value: float) -> str:
    return f"{value:.1e}" if value else "0"


if __name__ == "__main__":
    main()
