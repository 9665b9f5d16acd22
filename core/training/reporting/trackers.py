"""wandb and TensorBoard, through Accelerate."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from accelerate import Accelerator
from accelerate.utils import is_tensorboard_available, is_wandb_available

from core.checks import UserError
from core.text import source_name
from core.training.options import RunOptions
from core.training.workspace.checkpoints import RunState


def new_run_id() -> str:
    """Return a name that no other run has."""
    return secrets.token_hex(4)


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
        raise UserError(
            f"--tracker {name}: the package {name} is not installed; pip install {name}, or choose "
            "another --tracker."
        )


def start_tracker(accelerator: Accelerator, run: RunOptions, state: RunState) -> None:
    """Open the tracker that the user chose, or the same run of it again.

    wandb is given the run's own id and continues that run.
    TensorBoard drops what an interrupted run wrote after the step from which it resumes.

    Raises:
        UserError: If the tracker cannot be opened, for example because nobody is logged in.
    """
    report = run.report
    if report.tracker == "none":
        return
    name = source_name(report.run_name or run.workspace.resolve().name)
    options: dict[str, dict[str, Any]] = {
        "wandb": {
            "name": name,
            "id": state.run_id,
            "resume": "allow",
            "mode": report.wandb_mode,
            "dir": str(run.workspace),
        },
        "tensorboard": {"purge_step": state.progress.step + 1},
    }
    try:
        accelerator.init_trackers(report.project, _config(state), init_kwargs=options)
    except Exception as error:  # each tracker has errors of its own
        reason = str(error).strip().splitlines()
        raise UserError(
            f"--tracker {report.tracker} cannot be opened ({type(error).__name__}: "
            f"{reason[0] if reason else 'no reason given'}); for wandb, log in with `wandb login` "
            "or give --wandb_mode offline."
        ) from error


def log_metrics(accelerator: Accelerator, step: int, values: Mapping[str, float]) -> None:
    """Log numbers by name in the tracker."""
    accelerator.log(dict(values), step=step)


def log_picture(accelerator: Accelerator, step: int, name: str, picture: Any) -> None:
    """Log an RGB picture (h, w, 3) in the tracker."""
    for tracker in accelerator.trackers:
        options = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
        tracker.log_images({name: picture[None]}, step=step, **options)


def _config(state: RunState) -> dict[str, Any]:
    """Return stage, network and options; trackers take numbers and text only."""
    values = {"stage": state.stage, **{f"config.{k}": v for k, v in state.config.items()}}
    values.update(state.options)
    numbers = (bool, int, float)
    return {k: v if isinstance(v, numbers) else source_name(str(v)) for k, v in values.items()}
