"""Progress bar, log file, pictures and tracker of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from accelerate import Accelerator
from jaxtyping import UInt8
from tqdm import tqdm

from core.checks import UserError
from core.io.atomic import write_bytes
from core.io.stills.images import write_png
from core.logging import get_logger
from core.training.reporting.trackers import log_metrics, log_picture
from core.training.workspace.resuming import SAMPLES

LOG_FILE = "log.jsonl"
_logger = get_logger(__name__)


class RunLog:
    """Progress bar, log file, pictures and tracker of a run; only the main process writes.

    Args:
        accelerator: Knows the trackers and which process this is.
        workspace: Folder of ``log.jsonl``. Lines of steps after ``step``, which a run that was
            stopped wrote after its last checkpoint, are dropped.
        step: Steps done before.
        steps: Steps of the whole run.
    """

    def __init__(self, accelerator: Accelerator, workspace: Path, step: int, steps: int) -> None:
        self._accelerator = accelerator
        self._workspace = workspace
        self._bar: tqdm | None = None
        if accelerator.is_main_process:
            _drop_lines_after(workspace / LOG_FILE, step)
            # disable=None shows no bar where nobody would see it move.
            self._bar = tqdm(total=steps, initial=step, unit="step", disable=None)

    def advance(self) -> None:
        """Move the progress bar by a step."""
        if self._bar is not None:
            self._bar.update()

    def write(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """Log the metrics of ``step``.

        Args:
            step: Steps done.
            kind: ``"train"`` or ``"eval"``.
            values: Metrics by name.

        Raises:
            UserError: If the log cannot be written.
        """
        if self._bar is None:
            return
        path = self._workspace / LOG_FILE
        try:
            with path.open("a") as file:
                file.write(json.dumps({"step": step, "kind": kind, **values}) + "\n")
        except OSError as error:
            raise UserError(
                f"cannot write {path}: {error.strerror or error}. Make room, and start the same "
                "command again."
            ) from error
        log_metrics(self._accelerator, step, {f"{kind}/{k}": v for k, v in values.items()})
        text = "  ".join(f"{name} {value:.4g}" for name, value in values.items())
        if kind == "train" and not self._bar.disable:
            self._bar.set_postfix_str(text)
        else:
            with tqdm.external_write_mode():
                _logger.info("step %d  %s  %s", step, kind, text)

    def show(self, step: int, picture: UInt8[np.ndarray, "h w 3"]) -> None:
        """Write a picture of ``step`` to ``samples/`` and to the tracker."""
        if self._bar is not None:
            write_png(self._workspace / SAMPLES / f"step_{step:06d}.png", picture)
            log_picture(self._accelerator, step, "samples", picture)

    def close(self) -> None:
        """Close the progress bar and the tracker."""
        if self._bar is not None:
            self._bar.close()
        self._accelerator.end_training()


def _drop_lines_after(path: Path, step: int) -> None:
    if not path.is_file():
        return
    lines = path.read_text(errors="replace").splitlines(keepends=True)
    kept = [line for line in lines if _step_of(line) <= step]
    if len(kept) < len(lines):
        write_bytes(path, "".join(kept).encode())


def _step_of(line: str) -> float:
    """Return the step of a line, infinite for a line that was cut short."""
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")
