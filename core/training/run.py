"""From what the user chose to a run that has ended."""

from __future__ import annotations

import json
import shutil
import time
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn

from core.checks import UserError
from core.io.atomic import remove_partial_files, write_bytes
from core.logging import get_logger
from core.metrics import Lpips
from core.models.transformer import set_gradient_checkpointing
from core.training.compute.compilation import compile_blocks
from core.training.compute.memory import decide_recomputation
from core.training.compute.optimizer import OptimizerOptions, build_optimizer
from core.training.compute.perceptual import open_perceptual
from core.training.distributed.agreement import in_each_process, on_main_process
from core.training.distributed.averaging import average_in_rank_order
from core.training.distributed.launch import (
    build_accelerator,
    check_alike,
    lost_processes_explained,
)
from core.training.distributed.signals import StopSignals
from core.training.feeding.batches import Stride, stream_batches
from core.training.feeding.prefetch import Prefetcher
from core.training.feeding.sources import DataOptions, open_sources, open_validation_sets
from core.training.loop import Outcome, Trainer
from core.training.options import RunOptions
from core.training.plan import Plan, plan_run
from core.training.reporting.journal import SAMPLES
from core.training.reporting.trackers import new_run_id, require_tracker, start_tracker
from core.training.stages.stage import Stage
from core.training.workspace.checkpoints import (
    LATEST,
    PARTIAL,
    Progress,
    RunState,
    find_checkpoint,
    read_state,
    restore,
)
from core.training.workspace.lock import WorkspaceLock
from core.training.workspace.resuming import check_options, new_state
from core.types import ClipBatch

OPTIONS_FILE = "options.json"
_logger = get_logger(__name__)


def train(
    stage: Stage, data: DataOptions, run: RunOptions, optimizer_options: OptimizerOptions
) -> Outcome:
    """Train a stage's network, from the beginning or from where the workspace's run stopped.

    SIGTERM and SIGUSR1 stop it after a step, with everything saved. Call from the main thread. A
    run that still uses the workspace is waited for.

    Args:
        stage: Brings the network and its losses.
        data: What it is trained on.
        run: Length, size, place and reporting of the run.
        optimizer_options: AdamW and its schedule.

    Raises:
        UserError: If something that the user gave cannot be used, another run goes on in the
            workspace, memory does not suffice, or training diverges.
    """
    started = time.monotonic()
    require_tracker(run.report.tracker)
    with (
        lost_processes_explained(),
        StopSignals() as signals,
        WorkspaceLock(run.workspace) as lock,
    ):
        accelerator = build_accelerator(run)
        if stage.options.rasterizer == "cuda" and accelerator.device.type != "cuda":
            raise UserError("--rasterizer cuda: there is no CUDA device here; leave it at auto.")
        if not on_main_process(accelerator, lambda: lock.acquire(signals)):
            _logger.info("%s asked to stop; nothing was done.", signals.received)
            return Outcome(Progress(), "signal", {})
        sources = in_each_process(
            accelerator,
            lambda: open_sources(data, stage, seed=run.seed, device=accelerator.device),
            local_main_first=True,  # which builds the indices
        )
        options = {"data": data, "model": stage.options, "optimizer": optimizer_options, "run": run}
        state = new_state(
            stage.name,
            stage.config,
            options,
            num_processes=accelerator.num_processes,
            run_id=new_run_id(),
        )
        check_alike(accelerator, state.options, sources.samples_per_epoch)
        plan = plan_run(
            run,
            samples_per_epoch=sources.samples_per_epoch,
            samples_per_step=run.batch_size * accelerator.num_processes,
            warmup_steps=optimizer_options.warmup_steps,
        )
        perceptual = in_each_process(accelerator, lambda: open_perceptual(stage.options, plan))
        state, checkpoint = _take_up(accelerator, run, state)
        plan = _go_on(plan, state.progress)
        validation_sets = _open_validation_sets(accelerator, stage, data, run)
        trainer = build_trainer(
            accelerator,
            stage,
            plan,
            run,
            optimizer_options,
            state=state,
            checkpoint=checkpoint,
            perceptual=perceptual,
            signals=signals,
            started=started,
        )
        on_main_process(accelerator, lambda: start_tracker(accelerator, run, state))
        feed = Prefetcher(
            stream_batches(
                sources,
                Stride(run.batch_size, accelerator.process_index, accelerator.num_processes),
                first=state.progress.samples,
                workers=data.workers if data.datasets else 0,
                device=accelerator.device,
            ),
            accelerator.device,
        )
        _logger.info("training on %s", _describe_devices(accelerator))
        outcome = trainer.train(feed, validation_sets)
        _tell_end(outcome, plan, run, signals)
        return outcome


def build_trainer(
    accelerator: Accelerator,
    stage: Stage,
    plan: Plan,
    run: RunOptions,
    optimizer_options: OptimizerOptions,
    *,
    state: RunState,
    checkpoint: Path | None,
    perceptual: Lpips | None,
    signals: StopSignals,
    started: float,
) -> Trainer:
    """Build network and optimiser, load what a checkpoint holds, and put them to work.

    Raises:
        UserError: If weights that are needed are missing or do not fit.
    """
    torch.manual_seed(run.seed)
    model = in_each_process(
        accelerator, lambda: stage.build_model(initial_weights=checkpoint is None)
    )
    model = model.to(accelerator.device)
    optimizer = build_optimizer(model, optimizer_options)
    if checkpoint is not None:
        restore(checkpoint, model, optimizer)
    half_precision = run.mixed_precision == "bf16"
    recomputing = decide_recomputation(
        stage.options.gradient_checkpointing,
        stage,
        batch_size=run.batch_size,
        half_precision=half_precision,
        trained_parameters=sum(p.numel() for p in model.parameters() if p.requires_grad),
        device=accelerator.device,
    )
    set_gradient_checkpointing(model, recomputing)
    compiled = compile_blocks(model, run.compile, accelerator.device)
    if perceptual is not None:
        perceptual = perceptual.to(accelerator.device)
        if compiled:
            perceptual.compile(dynamic=False)
    with warnings.catch_warnings():
        # Newer versions of PyTorch have another name for it, which Accelerate does not know.
        warnings.filterwarnings("ignore", ".*broadcast_buffers.*", FutureWarning)
        prepared = accelerator.prepare(model)
    assert isinstance(prepared, nn.Module)
    average_in_rank_order(prepared)
    return Trainer(
        accelerator=accelerator,
        stage=stage,
        model=prepared,
        optimizer=optimizer,
        schedule=optimizer_options,
        plan=plan,
        run=run,
        state=state,
        perceptual=perceptual,
        recomputing=recomputing,
        signals=signals,
        started=started,
    )


def _take_up(
    accelerator: Accelerator, run: RunOptions, state: RunState
) -> tuple[RunState, Path | None]:
    """Return the state with which the run begins, and the checkpoint to load, if there is one."""
    checkpoint = on_main_process(accelerator, lambda: _clear_up(run.workspace))
    if checkpoint is not None:
        before = in_each_process(accelerator, lambda: read_state(checkpoint))
        check_options(before, state, allow_changes=run.resume_with_changes, where=str(checkpoint))
        state = replace(state, progress=before.progress, run_id=before.run_id, meters=before.meters)
        _logger.info("going on from step %d of %s", state.progress.step, checkpoint)
    record = {"stage": state.stage, "config": state.config, "options": state.options}
    data = json.dumps(record, indent=2).encode()
    on_main_process(accelerator, lambda: write_bytes(run.workspace / OPTIONS_FILE, data))
    return state, checkpoint


def _go_on(plan: Plan, progress: Progress) -> Plan:
    plan = plan.going_on_from(progress)
    if plan.ahead:
        _logger.info(
            "steps took other numbers of samples before; as to epochs and the fall of the "
            "learning rate, step %d is step %d of %d.",
            progress.step,
            progress.step + plan.ahead,
            plan.steps,
        )
    return plan


def _clear_up(workspace: Path) -> Path | None:
    """Remove what a kill left half written; return the newest whole checkpoint."""
    for folder in (workspace, workspace / SAMPLES):
        remove_partial_files(folder)
    shutil.rmtree(workspace / PARTIAL, ignore_errors=True)
    return find_checkpoint(workspace)


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


def _describe_devices(accelerator: Accelerator) -> str:
    device, count = accelerator.device, accelerator.num_processes
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else "the CPU"
    return f"{name}, {count} processes" if count > 1 else name


def _tell_end(outcome: Outcome, plan: Plan, run: RunOptions, signals: StopSignals) -> None:
    step = outcome.progress.step
    if outcome.finished:
        _logger.info("finished: %d steps; the result is in %s", step, run.workspace)
        return
    reason = f"{signals.received or 'a signal'} asked to stop"
    if outcome.stopped_by == "time":
        reason = f"the {run.max_minutes:g} minutes are over"
    _logger.info(
        "stopped at step %d of %d, %s; all is saved in %s, the same command goes on from there.",
        step,
        plan.last_step,
        reason,
        run.workspace / LATEST,
    )
