"""How many steps a run has, which of them begin an epoch, and the learning rate of each."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from core.checks import UserError
from core.training.compute.options import OptimizerOptions
from core.training.options import RunOptions
from core.training.workspace.checkpoints import Progress

_STEPS_WITHOUT_END = 1000
_MAX_WARMUP_SHARE = 0.1
"""Largest share of a run's steps that the warm-up takes by default."""


@dataclass(frozen=True)
class Plan:
    """The length of a run."""

    steps: int
    """Optimiser steps of a whole run, over which the learning rate falls."""
    steps_per_epoch: int
    """Steps of an epoch."""
    samples_per_step: int | None = None
    """Samples that all processes take together in a step, where the run's length is a number of
    passes over the data; None where it is a number of steps."""
    ahead: int = 0
    """By how many steps the run is farther than its count of steps says, because earlier ones took
    more samples; negative where they took fewer."""
    warmup_steps: int = 0
    """Steps over which the learning rate rises."""

    @property
    def epochs(self) -> int:
        """Epochs of the run, the last of which may be cut short."""
        return math.ceil(self.steps / self.steps_per_epoch)

    @property
    def last_step(self) -> int:
        """The count of steps at which the run ends."""
        return self.steps - self.ahead

    def epoch(self, step: int) -> int:
        """Return the epoch, from 0, of ``step``, from 0."""
        return (step + self.ahead) // self.steps_per_epoch

    def ends_epochs(self, step: int, count: int = 1) -> bool:
        """Return whether, after so many steps, ``count`` epochs have ended since that was so."""
        return (step + self.ahead) % (count * self.steps_per_epoch) == 0

    def resumed_from(self, progress: Progress) -> Plan:
        """Return the plan of a run that has come so far, perhaps with steps of another size."""
        if self.samples_per_step is None:
            return self
        return replace(self, ahead=progress.samples // self.samples_per_step - progress.step)


def plan_run(
    run: RunOptions,
    options: OptimizerOptions,
    *,
    samples_per_epoch: int | None,
    samples_per_step: int,
) -> Plan:
    """Work out how long a run is.

    Args:
        run: The length that the user chose.
        options: The warm-up that the user chose.
        samples_per_epoch: Samples of one pass over the data; None where they have no end.
        samples_per_step: Samples that all processes take together in a step.

    Raises:
        UserError: If a warm-up that the user chose would last until the end.
    """
    in_passes = False
    if run.steps_per_epoch is not None:
        epoch = run.steps_per_epoch
    elif samples_per_epoch is not None:
        epoch = max(round(samples_per_epoch / samples_per_step), 1)
        in_passes = run.steps is None
    else:
        epoch = _STEPS_WITHOUT_END
    steps = run.steps if run.steps is not None else run.epochs * epoch
    longest = int(_MAX_WARMUP_SHARE * steps)
    warmup = options.warmup_steps
    if warmup is None:
        warmup = min(options.published_warmup_steps, longest)
    elif warmup >= steps:
        raise UserError(
            f"--warmup_steps {warmup} leaves nothing of the run's {steps} steps; leave it out, or "
            f"lower it, for example to {longest}."
        )
    return Plan(steps, epoch, samples_per_step if in_passes else None, warmup_steps=warmup)


def learning_rate(step: int, plan: Plan, options: OptimizerOptions) -> float:
    """Return the learning rate of ``step``, from 0.

    Rises linearly over the warm-up, whose first step already moves the weights, then follows half
    a cosine down to ``final_lr_fraction``. A function of the step alone, so that a schedule has no
    state to save. The warm-up counts steps, the cosine those that the run is ahead as well.
    """
    warmup = plan.warmup_steps
    if step < warmup:
        return options.lr * (step + 1) / warmup
    after_warmup = max(plan.steps - 1 - warmup, 1)
    progress = min(max(step + plan.ahead - warmup, 0) / after_warmup, 1.0)
    cosine = 0.5 * (1.0 + math.cos(math.pi * progress))
    low = options.final_lr_fraction
    return options.lr * (low + (1.0 - low) * cosine)
