"""Checkpoints, from which a run resumes: whole or not at all, whatever happens to the machine.

A checkpoint is a folder::

    model.safetensors       the network, as a run's result is stored
    optimizer.safetensors   <parameter>.exp_avg, .exp_avg_sq and .step of each trained parameter
    state.json              a RunState
    SHA256SUMS              of the three, as sha256sum writes and checks them

``checkpoint_latest`` is the newest, ``checkpoint_previous`` the one before. A new one is written
beside them and flushed to the disk; then the previous one is removed, the latest becomes the
previous and the new one the latest. Where there is no latest, because a stop came between these
moves or it was damaged, the previous one stays. Between any two moves there is a whole checkpoint.
Nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from core.checks import UserError
from core.io.atomic import flush
from core.io.weights import assign_weights, read_tensors, write_safetensors
from core.logging import get_logger

LATEST = "checkpoint_latest"
PREVIOUS = "checkpoint_previous"
DAMAGED = "checkpoint_damaged"
SUMS = "SHA256SUMS"
PARTIAL = ".checkpoint_partial"
_MODEL, _OPTIMIZER, _STATE = "model.safetensors", "optimizer.safetensors", "state.json"
_FILES = (_MODEL, _OPTIMIZER, _STATE)
CHECKPOINT_FILES = (*_FILES, SUMS)
_FORMAT = 1
_BLOCK = 2**22
_logger = get_logger(__name__)


@dataclass(frozen=True)
class Progress:
    """How far a run has come."""

    step: int = 0
    """Steps done, which also sets the learning rate and what is drawn at random."""
    samples: int = 0
    """Samples taken from the stream, by all processes: where the sampler stands."""
    skipped_steps: int = 0
    """Steps that were skipped because loss or gradients were not finite."""
    skipped_in_a_row: int = 0
    """How many of them came last."""


@dataclass(frozen=True)
class RunState:
    """All of a run's state but its tensors.

    There is no state of random generators: every process seeds them anew in each step, from seed,
    step and rank (:mod:`core.training.stages.noise`).
    """

    stage: str
    """Which stage."""
    config: dict[str, Any]
    """The network's configuration."""
    options: dict[str, Any]
    """The run's options, flat."""
    progress: Progress
    """How far it has come."""
    run_id: str
    """The run's name in a tracker."""
    meters: dict[str, list[list[float]]] = field(default_factory=dict)
    """Sums and counts since the last line of the log, see :meth:`Meters.state`."""
    format: int = _FORMAT
    """Version of this record."""


def write_checkpoint(
    workspace: Path, model: nn.Module, optimizer: torch.optim.Optimizer, state: RunState
) -> None:
    """Write a checkpoint beside the others, then into place; one process calls this.

    Raises:
        UserError: If it cannot be written, for example because the disk is full; the checkpoints
            that were there are left as they were.
    """
    partial = workspace / PARTIAL
    latest, previous = workspace / LATEST, workspace / PREVIOUS
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        write_safetensors(model, partial / _MODEL)
        save_file(optimizer_tensors(model, optimizer), partial / _OPTIMIZER)
        (partial / _STATE).write_text(json.dumps(asdict(state), indent=2))
        (partial / SUMS).write_text(
            "".join(f"{_digest(partial / name)}  {name}\n" for name in _FILES)
        )
        for path in (*partial.iterdir(), partial):
            flush(path)
        if latest.exists():
            shutil.rmtree(previous, ignore_errors=True)
            latest.rename(previous)
        partial.rename(latest)
        flush(workspace)
    except (OSError, SafetensorError, UserError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise UserError(
            f"cannot write {latest}: {error}; what was saved before is kept. Make room, and "
            "start the same command again."
        ) from error


def find_checkpoint(workspace: Path) -> Path | None:
    """Return the newest whole checkpoint of a workspace; None where there is none at all.

    One that is damaged is reported and moved out of the way; one process calls this.

    Raises:
        UserError: If there are checkpoints, and all are damaged.
    """
    damaged: list[str] = []
    for path in (workspace / LATEST, workspace / PREVIOUS):
        if not path.is_dir():
            continue
        damage = find_damage(path)
        if damage is None:
            if damaged:
                _set_aside(workspace / LATEST)
                _logger.warning("%s; resuming from the one before it, %s.", damaged[0], path.name)
            return path
        damaged.append(f"the checkpoint {path} is damaged: {damage}")
    if damaged:
        raise UserError(
            f"{'; '.join(damaged)}. There is none before it: remove it to start from the "
            "beginning, or start another --workspace from the weights with --init_from."
        )
    return None


def find_damage(checkpoint: Path) -> str | None:
    """Compare a checkpoint's files with its checksums; return what is wrong, or None."""
    try:
        text = (checkpoint / SUMS).read_text()
    except (OSError, UnicodeDecodeError):
        return f"{SUMS} cannot be read"
    lines = (line.partition("  ") for line in text.splitlines())
    sums = {name: digest for digest, _, name in lines}
    for name in _FILES:
        path = checkpoint / name
        if name not in sums:
            return f"{SUMS} does not list {name}"
        if not path.is_file():
            return f"{name} is missing"
        if _digest(path) != sums[name]:
            return f"{name} does not have the checksum that {SUMS} says"
    return None


def read_state(checkpoint: Path) -> RunState:
    """Read a whole checkpoint's state.

    Raises:
        UserError: If it is of another version of this program, or cannot be read here.
    """
    try:
        text = (checkpoint / _STATE).read_text()
    except OSError as error:
        raise UserError(
            f"{checkpoint} cannot be read by every process ({error.strerror}); put --workspace on "
            "a file system that all machines share."
        ) from error
    try:
        values = json.loads(text)
        state = RunState(**{**values, "progress": Progress(**values["progress"])})
    except (ValueError, KeyError, TypeError):
        state = None
    if state is None or state.format != _FORMAT:
        raise UserError(
            f"{checkpoint} is of another version of this program; resume with that version."
        )
    return state


def restore(checkpoint: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    """Load the tensors of a whole checkpoint into a network and its optimiser.

    Raises:
        UserError: If they are of another network.
    """
    assign_weights(model, read_tensors(checkpoint / _MODEL), str(checkpoint / _MODEL))
    _load_optimizer(optimizer, model, read_tensors(checkpoint / _OPTIMIZER), checkpoint)


def optimizer_tensors(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return an optimiser's state under the names of the model's parameters, on the CPU."""
    return {
        f"{name}.{key}": value.detach().to("cpu").contiguous()
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def _load_optimizer(
    optimizer: torch.optim.Optimizer,
    model: nn.Module,
    tensors: Mapping[str, Tensor],
    checkpoint: Path,
) -> None:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    trained = [names[id(p)] for group in optimizer.param_groups for p in group["params"]]
    places = {name: place for place, name in enumerate(trained)}
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        name, _, entry = key.rpartition(".")
        if name not in places:
            raise UserError(
                f"{checkpoint / _OPTIMIZER} holds {key}, which this run does not train."
            )
        state.setdefault(places[name], {})[entry] = value
    if tensors and len(state) < len(places):
        raise UserError(
            f"{checkpoint / _OPTIMIZER} holds state of {len(state)} parameters, but this run "
            f"trains {len(places)}."
        )
    optimizer.load_state_dict({**optimizer.state_dict(), "state": state})


def _set_aside(checkpoint: Path) -> None:
    aside = checkpoint.with_name(DAMAGED)
    shutil.rmtree(aside, ignore_errors=True)
    if checkpoint.exists():
        checkpoint.rename(aside)


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()
