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
from core.models import Network, StaticMatchingModel, StaticModel, StaticNetwork, save_model
from core.training.compute.memory import out_of_memory
from core.training.compute.networks import TrainedNetwork
from core.training.compute.options import OptimizerOptions
from core.training.distributed.agreement import (
    Agreement,
    StepFlags,
    in_each_process,
    on_main_process,
)
from core.training.distributed.signals import StopRequests
from core.training.feeding.prefetch import NoBatchError, Prefetcher
from core.training.options import RunOptions
from core.training.plan import Plan, learning_rate
from core.training.reporting.meters import Meters, StepTimer
from core.training.reporting.pictures import draw_samples
from core.training.reporting.run_log import RunLog
from core.training.reporting.validation import validate
from core.training.stages.noise import draw_step_noise
from core.training.stages.stage import NonFiniteSceneError, Stage, StepLosses
from core.training.workspace.checkpoints import LATEST, Progress, RunState, write_checkpoint
from core.types import ClipBatch

_GIB = 2**30
_logger = get_logger(__name__)


@dataclass(frozen=True)
class Recipe:
    """What is trained, how, and for how long."""

    stage: Stage
    """Brings the losses."""
    run: RunOptions
    """Batch size, reports and checkpoints."""
    optimizer: OptimizerOptions
    """Learning rate and gradient clipping."""
    plan: Plan
    """Length of the run."""


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
        """Exit status of a program: 0, or 75 (try again) where a signal stopped the run.

        Schedulers tell a run that is to be resumed from one that has ended by it.
        """
        return os.EX_TEMPFAIL if self.stopped_by == "signal" else 0


class Trainer:
    """Takes steps with parts that are built already.

    Args:
        accelerator: Knows device, precision and the other processes.
        recipe: What is trained, how, and for how long.
        network: The network, its optimiser and LPIPS.
        state: Where the run stands.
        stop: Signals and the time limit.
    """

    def __init__(
        self,
        accelerator: Accelerator,
        recipe: Recipe,
        network: TrainedNetwork,
        state: RunState,
        stop: StopRequests,
    ) -> None:
        self._accelerator = accelerator
        self._stage, self._run, self._plan = recipe.stage, recipe.run, recipe.plan
        self._optimizer_options = recipe.optimizer
        self._network = network
        self._model, self._optimizer = network.model, network.optimizer
        self._trainable = [p for p in network.model.parameters() if p.requires_grad]
        self._state = state
        self._progress = state.progress
        self._stop = stop
        self._agreement = Agreement(accelerator)
        self._meters = Meters()
        self._meters.restore(state.meters, accelerator)
        self._timer = StepTimer()
        self._metrics: dict[str, float] = {}
        self._saved_at = time.monotonic()
        self._saved_step = self._progress.step
        self._save_due = False
        self._stopped_by: Literal["signal", "time"] | None = None
        self._batch: ClipBatch | None = None
        self._failure: Exception | None = None
        self._model.train()

    @property
    def model(self) -> nn.Module:
        """The network, as the accelerator prepared it."""
        return self._model

    def train(
        self, feed: Prefetcher, validation_sets: Mapping[str, Sequence[ClipBatch]]
    ) -> Outcome:
        """Take steps until all are done or a stop is requested, and save.

        Args:
            feed: Batches on the device, from the first step to be taken on.
            validation_sets: Held-back samples by set, the same in all processes.

        Raises:
            UserError: If loss or gradients are not finite in many steps in a row, memory does not
                suffice, a sample cannot be read, or a checkpoint cannot be written.
        """
        last_step = self._plan.last_step
        log = in_each_process(
            self._accelerator,
            lambda: RunLog(self._accelerator, self._run.workspace, self._progress.step, last_step),
        )
        try:
            if self._progress.step < last_step:
                in_each_process(self._accelerator, feed.start)
            else:
                self._save_result()  # may have been removed, or lost with the power
            while self._progress.step < last_step and self._stopped_by is None:
                batch = self._next_batch(feed)
                if batch is None:
                    self._stopped_by = "signal"
                    break
                self.train_step(batch)
                self._timer.count(feed.waited)
                log.advance()
                self._report(log, validation_sets)
                if self._plan.ends_epochs(self._progress.step, self._run.save_every_epochs):
                    self._save_due = True
                if self._save_due and not self._is_diverging():
                    self._save()
            if self._saved_step != self._progress.step:
                self._save()
        except torch.OutOfMemoryError as error:
            recomputes = self._network.recomputes
            raise out_of_memory(self._stage, self._run, recomputes=recomputes) from error
        finally:
            feed.close()
            log.close()
        stopped_by = self._stopped_by if self._progress.step < last_step else None
        return Outcome(self._progress, stopped_by, self._metrics)

    def train_step(self, batch: ClipBatch) -> Mapping[str, Float[Tensor, ""]]:
        """Take an optimiser step on samples on the device, without waiting for the device.

        A loss that is not finite makes all gradients NaN, in all processes once gradients are
        averaged; the optimiser then leaves everything as it is.

        Returns:
            The losses and metrics of the step, on the device.

        Raises:
            UserError: If the steps before were not finite too many times in a row.
        """
        step = self._progress.step
        lr = learning_rate(step, self._plan, self._optimizer_options)
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        losses = self._compute_losses(batch, step)
        self._accelerator.backward(_nan_unless_finite(losses.total))
        norm = clip_grad_norm_(self._trainable, self._optimizer_options.max_grad_norm)
        skipped = ~torch.isfinite(norm)
        self._optimizer.found_inf = skipped.float()  # type: ignore[attr-defined]
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._meters.add({**losses.terms, "grad_norm": norm}, skipped=skipped)
        taken = len(batch.frames) * self._accelerator.num_processes
        self._poll_flags()
        self._agreement.post(skipped, self._flags())
        self._progress = replace(
            self._progress, step=step + 1, samples=self._progress.samples + taken
        )
        return losses.terms

    def _next_batch(self, feed: Prefetcher) -> ClipBatch | None:
        """Return the next batch, or the last one until all processes know that this one failed.

        They would wait for this process's gradients otherwise. The steps until then are not saved.
        None ends a run of one process, which was asked to stop while no batch came.
        """
        if self._failure is None:
            try:
                self._batch = feed.next()
            except Exception as error:  # of any type: the others have to end as well
                if self._accelerator.num_processes == 1:
                    if isinstance(error, NoBatchError):
                        return None
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
            return StepLosses(error.nan_loss, {})

    def _lpips_in_half_precision(self, images: Tensor, targets: Tensor) -> Tensor:
        assert self._network.perceptual is not None, "open_perceptual loads it where it is needed"
        with self._accelerator.autocast():
            return self._network.perceptual(images, targets)

    def _flags(self) -> StepFlags:
        """Return what this process posts to the others."""
        is_old = time.monotonic() - self._saved_at > 60 * self._run.save_every_minutes
        return StepFlags(
            out_of_time=self._stop.out_of_time,
            signalled=self._stop.received is not None,
            save_due=is_old and self._accelerator.is_main_process,
            failed=self._failure is not None,
        )

    def _poll_flags(self) -> None:
        """Act on what was posted last; the same in all processes."""
        flags = self._agreement.poll()
        if flags is None:
            return
        if flags.failed:
            raise self._failure or UserError(
                "another process cannot draw its next batch; its own line says why."
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
            resume = f"resume {latest} (--resume_with_changes) or " if latest.exists() else ""
            raise UserError(
                f"loss or gradients were not finite in {in_a_row} steps in a row, up to step "
                f"{progress.step}; lower --lr or raise --warmup_steps, and {resume}start anew."
            )
        self._save_due = self._save_due or flags.save_due
        if flags.signalled:
            self._stopped_by = "signal"
        elif flags.out_of_time:
            self._stopped_by = "time"

    def _is_diverging(self) -> bool:
        """Return whether the last step was skipped; what was saved before may be better then."""
        self._poll_flags()
        return self._progress.skipped_in_a_row > 0

    def _report(self, log: RunLog, validation_sets: Mapping[str, Sequence[ClipBatch]]) -> None:
        """Log, validate and draw, each at its own steps; none of it counts as training time."""
        report, step = self._run.report, self._progress.step
        last = step == self._plan.last_step
        log_due = step % report.log_every == 0 or last
        if report.eval_every is None:
            eval_due = self._plan.ends_epochs(step) or last
        else:
            eval_due = report.eval_every > 0 and (step % report.eval_every == 0 or last)
        picture_due = report.picture_every > 0 and (step % report.picture_every == 0 or last)
        if log_due:
            values = self._read_meters()
            on_main_process(self._accelerator, lambda: log.write(step, "train", values))
        if eval_due:
            self._metrics = validate(
                self._accelerator,
                self._stage,
                self._accelerator.unwrap_model(self._model),
                validation_sets,
                self._network.perceptual,
            )
            if self._metrics:
                on_main_process(self._accelerator, lambda: log.write(step, "eval", self._metrics))
        if picture_due:
            on_main_process(self._accelerator, lambda: self._draw(log, validation_sets))
        if log_due or eval_due or picture_due:
            self._timer.restart()

    def _read_meters(self) -> dict[str, float]:
        """Return the means since the last line of the log, and the speed; waits for the device."""
        self._poll_flags()
        values = self._meters.read(self._accelerator)
        samples = self._run.batch_size * self._accelerator.num_processes
        values |= {
            "lr": self._optimizer.param_groups[0]["lr"],
            "samples_per_second": self._timer.rate() * samples,
            "data_wait": self._timer.waiting(),
            "skipped_steps": self._progress.skipped_steps,
        }
        device = self._accelerator.device
        if device.type == "cuda":
            values["gpu_memory_gib"] = torch.cuda.max_memory_allocated(device) / _GIB
            torch.cuda.reset_peak_memory_stats(device)
        return values

    def _draw(self, log: RunLog, validation_sets: Mapping[str, Sequence[ClipBatch]]) -> None:
        step, model = self._progress.step, self._accelerator.unwrap_model(self._model)
        try:
            picture = draw_samples(self._accelerator, self._stage, model, validation_sets)
        except NonFiniteSceneError as error:
            _logger.warning("no picture of step %d: %s.", step, error)
        else:
            log.show(step, picture)

    def _save(self) -> None:
        self._poll_flags()
        state = replace(
            self._state,
            progress=self._progress,
            meters=self._meters.state(self._accelerator),
        )
        # The result first: a checkpoint of the last step implies that the result is there.
        model = self._save_result()
        on_main_process(
            self._accelerator,
            lambda: write_checkpoint(self._run.workspace, model, self._optimizer, state),
        )
        self._saved_at, self._saved_step = time.monotonic(), self._progress.step
        self._save_due = False
        self._timer.restart()

    def _save_result(self) -> Network | StaticNetwork:
        """Write the network as the run's result, and return it."""
        model = self._accelerator.unwrap_model(self._model)
        assert isinstance(model, (StaticModel, StaticMatchingModel, Network))
        on_main_process(self._accelerator, lambda: save_model(model, self._run.workspace))
        return model


def _nan_unless_finite(loss: Float[Tensor, ""]) -> Float[Tensor, ""]:
    """Return a loss whose gradients are all NaN where the loss itself is not finite."""
    return loss * torch.where(torch.isfinite(loss.detach()), 1.0, torch.nan)
