"""What all processes of a run do and know alike: results, failures and flags of a step."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list, gather_object
from jaxtyping import Bool
from torch import Tensor

from core.checks import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class StepFlags:
    """What happened in a step, in any of the processes."""

    skipped: bool = False
    """Loss or gradients were not finite."""
    out_of_time: bool = False
    """The time that the run may take is over."""
    signalled: bool = False
    """A signal asked to stop."""
    save_due: bool = False
    """The last checkpoint is old."""
    failed: bool = False
    """A process cannot draw its next batch."""


def on_main_process(accelerator: Accelerator, work: Callable[[], T]) -> T:
    """Do work in the main process, and raise in all processes if it fails.

    Otherwise the others would wait for a process that has ended. All processes call this.

    Args:
        accelerator: Knows which process this is.
        work: Called once; returns something small.

    Returns:
        What it returned, in every process.

    Raises:
        UserError: If it raised anything, in every process but the main one, where that is raised.
    """
    failure: Exception | None = None
    result: list[Any] = [None, None]
    if accelerator.is_main_process:
        try:
            result[0] = work()
        except Exception as error:  # of any type: the others have to end as well
            failure, result[1] = error, _describe(error)
    broadcast_object_list(result)
    if failure is not None:
        raise failure
    if result[1] is not None:
        raise UserError(result[1])
    return result[0]


def in_each_process(
    accelerator: Accelerator, work: Callable[[], T], *, local_main_first: bool = False
) -> T:
    """Do work in every process, and raise in all processes if it fails in any.

    All processes call this.

    Args:
        accelerator: Knows which process this is.
        work: Called once in each.
        local_main_first: One process a machine calls it before the others, which then find the
            files that it has written.

    Returns:
        What it returned in this process.

    Raises:
        UserError: If it raised anything in another process; what it raised in this one is raised
            as it is.
    """
    turns = (True,)
    if local_main_first:
        turns = (accelerator.is_local_main_process, not accelerator.is_local_main_process)
    result: list[T] = []
    for is_mine in turns:
        failure: Exception | None = None
        if is_mine:
            try:
                result.append(work())
            except Exception as error:  # see above
                failure = error
        failures = gather_object([None if failure is None else _describe(failure)])
        if failure is not None:
            raise failure
        for description in failures:
            if description is not None:
                raise UserError(description)
    return result[0]


class Agreement:
    """Shares flags between processes, one step late.

    Each process posts its flags at the end of a step and polls, at the end of the next one, what
    any process has posted. By then the device has long passed the earlier step, so that nobody
    waits; and as all read the same, all save and stop at the same step.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._on_cuda = accelerator.device.type == "cuda"
        self._pending: tuple[Tensor, torch.cuda.Event | None] | None = None

    def post(self, skipped: Bool[Tensor, ""], flags: StepFlags) -> None:
        """Share the flags of the step that ends.

        Args:
            skipped: Whether the step was skipped, on the device; all processes agree on it already.
            flags: The others, as this process sees them.
        """
        # From pageable memory the copy would wait for all that the device has still to do.
        own = torch.tensor(astuple(flags), dtype=torch.float32, pin_memory=self._on_cuda)
        total = own.to(skipped.device, non_blocking=True)
        total[0] = skipped
        if self._accelerator.num_processes > 1:
            reduced = self._accelerator.reduce(total, reduction="sum")
            assert isinstance(reduced, Tensor)
            total = reduced
        posted = torch.empty(total.shape, pin_memory=self._on_cuda)
        posted.copy_(total, non_blocking=True)
        copied = None
        if self._on_cuda:
            copied = torch.cuda.Event()
            copied.record()
        self._pending = posted, copied

    def poll(self) -> StepFlags | None:
        """Return what any process posted last; None if that was returned already."""
        if self._pending is None:
            return None
        posted, copied = self._pending
        self._pending = None
        if copied is not None:
            copied.synchronize()
        return StepFlags(*(bool(value > 0) for value in posted))


def _describe(error: Exception) -> str:
    return str(error) if isinstance(error, UserError) else f"{type(error).__name__}: {error}"
