"""What a run leaves behind: weights to use, and a checkpoint to go on from."""

from __future__ import annotations

import json
import os
import pickle
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from accelerate import Accelerator
from safetensors import SafetensorError
from torch import nn

from core.checks import UserError
from core.io.atomic import write_bytes
from core.models.hub import HubModel
from core.training.stage import Stage

CHECKPOINT = "checkpoint_latest"
_PARTIAL = ".checkpoint_partial"
_PREVIOUS = ".checkpoint_previous"
_PARTIAL_WEIGHTS = ".weights_partial"
_PROGRESS = "progress.json"


@dataclass(frozen=True)
class Progress:
    """How far a run has come."""

    step: int = 0
    """Steps done."""
    samples: int = 0
    """Samples taken from the stream, by all processes."""
    skipped_steps: int = 0
    """Steps that were skipped because loss or gradients were not finite."""


def find_checkpoint(workspace: Path) -> Path | None:
    """Return the newest whole checkpoint of a workspace, if there is one.

    :func:`save_checkpoint` moves the old one aside before the new one takes its place; a program
    that was stopped between the two moves goes on from the old one.
    """
    for path in (workspace / CHECKPOINT, workspace / _PREVIOUS):
        if (path / _PROGRESS).is_file():
            return path
    return None


def save_checkpoint(
    accelerator: Accelerator, workspace: Path, stage: Stage, progress: Progress
) -> None:
    """Write weights, optimiser state and progress beside ``checkpoint_latest``, then into place.

    All processes call this.
    """
    partial = workspace / _PARTIAL
    if accelerator.is_main_process:
        shutil.rmtree(partial, ignore_errors=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(partial))
    accelerator.wait_for_everyone()
    if not accelerator.is_main_process:
        return
    record = {"stage": stage.name, "config": asdict(stage.config), **asdict(progress)}
    (partial / _PROGRESS).write_text(json.dumps(record, indent=2))
    current, previous = workspace / CHECKPOINT, workspace / _PREVIOUS
    if current.exists():
        shutil.rmtree(previous, ignore_errors=True)
        current.rename(previous)
    partial.rename(current)
    shutil.rmtree(previous, ignore_errors=True)


def load_checkpoint(accelerator: Accelerator, checkpoint: Path, stage: Stage) -> Progress:
    """Restore what :func:`save_checkpoint` wrote, on all processes.

    Raises:
        UserError: If it belongs to another stage or network, or is damaged.
    """
    record = _read_record(checkpoint / _PROGRESS)
    config = json.loads(json.dumps(asdict(stage.config)))
    if record.get("stage") != stage.name or record.get("config") != config:
        raise UserError(
            f"{checkpoint} is of stage {record.get('stage')!r} or of another network than this "
            f"run's ({stage.name!r}, --preset {stage.options.preset}); choose another --workspace "
            "or give the options of the run that wrote it."
        )
    try:
        accelerator.load_state(str(checkpoint))
        return Progress(
            step=int(record["step"]),
            samples=int(record["samples"]),
            skipped_steps=int(record["skipped_steps"]),
        )
    except (
        SafetensorError,
        pickle.UnpicklingError,
        OSError,
        RuntimeError,
        ValueError,
        KeyError,
        EOFError,
    ) as error:
        raise UserError(
            f"{checkpoint} cannot be loaded ({type(error).__name__}: {str(error).splitlines()[0]});"
            " remove it to start from the beginning, or use --init_from."
        ) from error


def save_weights(model: nn.Module, workspace: Path) -> None:
    """Write ``config.json`` and ``model.safetensors``, each whole or not at all."""
    assert isinstance(model, HubModel)
    partial = workspace / _PARTIAL_WEIGHTS
    shutil.rmtree(partial, ignore_errors=True)
    model.save_pretrained(partial)
    for name in ("config.json", "model.safetensors"):
        os.replace(partial / name, workspace / name)  # noqa: PTH105 (atomic on every system)
    shutil.rmtree(partial)


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write ``values``, paths among them as text; the file appears whole or not at all."""
    write_bytes(path, json.dumps(values, indent=2, default=str).encode())


def _read_record(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not readable ({error}); remove its folder.") from error
    if not isinstance(record, dict):
        raise UserError(f"{path} holds no record of a run; remove its folder.")
    return record
