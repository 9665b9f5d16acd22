"""Means over steps: losses and metrics, speed and waiting."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from itertools import chain

import torch
from accelerate import Accelerator
from accelerate.utils import gather_object
from jaxtyping import Bool, Float
from torch import Tensor


class Meters:
    """Means of scalars, which stay on the device until they are read."""

    def __init__(self) -> None:
        self._totals: dict[str, Float[Tensor, "2"]] = {}  # sum and count

    def add(self, values: Mapping[str, Float[Tensor, ""]], *, skipped: Bool[Tensor, ""]) -> None:
        """Add the values of a step unless it was skipped, without waiting for the device."""
        counted = (~skipped).float()
        for name, value in values.items():
            pair = torch.stack((torch.where(skipped, 0.0, value.float()), counted))
            self._totals[name] = self._totals[name] + pair if name in self._totals else pair

    def read(self, accelerator: Accelerator) -> dict[str, float]:
        """Return the means since the last call over all processes, and reset.

        All processes call this together; it waits for the device once. A name without values is
        left out.
        """
        names, own = self._align(accelerator)
        if not names:
            return {}
        totals = accelerator.reduce(own, reduction="sum")
        assert isinstance(totals, Tensor)
        means = (totals[:, 0] / totals[:, 1]).tolist()
        named = dict(zip(names, means, strict=True))
        self._totals = {}
        return {name: value for name, value in named.items() if math.isfinite(value)}

    def state(self, accelerator: Accelerator) -> dict[str, list[list[float]]]:
        """Return sum and count of each name in each process, for :meth:`restore`; all call this."""
        names, own = self._align(accelerator)
        if not names:
            return {}
        gathered = accelerator.gather(own[None])
        assert isinstance(gathered, Tensor)
        return dict(zip(names, gathered.transpose(0, 1).tolist(), strict=True))

    def _align(self, accelerator: Accelerator) -> tuple[list[str], Float[Tensor, "names 2"]]:
        """Return the names that any process has values of, in one order, and the own totals.

        A process whose step was broken has fewer than the others.
        """
        names = list(self._totals)
        if accelerator.num_processes > 1:
            names = list(dict.fromkeys(chain.from_iterable(gather_object([names]))))
        none = torch.zeros(2, device=accelerator.device)
        return names, torch.stack([self._totals.get(name, none) for name in names] or [none])

    def restore(self, state: Mapping[str, list[list[float]]], accelerator: Accelerator) -> None:
        """Resume from :meth:`state`, unless it is of another number of processes."""
        self._totals = {
            name: torch.tensor(rows[accelerator.process_index], device=accelerator.device)
            for name, rows in state.items()
            if len(rows) == accelerator.num_processes
        }


class StepTimer:
    """Steps a second and the share of waiting, without the time of validation and saving."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._steps = 0
        self._waited = 0.0

    def count(self, waited: float) -> None:
        """Count a step, of which ``waited`` seconds were spent waiting for its data."""
        self._steps += 1
        self._waited += waited

    def rate(self) -> float:
        """Return steps a second since the last restart."""
        return self._steps / max(time.monotonic() - self._started, 1e-9)

    def waiting(self) -> float:
        """Return the share of the time since the last restart that went into waiting for data."""
        return self._waited / max(time.monotonic() - self._started, 1e-9)

    def restart(self) -> None:
        """Reset the counts."""
        self._started, self._steps, self._waited = time.monotonic(), 0, 0.0
