"""How many steps a run has, and which of them begins an epoch."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from core.checks import UserError
from core.training.options import RunOptions
from core.training.workspace.checkpoints import Progress

_STEPS_WITHOUT_END = 1000


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

    def going_on_from(self, progress: Progress) -> Plan:
        """Return the plan of a run that has come so far, perhaps with steps of another size."""
        if self.samples_per_step is None:
            return self
        return replace(self, ahead=progress.samples // self.samples_per_step - progress.step)


def plan_run(
    run: RunOptions, *, samples_per_epoch: int | None, samples_per_step: int, warmup_steps: int
) -> Plan:
    """Work out how long a run is.

    Args:
        run: What the user chose.
        samples_per_epoch: Samples of one pass over the data; None where they have no end.
        samples_per_step: Samples that all processes take together in a step.
        warmup_steps: Steps of rising learning rate.

    Raises:
        UserError: If the warm-up would last until the end.
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
    if warmup_steps >= steps:
        raise UserError(
            f"--warmup_steps {warmup_steps} leaves nothing of the run's {steps} steps; lower it, "
            f"for example to {steps // 20}."
        )
    return Plan(steps, epoch, samples_per_step if in_passes else None)
