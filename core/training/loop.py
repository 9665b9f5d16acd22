"""The one training loop."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from torch import Tensor, nn

from core.checks import UserError
from core.io.images import write_png
from core.logging import configure_logging, get_logger
from core.training.batches import Stride, stream_batches
from core.training.checkpoints import (
    CHECKPOINT,
    Progress,
    find_checkpoint,
    load_checkpoint,
    save_checkpoint,
    save_weights,
    write_json,
)
from core.training.data import DataOptions, open_sources, open_validation_sets
from core.training.journal import Journal, Meters, Stopwatch, require_tracker
from core.training.optimizer import OptimizerOptions, build_optimizer, learning_rate
from core.training.options import RunOptions
from core.training.randomness import draw_step_noise
from core.training.stage import NonFiniteSceneError, Stage, StepLosses
from core.training.validation import validate
from core.types import ClipBatch

MAX_SKIPPED_IN_A_ROW = 10
_logger = get_logger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    progress: Progress
    """How far it came."""
    finished: bool
    """Whether all steps are done; otherwise time was up."""
    metrics: dict[str, float]
    """Those of the last validation; empty without one."""


def train(
    stage: Stage, data: DataOptions, run: RunOptions, optimizer_options: OptimizerOptions
) -> Outcome:
    """Train a stage's network, from the beginning or from the workspace's checkpoint.

    Args:
        stage: Brings the network and its losses.
        data: What it is trained on.
        run: Length, size, place and reporting of the run.
        optimizer_options: AdamW and its schedule.

    Raises:
        UserError: If something that the user gave cannot be used, or training diverges.
    """
    started = time.monotonic()
    if optimizer_options.warmup_steps >= run.steps:
        raise UserError(
            f"--warmup_steps {optimizer_options.warmup_steps} leaves nothing of --steps "
            f"{run.steps}; lower it, for example to {run.steps // 20}."
        )
    accelerator = _build_accelerator(run)
    parts = {"data": data, "model": stage.options, "optimizer": optimizer_options, "run": run}
    record = {"stage": stage.name, "config": asdict(stage.config)}
    record.update({name: asdict(part) for name, part in parts.items()})
    checkpoint = _prepare_workspace(accelerator, run, record)
    torch.manual_seed(run.seed)
    model = stage.build_model().to(accelerator.device)
    model, optimizer = accelerator.prepare(model, build_optimizer(model, optimizer_options))
    progress = Progress()
    if checkpoint is not None:
        progress = load_checkpoint(accelerator, checkpoint, stage)
        _logger.info("going on from step %d of %s", progress.step, checkpoint)
    with accelerator.local_main_process_first():  # one process a machine builds the indices
        sources = open_sources(data, stage, seed=run.seed, device=accelerator.device)
    batches = stream_batches(
        sources,
        Stride(run.batch_size, accelerator.process_index, accelerator.num_processes),
        first=progress.samples,
        workers=data.workers if data.datasets else 0,
        device=accelerator.device,
    )
    validation_sets: dict[str, list[ClipBatch]] = {}
    if run.eval_every and accelerator.is_main_process:
        validation_sets = open_validation_sets(
            data,
            stage,
            eval_clips_path=run.eval_clips_path,
            num_samples=run.eval_samples,
            device=accelerator.device,
        )
    trainer = Trainer(
        accelerator=accelerator,
        stage=stage,
        model=model,
        optimizer=optimizer,
        schedule=optimizer_options,
        batches=batches,
        validation_sets=validation_sets,
        run=run,
        progress=progress,
        started=started,
    )
    return trainer.train()


class Trainer:
    """Takes steps with parts that are built already.

    Args:
        accelerator: Knows device, precision and the other processes.
        stage: Brings the losses.
        model: The network, prepared by the accelerator.
        optimizer: Its optimiser, prepared likewise.
        schedule: Learning rate and gradient clipping.
        batches: Endless batches on the device, from the first step to be taken on.
        validation_sets: Samples for validation by set; used in the main process.
        run: Length and reporting of the run.
        progress: Where the run stands.
        started: When the program began, of ``time.monotonic()``.
    """

    def __init__(
        self,
        *,
        accelerator: Accelerator,
        stage: Stage,
        model: nn.Module,
        optimizer: AcceleratedOptimizer,
        schedule: OptimizerOptions,
        batches: Generator[ClipBatch, None, None],
        validation_sets: Mapping[str, Sequence[ClipBatch]],
        run: RunOptions,
        progress: Progress,
        started: float,
    ) -> None:
        self._accelerator = accelerator
        self._stage = stage
        self._model = model
        self._optimizer = optimizer
        self._schedule = schedule
        self._batches = batches
        self._validation_sets = validation_sets
        self._run = run
        self._progress = progress
        self._started = started
        self._trainable = [p for p in model.parameters() if p.requires_grad]
        self._skipped_in_a_row = 0
        self._metrics: dict[str, float] = {}

    def train(self) -> Outcome:
        """Take steps until all are done or time is up; save, and tell how it went.

        Raises:
            UserError: If loss or gradients are not finite in many steps in a row.
        """
        run = self._run
        journal = Journal(self._accelerator, run.workspace, self._progress.step, run.steps)
        meters, watch = Meters(), Stopwatch()
        saved_step = self._progress.step if self._progress.step else None
        out_of_time = False
        self._model.train()
        try:
            batch = next(self._batches) if self._progress.step < run.steps else None
            while batch is not None and self._progress.step < run.steps and not out_of_time:
                batch, out_of_time = self._step(batch, meters)
                step = self._progress.step
                watch.count()
                journal.advance()
                if step % run.log_every == 0 or step == run.steps:
                    journal.write(step, "train", self._describe(meters, watch))
                    watch.restart()
                if run.eval_every and (step % run.eval_every == 0 or step == run.steps):
                    self._validate(journal)
                    watch.restart()
                if step % run.save_every == 0:
                    self._save()
                    saved_step = step
                    watch.restart()
            if saved_step != self._progress.step:
                self._save()
        finally:
            self._batches.close()
            journal.close()
        return Outcome(self._progress, self._progress.step >= run.steps, self._metrics)

    def _step(self, batch: ClipBatch, meters: Meters) -> tuple[ClipBatch, bool]:
        """Take a step; return the next batch, and whether time is up."""
        step = self._progress.step
        lr = learning_rate(step, self._run.steps, self._schedule)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        losses = self._compute_losses(batch, step)
        self._accelerator.backward(losses.total)
        norm = self._accelerator.clip_grad_norm_(self._trainable, self._schedule.max_grad_norm)
        assert isinstance(norm, Tensor)
        # Made now, while the device is still busy with this step; the check below waits for it.
        next_batch = next(self._batches)
        broken = ~(torch.isfinite(losses.total.detach()) & torch.isfinite(norm))
        broken, out_of_time = self._agree(broken)
        if broken:
            self._note_skipped_step()
        else:
            self._optimizer.step()
            self._skipped_in_a_row = 0
            meters.add({**losses.terms, "grad_norm": norm})
        self._optimizer.zero_grad(set_to_none=True)
        taken = len(batch.frames) * self._accelerator.num_processes
        self._progress = replace(
            self._progress, step=step + 1, samples=self._progress.samples + taken
        )
        return next_batch, out_of_time

    def _compute_losses(self, batch: ClipBatch, step: int) -> StepLosses:
        noise = draw_step_noise(
            self._run.seed,
            step,
            self._accelerator.process_index,
            batch_size=len(batch.frames),
            depth_drop=self._stage.options.depth_drop,
            device=self._accelerator.device,
        )
        try:
            return self._stage.compute_losses(self._model, batch, noise)
        except NonFiniteSceneError as error:
            return StepLosses(error.poison, {})

    def _agree(self, broken: Tensor) -> tuple[bool, bool]:
        """Return whether the step is broken or time is up in any process; waits for the device."""
        limit = self._run.max_minutes
        out_of_time = limit is not None and time.monotonic() - self._started > 60 * limit
        if self._accelerator.num_processes == 1:
            return bool(broken), out_of_time
        flags = torch.stack([broken, torch.full_like(broken, out_of_time)]).float()
        reduced = self._accelerator.reduce(flags, reduction="sum")
        assert isinstance(reduced, Tensor)
        any_broken, any_late = (reduced > 0).tolist()
        return any_broken, any_late

    def _note_skipped_step(self) -> None:
        self._skipped_in_a_row += 1
        skipped = self._progress.skipped_steps + 1
        self._progress = replace(self._progress, skipped_steps=skipped)
        if self._skipped_in_a_row >= MAX_SKIPPED_IN_A_ROW:
            raise UserError(
                f"loss or gradients were not finite in {MAX_SKIPPED_IN_A_ROW} steps in a row, up "
                f"to step {self._progress.step + 1}; lower --lr or raise --warmup_steps, and start "
                f"again from {self._run.workspace / CHECKPOINT} (--resume) or from the beginning."
            )

    def _describe(self, meters: Meters, watch: Stopwatch) -> dict[str, float]:
        progress, samples = self._progress, self._run.batch_size * self._accelerator.num_processes
        return {
            **meters.read(self._accelerator),
            "lr": learning_rate(progress.step - 1, self._run.steps, self._schedule),
            "samples_per_second": watch.rate() * samples,
            "skipped_steps": progress.skipped_steps,
        }

    def _validate(self, journal: Journal) -> None:
        if self._accelerator.is_main_process:
            step = self._progress.step
            model = self._accelerator.unwrap_model(self._model)
            outcome = validate(self._stage, model, self._validation_sets)
            self._metrics = outcome.metrics
            journal.write(step, "eval", outcome.metrics)
            write_png(self._run.workspace / "samples" / f"step_{step:06d}.png", outcome.picture)
        self._accelerator.wait_for_everyone()

    def _save(self) -> None:
        save_checkpoint(self._accelerator, self._run.workspace, self._stage, self._progress)
        if self._accelerator.is_main_process:
            save_weights(self._accelerator.unwrap_model(self._model), self._run.workspace)
        self._accelerator.wait_for_everyone()


def _build_accelerator(run: RunOptions) -> Accelerator:
    require_tracker(run.tracker)
    accelerator = Accelerator(
        mixed_precision=run.mixed_precision,
        log_with=None if run.tracker == "none" else run.tracker,
        project_dir=run.workspace,
    )
    if not accelerator.is_main_process:
        configure_logging(level=logging.WARNING)
    return accelerator


def _prepare_workspace(
    accelerator: Accelerator, run: RunOptions, record: dict[str, Any]
) -> Path | None:
    """Make the workspace, note the options in it, and return the checkpoint to go on from."""
    checkpoint = find_checkpoint(run.workspace)
    if checkpoint is not None and not run.resume:
        raise UserError(
            f"--workspace {run.workspace} holds {CHECKPOINT} of an earlier run; give --resume to "
            "go on from it, or another --workspace."
        )
    if run.resume and checkpoint is None:
        _logger.info("%s holds no checkpoint; starting from the beginning", run.workspace)
    if accelerator.is_main_process:
        write_json(run.workspace / "options.json", record)
    if run.tracker != "none":
        accelerator.init_trackers("streamsplat", config=json.loads(json.dumps(record, default=str)))
    accelerator.wait_for_everyone()
    return checkpoint
