"""Joins the processes that train together, and explains why they cannot be joined."""

from __future__ import annotations

import logging
import os
import platform
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from accelerate import Accelerator
from accelerate.utils import (
    DistributedDataParallelKwargs,
    DistributedType,
    DynamoBackend,
    gather_object,
)

from core.checks import UserError
from core.logging import configure_logging
from core.training.options import RunOptions

_PLACES = ("path", "workspace", "init_from")
_WHOLE_NETWORKS = (DistributedType.NO, DistributedType.MULTI_CPU, DistributedType.MULTI_GPU)


def build_accelerator(run: RunOptions) -> Accelerator:
    """Join the processes that train together; all but the main one log warnings only.

    Raises:
        UserError: If they do not find each other, or the launcher asks for what is not done here.
    """
    try:
        accelerator = Accelerator(
            mixed_precision=run.mixed_precision,
            log_with=None if run.report.tracker == "none" else run.report.tracker,
            project_dir=run.workspace,
            kwargs_handlers=[
                DistributedDataParallelKwargs(
                    # Gradients are averaged where they lie, without a second copy of them.
                    gradient_as_bucket_view=True,
                    # Buffers are constants.
                    broadcast_buffers=False,
                )
            ],
        )
    except (ValueError, RuntimeError) as error:
        if "WORLD_SIZE" not in os.environ:
            raise
        raise UserError(
            f"the processes cannot be joined ({_first_line(error)}); start them with accelerate "
            "launch or torchrun, or give each its RANK, LOCAL_RANK and WORLD_SIZE, and all the "
            "same MASTER_ADDR and MASTER_PORT, a port that is free."
        ) from error
    _check_launch(accelerator)
    if accelerator.device.type == "cuda":
        # Heads stay in float32; their products in TF32 are finer than the features, which are not.
        torch.set_float32_matmul_precision("high" if run.half_precision else "highest")
        torch.backends.cudnn.allow_tf32 = run.half_precision
    if not accelerator.is_main_process:
        configure_logging(level=logging.WARNING)
    return accelerator


def _check_launch(accelerator: Accelerator) -> None:
    """Check that no other setting of Accelerate's launcher changes training."""
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if started > accelerator.num_processes:
        raise UserError(
            f"{started} processes were started, but each would train by itself on "
            f"{accelerator.device}, for want of a CUDA device; start a single one, or set "
            "ACCELERATE_USE_CPU=true to let them share the CPU."
        )
    kind, dynamo = accelerator.distributed_type, accelerator.state.dynamo_plugin
    if kind not in _WHOLE_NETWORKS:
        raise UserError(
            f"accelerate is set to use {kind.value}, but each process trains the whole network "
            "here; launch with a file of acc_configs/."
        )
    if dynamo is not None and dynamo.backend != DynamoBackend.NO:
        raise UserError(
            f"accelerate is set to compile with {dynamo.backend.value}; launch with "
            "--dynamo_backend no or a file of acc_configs/, and leave compiling to --compile."
        )
    if accelerator.gradient_accumulation_steps != 1:
        raise UserError(
            "accelerate is set to accumulate gradients over "
            f"{accelerator.gradient_accumulation_steps} steps, which is not done here; launch with "
            "a file of acc_configs/, and choose --batch_size."
        )


def check_alike(
    accelerator: Accelerator, options: Mapping[str, Any], samples_per_epoch: int | None
) -> None:
    """Check that all processes were started alike; otherwise they would wait for each other.

    All processes call this. Places of files may differ.

    Args:
        accelerator: Knows the other processes.
        options: The run's options, flat.
        samples_per_epoch: Samples of one pass over the data that this process has found.

    Raises:
        UserError: If one has other options or data, in every process.
    """
    own = {name: value for name, value in options.items() if not name.endswith(_PLACES)}
    own["data.samples_per_epoch"] = samples_per_epoch
    (host, first), *others = gather_object([(platform.node(), own)])
    for rank, (other_host, theirs) in enumerate(others, start=1):
        differences = [
            f"{name.rpartition('.')[2]} is {theirs.get(name)!r} rather than {first.get(name)!r}"
            for name in sorted({*first, *theirs})
            if theirs.get(name) != first.get(name)
        ]
        if differences:
            raise UserError(
                f"process {rank} on {other_host} differs from process 0 on {host}: "
                f"{'; '.join(differences)}. Give all of them the same options and data."
            )


@contextmanager
def lost_processes_explained() -> Iterator[None]:
    """Turn PyTorch's error for a lost process into one line.

    Raises:
        UserError: In place of that error, wherever the run is at that moment.
    """
    try:
        yield
    except RuntimeError as error:
        # Of NCCL it is a DistError, of Gloo a RuntimeError that names the place in Gloo's source.
        if not isinstance(error, dist.DistError) and "gloo/" not in str(error):
            raise
        raise UserError(
            f"another process of this run was lost ({_first_line(error)}); where it ended by "
            "itself, its own line says why. The same command resumes from the last checkpoint."
        ) from error


def _first_line(error: Exception) -> str:
    """Return what an error says, without the place in a C++ source that it may begin with."""
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return re.sub(r"^\[\S+:\d+\] ", "", lines[0]).split(". ")[0]
