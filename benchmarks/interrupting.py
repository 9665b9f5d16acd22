"""Training programs that are killed at random moments and started again until they end."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
from repeated_steps import Start, read_lines

from core.checks import UserError
from core.training.reporting.run_log import LOG_FILE
from core.training.workspace.checkpoints import LATEST, PARTIAL, PREVIOUS, find_damage, read_state

ROOT = Path(__file__).parents[1]
Aim = Literal["in a step", "at a save", "at a start"]
AIMS: tuple[Aim, ...] = ("in a step", "at a save", "at a start")
"""What kills are aimed at, in turn; the first two wait for a step of their own, the third comes on
top of the kill before it, while the program starts again."""
_CHECKPOINT_FILES = 4
_STEPS_TO_REPEAT = 2
_POLL_S = 0.0005
_FIRST_GUESS = 0.2
_TIMEOUT_S = 600.0


@dataclass(frozen=True)
class Program:
    """A training program with its arguments, but for the workspace."""

    arguments: tuple[str, ...]
    """``train.py`` or ``train_decoder.py``, and what follows it."""
    device: Literal["cuda", "cpu"]
    """Where it trains."""
    processes: int = 1
    """How many train together, started by ``accelerate launch``."""
    size: tuple[int, int] | None = None
    """Frames of a reduced network, see ``reduced.py``."""

    def command(self, workspace: Path) -> list[str]:
        """Return the command line; several processes meet at a port that is free now."""
        program: list[str] = [*self.arguments, "--workspace", str(workspace)]
        if self.size is not None:
            program = ["benchmarks/reduced.py", *map(str, self.size), *program]
        if self.processes == 1:
            return [sys.executable, *program]
        # Its settings start several processes, on the CPU with ACCELERATE_USE_CPU.
        launch = [*("-m", "accelerate.commands.launch", "--config_file", "acc_configs/gpu4.yaml")]
        launch += ["--num_processes", str(self.processes), "--main_process_port", _free_port()]
        return [sys.executable, *launch, *program]

    @property
    def environment(self) -> dict[str, str]:
        """The environment of the command."""
        on_cpu = {"ACCELERATE_USE_CPU": "true"} if self.device == "cpu" else {}
        return {**os.environ, **on_cpu, "PYTHONUNBUFFERED": "1"}


@dataclass(frozen=True)
class Kill:
    """A kill, and what it left."""

    aim: Aim
    """What it was aimed at."""
    last_line: int
    """Step of the last line of the log."""
    saved: int
    """Step of the newest whole checkpoint, from which the next start resumes; 0 without one."""
    half_saved: bool
    """Whether a checkpoint was left half written."""
    damaged: bool
    """Whether a checkpoint in its place was not whole, which must not be."""


@dataclass(frozen=True)
class Interruptions:
    """How a run was interrupted."""

    kills: list[Kill]
    """Each kill."""
    starts: list[Start]
    """Each start, the one included that came to the end."""


class Workspace:
    """A program on a workspace, started as often as wanted.

    Args:
        program: What is started.
        folder: Its workspace; the program's output goes to <folder>.txt.
        stopped: Set when all runs are to be given up.
    """

    def __init__(self, program: Program, folder: Path, stopped: threading.Event) -> None:
        self._program = program
        self._folder = folder
        self._log = folder / LOG_FILE
        self._output = folder.with_name(f"{folder.name}.txt")
        self._stopped = stopped
        self._process: subprocess.Popen[bytes] | None = None
        self._log_before = 0
        self._started_at = 0.0

    def run(self) -> None:
        """Run the program to its end.

        Raises:
            UserError: If it fails, or does nothing for a long time.
        """
        self._start()
        try:
            self._wait_for_end()
        finally:
            self._kill()

    def run_interrupted(
        self, steps: int, save_every: int, kills: int, rng: random.Random
    ) -> Interruptions:
        """Run the program to its end, but kill it at random moments and start it again.

        Kills in a step come when a few steps after a checkpoint are done, which are taken again.

        Args:
            steps: Steps of the run.
            save_every: Steps between two checkpoints.
            kills: How many kills; the end of the run may come before the last of them.
            rng: Chooses the moments.

        Raises:
            UserError: If it fails, or does nothing for a long time.
        """
        aims: list[Aim] = [AIMS[index % len(AIMS)] for index in range(kills)]
        goals = _spread(steps, sum(aim != "at a start" for aim in aims), rng)
        done: list[Kill] = []
        starts: list[Start] = []
        starting, saved = _FIRST_GUESS, 0
        self._start()
        try:
            for aim in aims:
                if aim == "at a start":
                    reached = self._sleep(rng.uniform(0, starting))
                else:
                    goal = next(goals)
                    if aim == "in a step":
                        goal = _beyond_a_checkpoint(goal, steps, save_every)
                    first_line, step = self._wait_for_step(goal)
                    starting = starting if first_line is None else first_line - self._started_at
                    reached = step is not None and (
                        self._wait_for_save(rng)
                        if aim == "at a save"
                        else self._sleep(rng.uniform(0, step))
                    )
                if not reached:
                    break
                self._kill()
                starts.append(self._read_start(saved))
                done.append(self._inspect(aim))
                saved = done[-1].saved
                self._start()
            self._wait_for_end()
            starts.append(self._read_start(saved))
        finally:
            self._kill()
        return Interruptions(done, starts)

    def _start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._log_before, self._started_at = self._log_version(), time.monotonic()
        with self._output.open("ab") as output:
            self._process = subprocess.Popen(
                self._program.command(self._folder),
                cwd=ROOT,
                env=self._program.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
            )

    def _kill(self) -> None:
        """Kill the program, its launcher first, and all processes that it started.

        Processes that train together have sessions of their own and would continue without it.
        """
        assert self._process is not None
        try:
            launcher = psutil.Process(self._process.pid)
            family = [launcher, *launcher.children(recursive=True)]
        except psutil.NoSuchProcess:
            family = []
        for process in family:
            try:
                process.send_signal(signal.SIGKILL)
            except psutil.NoSuchProcess:
                continue
        psutil.wait_procs(family, timeout=_TIMEOUT_S)
        self._process.wait()

    def _runs(self) -> bool:
        """Return whether the program still runs.

        Raises:
            UserError: If it failed.
        """
        assert self._process is not None
        if self._stopped.is_set():
            raise UserError(f"{self._folder} was given up, because another run failed.")
        status = self._process.poll()
        if status:
            raise UserError(
                f"the run in {self._folder} ended with status {status}; the end of its output "
                f"({self._output}):\n{_tail(self._output)}"
            )
        return status is None

    def _wait_for_end(self) -> None:
        version, since = self._log_version(), time.monotonic()
        while self._runs():
            time.sleep(0.02)
            if self._log_version() != version:
                version, since = self._log_version(), time.monotonic()
            if time.monotonic() - since > _TIMEOUT_S:
                raise UserError(f"the run in {self._folder} did nothing for {_TIMEOUT_S:.0f} s.")

    def _wait_for_step(self, goal: int) -> tuple[float | None, float | None]:
        """Wait until this start has logged a step.

        Returns:
            When it wrote its first line, of ``time.monotonic()``, and the seconds of a step; the
            second is None if the program ended before, the first if there was nothing to wait for.
        """
        first: tuple[float, int] | None = None
        deadline = time.monotonic() + _TIMEOUT_S
        while self._runs():
            step = self._last_step() if self._log_version() != self._log_before else 0
            now = time.monotonic()
            if step and first is None:
                first = now, step
            if first is not None and step >= goal:
                taken = (now - first[0]) / (step - first[1]) if step > first[1] else _FIRST_GUESS
                return first[0], taken
            if now > deadline:
                raise UserError(f"the run in {self._folder} did not come to step {goal}.")
            time.sleep(0.002)
        return None, None

    def _wait_for_save(self, rng: random.Random) -> bool:
        """Wait for a random moment of the next save; return False if the program ended before."""
        files, partial = rng.randint(0, _CHECKPOINT_FILES), self._folder / PARTIAL
        saving = False
        while self._runs():
            written = _count_files(partial)
            saving = saving or written is not None
            if saving and (written is None or written >= files):
                return self._sleep(rng.uniform(0, 0.02))
            time.sleep(_POLL_S)
        return False

    def _sleep(self, seconds: float) -> bool:
        time.sleep(seconds)
        return self._runs()

    def _log_version(self) -> int:
        try:
            return self._log.stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def _last_step(self) -> int:
        try:
            lines = self._log.read_text().splitlines()
            return max((json.loads(line)["step"] for line in lines[-1:]), default=0)
        except (FileNotFoundError, ValueError):
            return 0

    def _read_start(self, saved: int) -> Start:
        """Return what the last start logged; it dropped lines after ``saved`` before it did."""
        if self._log_version() == self._log_before:
            return Start(saved, {})
        lines = read_lines(self._log)
        return Start(saved, {step: line for step, line in lines.items() if step > saved})

    def _inspect(self, aim: Aim) -> Kill:
        saved, damaged = 0, False
        for path in (self._folder / LATEST, self._folder / PREVIOUS):
            if not path.is_dir():
                continue
            if find_damage(path) is None:
                saved = read_state(path).progress.step
                break
            damaged = damaged or path.name == LATEST
        half_saved = (self._folder / PARTIAL).is_dir()
        return Kill(aim, self._last_step(), saved, half_saved, damaged)


def _spread(steps: int, count: int, rng: random.Random) -> Iterator[int]:
    """Return random steps, one in each of ``count`` equal parts of the run."""
    return iter([int((i + rng.random()) * steps / count) or 1 for i in range(count)])


def _beyond_a_checkpoint(goal: int, steps: int, save_every: int) -> int:
    """Return the step nearest to ``goal`` at which a few are done since the last checkpoint."""
    least = min(_STEPS_TO_REPEAT, save_every - 1)
    fit = [step for step in range(save_every + 1, steps) if step % save_every >= least]
    return min(fit, key=lambda step: abs(step - goal), default=goal)


def _count_files(folder: Path) -> int | None:
    try:
        return sum(1 for _ in folder.iterdir())
    except FileNotFoundError:
        return None


def _tail(path: Path, lines: int = 25) -> str:
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])
