"""From what the user chose to a run that has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator

from core.checks import UserError
from core.io.collisions import refuse_overwriting
from core.logging import get_logger
from core.models import files_of_model
from core.training.compute.networks import build_network, open_perceptual
from core.training.compute.options import OptimizerOptions
from core.training.distributed.agreement import in_each_process, on_main_process
from core.training.distributed.launch import (
    build_accelerator,
    check_alike,
    lost_processes_explained,
)
from core.training.distributed.signals import StopRequests
from core.training.feeding.batches import BatchShard, stream_batches
from core.training.feeding.options import DataOptions
from core.training.feeding.prefetch import Prefetcher
from core.training.feeding.sources import open_sources, open_validation_sets
from core.training.feeding.workers import lost_workers_explained
from core.training.loop import Outcome, Recipe, Trainer
from core.training.options import RunOptions
from core.training.plan import Plan, plan_run
from core.training.reporting.trackers import new_run_id, require_tracker, start_tracker
from core.training.stages.stage import Stage
from core.training.workspace.checkpoints import LATEST, Progress
from core.training.workspace.lock import WorkspaceLock
from core.training.workspace.resuming import WORKSPACE_FILES, new_state, resume
from core.types import ClipBatch

_logger = get_logger(__name__)


def train(stage: Stage, data: DataOptions, run: RunOptions, optimizer: OptimizerOptions) -> Outcome:
    """Train a stage's network, from the beginning or from where the workspace's run stopped.

    SIGTERM and SIGUSR1 stop it after a step, with everything saved. Call from the main thread. A
    run that still uses the workspace is waited for.

    Args:
        stage: Brings the network and its losses.
        data: What it is trained on.
        run: Length, size, place and reporting of the run.
        optimizer: AdamW and its schedule.

    Raises:
        UserError: If something that the user gave cannot be used, another run uses the workspace,
            memory does not suffice, or training diverges.
    """
    require_tracker(run.report.tracker)
    _refuse_overwriting(stage, data, run)
    with (
        lost_processes_explained(),
        lost_workers_explained(),
        StopRequests(run.max_minutes) as stop,
        WorkspaceLock(run.workspace) as lock,
    ):
        accelerator = build_accelerator(run)
        if stage.options.rasterizer == "cuda" and accelerator.device.type != "cuda":
            raise UserError("--rasterizer cuda: there is no CUDA device here; leave it at auto.")
        if not on_main_process(accelerator, lambda: lock.acquire(stop)):
            _logger.info("%s asked to stop; nothing was done.", stop.received)
            return Outcome(Progress(), "signal", {})
        return _train(accelerator, stage, data, run, optimizer, stop)


def _refuse_overwriting(stage: Stage, data: DataOptions, run: RunOptions) -> None:
    """Check that the workspace is no dataset, and holds no weights that the run starts from."""
    options = {**vars(stage.options), "eval_clips_path": run.report.eval_clips_path}
    weights = [
        (f"--{name}", path)
        for name, value in options.items()
        if isinstance(value, Path)
        for path in ([value] if name == "eval_clips_path" else files_of_model(value))
    ]
    datasets = [(f"--{dataset.name}_path", dataset.path) for dataset in data.datasets]
    refuse_overwriting(run.workspace, WORKSPACE_FILES, [*weights, *datasets])


def _train(
    accelerator: Accelerator,
    stage: Stage,
    data: DataOptions,
    run: RunOptions,
    optimizer: OptimizerOptions,
    stop: StopRequests,
) -> Outcome:
    """Train with processes that are joined, in a workspace that is theirs."""
    count = accelerator.num_processes
    # What there is to learn from, and how long that takes.
    sources = in_each_process(
        accelerator,
        lambda: open_sources(data, stage, seed=run.seed, device=accelerator.device),
        local_main_first=True,  # which builds the indices
    )
    options = {"data": data, "model": stage.options, "optimizer": optimizer, "run": run}
    state = new_state(stage.name, stage.config, options, num_processes=count, run_id=new_run_id())
    check_alike(accelerator, state.options, sources.samples_per_epoch)
    plan = plan_run(
        run,
        optimizer,
        samples_per_epoch=sources.samples_per_epoch,
        samples_per_step=run.batch_size * count,
    )
    perceptual = in_each_process(accelerator, lambda: open_perceptual(stage.options, plan.epochs))
    # Where the workspace's run stopped.
    warmup = {"optimizer.warmup_steps": plan.warmup_steps}
    state = replace(state, options=state.options | warmup)
    state, checkpoint = resume(accelerator, run, state)
    plan = _resume_plan(plan, state.progress)
    # The network, and what it is measured on.
    validation_sets = _open_validation_sets(accelerator, stage, data, run)
    network = build_network(
        accelerator, stage, run, optimizer, perceptual=perceptual, checkpoint=checkpoint
    )
    trainer = Trainer(accelerator, Recipe(stage, run, optimizer, plan), network, state, stop)
    on_main_process(accelerator, lambda: start_tracker(accelerator, run, state))
    # The loop.
    batches = in_each_process(
        accelerator,
        lambda: stream_batches(
            sources,
            BatchShard(run.batch_size, accelerator.process_index, count),
            first=state.progress.samples,
            workers=data.workers if data.datasets else 0,
            device=accelerator.device,
        ),
    )
    _log_start(accelerator, plan)
    feed = Prefetcher(batches, accelerator.device, lambda: stop.received is not None)
    outcome = trainer.train(feed, validation_sets)
    _log_end(outcome, plan, run, stop)
    return outcome


def _resume_plan(plan: Plan, progress: Progress) -> Plan:
    plan = plan.resumed_from(progress)
    if plan.ahead:
        _logger.info(
            "earlier steps took other numbers of samples: for epochs and the fall of the learning "
            "rate, step %d is step %d of %d.",
            *(progress.step, progress.step + plan.ahead, plan.steps),
        )
    return plan


def _open_validation_sets(
    accelerator: Accelerator, stage: Stage, data: DataOptions, run: RunOptions
) -> dict[str, Sequence[ClipBatch]]:
    report = run.report
    if report.eval_every == 0 and not report.picture_every:
        return {}
    sets = in_each_process(
        accelerator,
        lambda: open_validation_sets(
            data,
            stage,
            eval_clips_path=report.eval_clips_path,
            num_samples=report.eval_samples,
            device=accelerator.device,
        ),
        local_main_first=True,
    )
    return dict(sets)


def _log_start(accelerator: Accelerator, plan: Plan) -> None:
    device, count = accelerator.device, accelerator.num_processes
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
    _logger.info(
        "training on %s%s: %d steps, %d an epoch; the learning rate rises over the first %d",
        *(name, f", {count} processes" if count > 1 else ""),
        *(plan.steps, plan.steps_per_epoch, plan.warmup_steps),
    )


def _log_end(outcome: Outcome, plan: Plan, run: RunOptions, stop: StopRequests) -> None:
    step = outcome.progress.step
    if outcome.finished:
        _logger.info("finished: %d steps; the result is in %s", step, run.workspace)
        return
    reason = f"{stop.received or 'a signal'} asked to stop"
    if outcome.stopped_by == "time":
        reason = f"the {run.max_minutes:g} minutes are over"
    _logger.info(
        "stopped at step %d of %d, %s; all is saved in %s, the same command resumes from there.",
        *(step, plan.last_step, reason, run.workspace / LATEST),
    )
