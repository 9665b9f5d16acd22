"""What a run tells: a bar, lines of JSON, and whatever tracker the user chose."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path

import torch
from accelerate import Accelerator
from accelerate.utils import is_tensorboard_available, is_wandb_available
from torch import Tensor
from tqdm import tqdm

from core.checks import UserError
from core.io.atomic import write_bytes
from core.logging import get_logger

LOG_FILE = "log.jsonl"
_logger = get_logger(__name__)


class Meters:
    """Means of scalars that stay on the device until somebody asks."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._count = 0

    def add(self, values: Mapping[str, Tensor]) -> None:
        """Take in the values of a step, without waiting for the device."""
        for name, value in values.items():
            self._sums[name] = self._sums[name] + value if name in self._sums else value
        self._count += 1

    def read(self, accelerator: Accelerator) -> dict[str, float]:
        """Return the means since the last call over all processes, and start anew.

        All processes call this together; it waits for the device once.
        """
        if not self._sums:
            return {}
        means = torch.stack([value.float() for value in self._sums.values()]) / self._count
        means = accelerator.reduce(means, reduction="mean")
        assert isinstance(means, Tensor)
        named = dict(zip(self._sums, means.tolist(), strict=True))
        self._sums, self._count = {}, 0
        return named


class Stopwatch:
    """Steps and samples a second, leaving out what is not training."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._steps = 0

    def count(self) -> None:
        """Count a step."""
        self._steps += 1

    def rate(self) -> float:
        """Return steps a second since the last restart."""
        return self._steps / max(time.monotonic() - self._started, 1e-9)

    def restart(self) -> None:
        """Forget what was counted."""
        self._started, self._steps = time.monotonic(), 0


class Journal:
    """The bar and the log of a run; only the main process writes.

    Args:
        accelerator: Knows the trackers and which process this is.
        workspace: Folder of ``log.jsonl``. Lines of steps after ``step``, which a run that was
            stopped wrote after its last checkpoint, are dropped.
        step: Steps done before.
        steps: Steps of the whole run.
    """

    def __init__(self, accelerator: Accelerator, workspace: Path, step: int, steps: int) -> None:
        self._accelerator = accelerator
        self._path = workspace / LOG_FILE
        self._bar: tqdm | None = None
        if accelerator.is_main_process:
            _drop_lines_after(self._path, step)
            # disable=None shows no bar where nobody would see it move.
            self._bar = tqdm(total=steps, initial=step, unit="step", disable=None)

    def advance(self) -> None:
        """Move the bar by a step."""
        if self._bar is not None:
            self._bar.update()

    def write(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Tell the metrics of ``step``.

        Args:
            step: Steps done.
            kind: ``"train"`` or ``"eval"``.
            values: Metrics by name.
        """
        if self._bar is None:
            return
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, "kind": kind, **values}) + "\n")
        self._accelerator.log({f"{kind}/{k}": v for k, v in values.items()}, step=step)
        text = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        if kind == "train" and not self._bar.disable:
            self._bar.set_postfix_str(text)
        else:
            with tqdm.external_write_mode():
                _logger.info("step %d  %s  %s", step, kind, text)

    def close(self) -> None:
        """Leave the bar where it is and end the trackers."""
        if self._bar is not None:
            self._bar.close()
        self._accelerator.end_training()


def require_tracker(name: str) -> None:
    """Check that a tracker can be used.

    Raises:
        UserError: If its package is not installed.
    """
    available = {
        "none": lambda: True,
        "wandb": is_wandb_available,
        "tensorboard": is_tensorboard_available,
    }
    if not available[name]():
        raise UserError(f"--tracker {name}: the package {name} is not installed.")


def _drop_lines_after(path: Path, step: int) -> None:
    if not path.is_file():
        return
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if _step_of(line) <= step]
    if len(kept) < len(lines):
        write_bytes(path, "".join(kept).encode())


def _step_of(line: str) -> float:
    """Return the step of a line, infinite for a line that was cut short."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
