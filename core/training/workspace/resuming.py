"""Resumes a workspace's run, if its options are those of the run that wrote the checkpoint."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from accelerate import Accelerator

from core.checks import UserError
from core.io.atomic import remove_partial_files, write_bytes
from core.logging import get_logger
from core.training.distributed.agreement import in_each_process, on_main_process
from core.training.options import RunOptions
from core.training.workspace.checkpoints import (
    CHECKPOINT_FILES,
    LATEST,
    PARTIAL,
    PREVIOUS,
    Progress,
    RunState,
    find_checkpoint,
    read_state,
)

OPTIONS_FILE = "options.json"
SAMPLES = "samples"
WORKSPACE_FILES = (
    *("config.json", "model.safetensors", "log.jsonl", OPTIONS_FILE),
    *(f"{folder}/{name}" for folder in (LATEST, PREVIOUS) for name in CHECKPOINT_FILES),
)
"""What a run replaces in its workspace."""

MAY_DIFFER = frozenset(
    {
        # Where the run writes, and what it reports.
        *("workspace", "log_every", "picture_every", "eval_every", "eval_samples"),
        *("eval_clips_path", "tracker", "wandb_mode", "project", "run_name"),
        # When it saves and stops.
        *("max_minutes", "max_skipped_steps", "save_every_epochs", "save_every_minutes"),
        "resume_with_changes",
        # Which files may be read; without it, a run that needs them ends with an error.
        *("allow_pickle_depth", "max_megapixels"),
        # How fast it goes.
        *(
            "workers",
            "cache_mib",
            "max_megapixels",
            "compile",
            "gradient_checkpointing",
            "rasterizer",
        ),
        # Where weights of others lie; those to start from no longer matter.
        *("init_from", "encoder_path", "dinov2_path", "lpips_backbone_path"),
    }
)
"""Options that do not change what is learned, but for rounding."""
_logger = get_logger(__name__)


def new_state(
    stage: str, config: object, options: Mapping[str, object], *, num_processes: int, run_id: str
) -> RunState:
    """Return the state with which a run starts.

    Args:
        stage: Which stage.
        config: The network's configuration, a dataclass.
        options: The run's options by group, dataclasses.
        num_processes: How many processes train together.
        run_id: The run's name in a tracker.
    """
    groups = {name: asdict(group) for name, group in options.items()}  # type: ignore[call-overload]
    flat = flatten({**groups, "num_processes": num_processes})
    return RunState(stage, asdict(config), flat, Progress(), run_id)  # type: ignore[call-overload]


def resume(
    accelerator: Accelerator, run: RunOptions, state: RunState
) -> tuple[RunState, Path | None]:
    """Return the state with which a run begins, and the checkpoint to load, if there is one.

    All processes call this.

    Args:
        accelerator: Knows the other processes.
        run: Names the workspace, and says whether options may have changed.
        state: With which the run would start from the beginning.

    Raises:
        UserError: If the checkpoint is damaged, or of a run with other options.
    """
    checkpoint = on_main_process(accelerator, lambda: _clean_up(run.workspace))
    if checkpoint is not None:
        before = in_each_process(accelerator, lambda: read_state(checkpoint))
        check_options(before, state, allow_changes=run.resume_with_changes, where=str(checkpoint))
        state = replace(state, progress=before.progress, run_id=before.run_id, meters=before.meters)
        _logger.info("resuming from step %d of %s", state.progress.step, checkpoint)
    record = {"stage": state.stage, "config": state.config, "options": state.options}
    data = json.dumps(record, indent=2).encode()
    on_main_process(accelerator, lambda: write_bytes(run.workspace / OPTIONS_FILE, data))
    return state, checkpoint


def _clean_up(workspace: Path) -> Path | None:
    """Remove files that a kill left half written; return the newest whole checkpoint."""
    for folder in (workspace, workspace / SAMPLES):
        remove_partial_files(folder)
    shutil.rmtree(workspace / PARTIAL, ignore_errors=True)
    return find_checkpoint(workspace)


def check_options(before: RunState, now: RunState, *, allow_changes: bool, where: str) -> None:
    """Check that a checkpoint belongs to this run.

    Args:
        before: State of the run that wrote the checkpoint.
        now: State with which this run would start.
        allow_changes: Whether other options are accepted; another stage or network never is.
        where: The checkpoint's place, for the message.

    Raises:
        UserError: If it belongs to another stage or network, or to a run with other options.
    """
    if before.stage != now.stage:
        raise UserError(
            f"{where} is of stage {before.stage!r}, this is stage {now.stage!r}; choose another "
            "--workspace."
        )
    networks = list_differences(flatten(before.config), flatten(now.config))
    if networks:
        raise UserError(
            f"{where} is of another network: {'; '.join(networks)}. Choose another --workspace, or "
            "the --preset of the run that wrote it."
        )
    differences = list_differences(before.options, now.options)
    if not differences:
        return
    if not allow_changes:
        raise UserError(
            f"{where} was written with other options: {'; '.join(differences)}. Give those of the "
            "run that wrote it, --resume_with_changes to resume with the new ones, or another "
            "--workspace."
        )
    for difference in differences:
        _logger.warning("resuming with other options: %s", difference)


def list_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Describe the options that differ and change what is learned, one phrase each."""
    return [
        f"{name.partition('.')[2] or name} was {before.get(name)!r} and is {now.get(name)!r}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name) and name.rpartition(".")[2] not in MAY_DIFFER
    ]


def flatten(options: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested options into ``{"run.seed": 0, ...}``, all of it numbers, text and None.

    Of several options of one kind, each goes by its ``name``: ``data.datasets.davis.reach``.
    """
    flat: dict[str, Any] = {}
    for name, value in options.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{name}."))
        elif value is None or isinstance(value, (bool, int, float, str)):
            flat[prefix + name] = value
        elif isinstance(value, (list, tuple)) and any(isinstance(v, Mapping) for v in value):
            flat.update(flatten({v["name"]: v for v in value}, f"{prefix}{name}."))
        elif isinstance(value, (list, tuple)):
            flat[prefix + name] = ", ".join(map(str, value))
        else:
            flat[prefix + name] = str(value)
    return flat
