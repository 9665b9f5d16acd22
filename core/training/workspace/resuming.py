"""Whether a run may go on from a checkpoint: what was asked for then, and what is asked for now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from core.checks import UserError
from core.logging import get_logger
from core.training.workspace.checkpoints import Progress, RunState

MAY_DIFFER = frozenset(
    {
        # Where the run writes, and what it tells.
        *("workspace", "log_every", "picture_every", "eval_every", "eval_samples"),
        *("eval_clips_path", "tracker", "wandb_mode", "project", "run_name"),
        # When it saves and stops.
        *("max_minutes", "max_skipped_steps", "save_every_epochs", "save_every_minutes"),
        "resume_with_changes",
        # Which files may be read; without it, a run that needs them ends with an error.
        "allow_pickle_depth",
        # How fast it goes.
        *("workers", "cache_mib", "compile", "gradient_checkpointing", "rasterizer"),
        # Where weights of others lie; those to start from no longer matter.
        *("init_from", "encoder_path", "dinov2_path", "lpips_backbone_path"),
    }
)
"""Options that do not change what is learned, but for rounding."""
_logger = get_logger(__name__)


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


def list_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Say which options differ that change what is learned, one phrase each."""
    return [
        f"{name.partition('.')[2] or name} was {before.get(name)!r} and is {now.get(name)!r}"
        for name in sorted({*before, *now})
        if before.get(name) != now.get(name) and name.rpartition(".")[2] not in MAY_DIFFER
    ]


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
            "run that wrote it, --resume_with_changes to go on with the new ones, or another "
            "--workspace."
        )
    for difference in differences:
        _logger.warning("going on with other options: %s", difference)


def new_state(
    stage: str, config: object, options: Mapping[str, object], *, num_processes: int, run_id: str
) -> RunState:
    """Return the state with which a run starts.

    Args:
        stage: Which stage.
        config: The network's configuration, a dataclass.
        options: The run's options by group, dataclasses.
        num_processes: How many processes train together.
        run_id: What a tracker shall know the run by.
    """
    groups = {name: asdict(group) for name, group in options.items()}  # type: ignore[call-overload]
    flat = flatten({**groups, "num_processes": num_processes})
    return RunState(stage, asdict(config), flat, Progress(), run_id)  # type: ignore[call-overload]
