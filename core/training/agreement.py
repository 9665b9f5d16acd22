"""What happened, known to all processes alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import astuple, dataclass
from typing import Any, TypeVar

import torch
from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
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


def on_main_process(accelerator: Accelerator, work: Callable[[], T]) -> T:
    """Do in the main process what the user may have to mend, and fail in all of them alike.

    The others would wait for a process that has ended otherwise. All processes call this.

    Args:
        accelerator: Knows which process this is.
        work: Is done once; returns something small.

    Returns:
        What it returned, in every process.

    Raises:
        UserError: If it raised one, in every process.
    """
    result: list[Any] = [None]
    if accelerator.is_main_process:
        try:
            result = [work()]
        except UserError as error:
            result = [error]
    broadcast_object_list(result)
    if isinstance(result[0], UserError):
        raise result[0]
    return result[0]


class Agreement:
    """Shares flags between processes, one step late.

    Each process tells its flags at the end of a step and hears at the end of the next one what any
    process told. By then the device has long passed the earlier step, so that nobody waits; and as
    all hear the same, all save and stop at the same step.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self._accelerator = accelerator
        self._on_cuda = accelerator.device.type == "cuda"
        self._pending: tuple[Tensor, torch.cuda.Event | None] | None = None

    def tell(self, skipped: Bool[Tensor, ""], flags: StepFlags) -> None:
        """Share the flags of the step that ends.

        Args:
            skipped: Whether the step was skipped, on the device; all processes agree on it already.
            flags: The others, as this process sees them.
        """
        mine = torch.tensor(astuple(flags), dtype=torch.float32).to(skipped.device)
        mine[0] = skipped
        if self._accelerator.num_processes > 1:
            reduced = self._accelerator.reduce(mine, reduction="sum")
            assert isinstance(reduced, Tensor)
            mine = reduced
        told = torch.empty(mine.shape, pin_memory=self._on_cuda)
        told.copy_(mine, non_blocking=True)
        copied = None
        if self._on_cuda:
            copied = torch.cuda.Event()
            copied.record()
        self._pending = told, copied

    def hear(self) -> StepFlags | None:
        """Return what any process told last; None where that was heard already."""
        if self._pending is None:
            return None
        told, copied = self._pending
        self._pending = None
        if copied is not None:
            copied.synchronize()
        return StepFlags(*(bool(value > 0) for value in told))
