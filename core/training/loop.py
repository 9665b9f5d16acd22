"""The one training loop."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from accelerate import Accelerator
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from core.checks import UserError
from core.logging import get_logger
from core.metrics import Lpips
from core.models import StaticModel, StreamSplat, save_model
from core.training.compute.memory import is_out_of_memory, out_of_memory
from core.training.compute.optimizer import OptimizerOptions, learning_rate
from core.training.compute.randomness import draw_step_noise
from core.training.distributed.agreement import (
    Agreement,
    StepFlags,
    in_each_process,
    on_main_process,
)
from core.training.distributed.signals import StopSignals
from core.training.feeding.prefetch import Prefetcher
from core.training.options import RunOptions
from core.training.plan import Plan
from core.training.reporting.journal import Journal
from core.training.reporting.meters import Meters, Stopwatch
from core.training.reporting.sheet import draw_samples
from core.training.reporting.validation import validate
from core.training.stages.stage import NonFiniteSceneError, Stage, StepLosses
from core.training.workspace.checkpoints import LATEST, Progress, RunState, write_checkpoint
from core.types import ClipBatch

_GIB = 2**30
_logger = get_logger(__name__)


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    progress: Progress
    """How far it came."""
    stopped_by: Literal["signal", "time"] | None
    """What ended it before all steps were done; None if nothing did."""
    metrics: dict[str, float]
    """Those of the last validation; empty without one."""

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.stopped_by is None

    @property
    def exit_status(self) -> int:
        """What a program exits with: 0, or 75 (try again) where a signal stopped the run.

        A scheduler that looks at it can tell a run that has to go on from one that has ended.
        """
        return os.EX_TEMPFAIL if self.stopped_by == "signal" else 0


class Trainer:
    """Takes steps with parts that are built already.

    Args:
        accelerator: Knows device, precision and the other processes.
        stage: Brings the losses.
        model: The network, prepared by the accelerator.
        optimizer: Its fused optimiser.
        schedule: Learning rate and gradient clipping.
        plan: Length of the run.
        run: Conduct of the run.
        state: Where the run stands.
        perceptual: LPIPS, where it is there.
        recomputing: Whether activations are computed twice.
        signals: Whether somebody asked to stop.
        started: When the program began, of ``time.monotonic()``.
    """

    def __init__(
        self,
        *,
        accelerator: Accelerator,
        stage: Stage,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        schedule: OptimizerOptions,
        plan: Plan,
        run: RunOptions,
        state: RunState,
        perceptual: Lpips | None,
        recomputing: bool,
        signals: StopSignals,
        started: float,
    ) -> None:
        self._accelerator = accelerator
        self._stage = stage
        self._model = model
        self._optimizer = optimizer
        self._schedule = schedule
        self._plan = plan
        self._run = run
        self._state = state
        self._perceptual = perceptual
        self._recomputing = recomputing
        self._signals = signals
        self._started = started
        self._progress = state.progress
        self._trainable = [p for p in model.parameters() if p.requires_grad]
        self._agreement = Agreement(accelerator)
        self._meters = Meters()
        self._meters.restore(state.meters, accelerator)
        self._watch = Stopwatch()
        self._saved_at = time.monotonic()
        self._saved_step = self._progress.step
        self._save_due = False
        self._stopped_by: Literal["signal", "time"] | None = None
        self._batch: ClipBatch | None = None
        self._failure: Exception | None = None
        self._metrics: dict[str, float] = {}
        self._model.train()

    @property
    def model(self) -> nn.Module:
        """The network, as the accelerator prepared it."""
        return self._model

    def train(
        self, feed: Prefetcher, validation_sets: Mapping[str, Sequence[ClipBatch]]
    ) -> Outcome:
        """Take steps until all are done or somebody asks to stop; save, and tell how it went.

        Args:
            feed: Batches on the device, from the first step to be taken on.
            validation_sets: Held-back samples by set, the same in all processes.

        Raises:
            UserError: If loss or gradients are not finite in many steps in a row, memory does not
                suffice, a sample cannot be read, or a checkpoint cannot be written.
        """
        steps = self._plan.last_step
        journal = in_each_process(
            self._accelerator,
            lambda: Journal(self._accelerator, self._run.workspace, self._progress.step, steps),
        )
        try:
            if self._progress.step < steps:
                in_each_process(self._accelerator, feed.start)
            else:
                self._save_result()  # may have been removed, or lost with the power
            while self._progress.step < steps and self._stopped_by is None:
                self.step(self._next_batch(feed))
                self._watch.count(feed.waited)
                journal.advance()
                self._report(journal, validation_sets)
                if self._plan.ends_epochs(self._progress.step, self._run.save_every_epochs):
                    self._save_due = True
                if self._save_due and not self._is_diverging():
                    self._save()
            if self._saved_step != self._progress.step:
                self._save()
        except RuntimeError as error:
            if not is_out_of_memory(error):
                raise
            raise out_of_memory(
                self._stage,
                batch_size=self._run.batch_size,
                half_precision=self._run.mixed_precision == "bf16",
                recomputing=self._recomputing,
            ) from error
        finally:
            feed.close()
            journal.close()
        stopped_by = self._stopped_by if self._progress.step < steps else None
        return Outcome(self._progress, stopped_by, self._metrics)

    def step(self, batch: ClipBatch) -> Mapping[str, Float[Tensor, ""]]:
        """Take an optimiser step on samples on the device, without waiting for the device.

        A loss that is not finite makes all gradients NaN, in all processes once gradients are
        averaged; the optimiser then leaves everything as it is.

        Returns:
            The losses and metrics of the step, on the device.

        Raises:
            UserError: If the steps before were not finite too many times in a row.
        """
        step = self._progress.step
        plan = self._plan
        lr = learning_rate(step, plan.steps, self._schedule, ahead=plan.ahead)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        losses = self._compute_losses(batch, step)
        self._accelerator.backward(_poison_unless_finite(losses.total))
        norm = clip_grad_norm_(self._trainable, self._schedule.max_grad_norm)
        skipped = ~torch.isfinite(norm)
        self._optimizer.found_inf = skipped.float()  # type: ignore[attr-defined]
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._meters.add({**losses.terms, "grad_norm": norm}, skipped=skipped)
        taken = len(batch.frames) * self._accelerator.num_processes
        self._listen()
        self._agreement.tell(skipped, self._flags())
        self._progress = replace(
            self._progress, step=step + 1, samples=self._progress.samples + taken
        )
        return losses.terms

    def _next_batch(self, feed: Prefetcher) -> ClipBatch:
        """Return the next batch, or the last one where others have still to hear of a failure.

        They would wait for this process's gradients otherwise. The steps until then are not saved.
        """
        if self._failure is None:
            try:
                self._batch = feed.next()
            except Exception as error:  # of any kind: the others are to end as well
                if self._accelerator.num_processes == 1:
                    raise
                self._failure = error
        assert self._batch is not None, "the first batch was drawn by all processes"
        return self._batch

    def _compute_losses(self, batch: ClipBatch, step: int) -> StepLosses:
        options = self._stage.options
        noise = draw_step_noise(
            self._run.seed,
            step,
            self._accelerator.process_index,
            batch_size=len(batch.frames),
            depth_drop=options.depth_drop,
            device=self._accelerator.device,
        )
        wanted = options.lambda_lpips > 0 and self._plan.epoch(step) >= options.lpips_from_epoch
        perceptual = self._lpips_in_half_precision if wanted else None
        try:
            return self._stage.compute_losses(self._model, batch, noise, perceptual)
        except NonFiniteSceneError as error:
            return StepLosses(error.poison, {})

    def _lpips_in_half_precision(self, images: Tensor, targets: Tensor) -> Tensor:
        assert self._perceptual is not None, "open_perceptual sees to it that it is there"
        with self._accelerator.autocast():
            return self._perceptual(images, targets)

    def _flags(self) -> StepFlags:
        """Return what this process has to tell the others."""
        now, limit = time.monotonic(), self._run.max_minutes
        is_old = now - self._saved_at > 60 * self._run.save_every_minutes
        return StepFlags(
            out_of_time=limit is not None and now - self._started > 60 * limit,
            signalled=self._signals.received is not None,
            save_due=is_old and self._accelerator.is_main_process,
            failed=self._failure is not None,
        )

    def _listen(self) -> None:
        """Take in what was told last; the same in all processes."""
        flags = self._agreement.hear()
        if flags is None:
            return
        if flags.failed:
            raise self._failure or UserError(
                "another process has no samples to go on with; its line says why."
            )
        progress = self._progress
        in_a_row = progress.skipped_in_a_row + 1 if flags.skipped else 0
        self._progress = replace(
            progress,
            skipped_steps=progress.skipped_steps + flags.skipped,
            skipped_in_a_row=in_a_row,
        )
        if in_a_row >= self._run.max_skipped_steps:
            latest = self._run.workspace / LATEST
            go_on = f"go on from {latest} (--resume_with_changes) or " if latest.exists() else ""
            raise UserError(
                f"loss or gradients were not finite in {in_a_row} steps in a row, up to step "
                f"{progress.step}; lower --lr or raise --warmup_steps, and {go_on}start anew."
            )
        self._save_due = self._save_due or flags.save_due
        if flags.signalled:
            self._stopped_by = "signal"
        elif flags.out_of_time:
            self._stopped_by = "time"

    def _is_diverging(self) -> bool:
        """Return whether the last step was skipped; what was saved before may be better then."""
        self._listen()
        return self._progress.skipped_in_a_row > 0

    def _report(self, journal: Journal, validation_sets: Mapping[str, Sequence[ClipBatch]]) -> None:
        """Write, validate and draw, each at its own steps; none of it counts as training time."""
        report, step = self._run.report, self._progress.step
        last = step == self._plan.last_step
        if step % report.log_every == 0 or last:
            described = self._describe()
            on_main_process(self._accelerator, lambda: journal.write(step, "train", described))
            self._watch.restart()
        if report.eval_every is None:
            eval_due = self._plan.ends_epochs(step) or last
        else:
            eval_due = report.eval_every > 0 and (step % report.eval_every == 0 or last)
        model = self._accelerator.unwrap_model(self._model)
        if eval_due:
            self._metrics = validate(
                self._accelerator, self._stage, model, validation_sets, self._perceptual
            )
            if self._metrics:
                on_main_process(
                    self._accelerator, lambda: journal.write(step, "eval", self._metrics)
                )
            self._watch.restart()
        if report.picture_every and (step % report.picture_every == 0 or last):

            def show() -> None:
                try:
                    picture = draw_samples(self._accelerator, self._stage, model, validation_sets)
                except NonFiniteSceneError as error:
                    _logger.warning("no picture of step %d: %s.", step, error)
                else:
                    journal.show(step, picture)

            on_main_process(self._accelerator, show)
            self._watch.restart()

    def _describe(self) -> dict[str, float]:
        """Return the means since the last line, and how fast it goes; waits for the device."""
        self._listen()
        described = self._meters.read(self._accelerator)
        samples = self._run.batch_size * self._accelerator.num_processes
        described |= {
            "lr": self._optimizer.param_groups[0]["lr"],
            "samples_per_second": self._watch.rate() * samples,
            "data_wait": self._watch.waiting(),
            "skipped_steps": self._progress.skipped_steps,
        }
        device = self._accelerator.device
        if device.type == "cuda":
            described["gpu_memory_gib"] = torch.cuda.max_memory_allocated(device) / _GIB
            torch.cuda.reset_peak_memory_stats(device)
        return described

    def _save(self) -> None:
        self._listen()
        state = replace(
            self._state,
            progress=self._progress,
            meters=self._meters.state(self._accelerator),
        )
        # First what the run is for: no step has a checkpoint to go on from without its result.
        model = self._save_result()
        on_main_process(
            self._accelerator,
            lambda: write_checkpoint(self._run.workspace, model, self._optimizer, state),
        )
        self._saved_at, self._saved_step = time.monotonic(), self._progress.step
        self._save_due = False
        self._watch.restart()

    def _save_result(self) -> StaticModel | StreamSplat:
        """Write the network as the run's result, and return it."""
        model = self._accelerator.unwrap_model(self._model)
        assert isinstance(model, (StaticModel, StreamSplat))
        on_main_process(self._accelerator, lambda: save_model(model, self._run.workspace))
        return model


def _poison_unless_finite(loss: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Return a loss whose gradients are all NaN where the loss itself is not finite."""
    return loss * torch.where(torch.isfinite(loss.detach()), 1.0, torch.nan)
