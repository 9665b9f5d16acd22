"""The device of a program, and copies to it."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor

from core.checks import UserError
from core.types import TensorDataclass

T = TypeVar("T", bound=Tensor | TensorDataclass)
_HOST_THREADS = 4


def choose_device(name: str) -> torch.device:
    """Return the device of that name; ``auto`` is CUDA where there is one, and the CPU elsewhere.

    Of the processes that ``accelerate launch`` or ``torchrun`` starts on a machine, each gets a GPU
    of its own from ``auto``.

    Raises:
        UserError: If there is no such device here.
    """
    if name == "auto":
        local_rank = os.environ.get("LOCAL_RANK", "0")
        return torch.device(f"cuda:{local_rank}" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise UserError(f"--device {name} is no device; choose auto, cpu or cuda.") from error
    if device.type not in ("cpu", "cuda"):
        raise UserError(f"--device {name} is not supported; choose auto, cpu or cuda.")
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0].split(". ")[0]
        raise UserError(
            f"--device {name} cannot be used here ({reason}); choose auto or cpu."
        ) from error
    return device


def warm_up_gpu(name: str) -> Callable[[], None]:
    """Begin in the background what a GPU's first work waits for, while others import or load.

    That is the context, and the libraries of products and convolutions. What fails here fails
    again, and is reported, where the device is used.

    Args:
        name: As of :func:`choose_device`.

    Returns:
        What waits for it; to be called before CUDA graphs are recorded.
    """

    def warm_up() -> None:
        with suppress(Exception):
            if name == "auto" and not torch.cuda.is_available():
                return
            device = choose_device(name)
            if device.type == "cuda":
                image = torch.zeros(1, 8, 8, 8, device=device)
                torch.nn.functional.conv2d(image, image)
                torch.mm(image.flatten(2)[0], image.flatten(2)[0].mT)

    thread = threading.Thread(target=warm_up, name="warm_up_gpu")
    if name == "cpu":
        return lambda: None
    thread.start()
    return thread.join


def spare_host_threads(device: torch.device) -> None:
    """Let a program that computes on a GPU use few threads for what is left to the CPU.

    PyTorch would wake one for each core, for small operations too, and let them spin for a while:
    threads that encode and write need these cores.
    """
    if device.type == "cuda":
        torch.set_num_threads(min(_HOST_THREADS, torch.get_num_threads()))


def has_c_compiler() -> bool:
    """Whether there is one, without which torch.compile can do nothing."""
    return any(shutil.which(name) for name in ("cc", "gcc", "clang"))


class Download(Generic[T]):
    """A copy of tensors to the host that is made while the host goes on."""

    def __init__(self, values: T) -> None:
        first = values if isinstance(values, Tensor) else values.tensors()[0]
        # From CUDA, into pinned memory.
        self._copy = cast(T, values.to("cpu", non_blocking=True))
        self._copied: torch.cuda.Event | None = None
        if first.device.type == "cuda":
            self._copied = torch.cuda.Event(blocking=True)
            self._copied.record(torch.cuda.current_stream(first.device))

    def result(self) -> T:
        """Wait for the copy and return it."""
        if self._copied is not None:
            self._copied.synchronize()
        return self._copy


def send(values: Tensor, device: torch.device) -> Tensor:
    """Copy a few host values to a device without waiting for its queue."""
    if device.type != "cuda" or values.device.type != "cpu":
        return values.to(device)
    return values.pin_memory().to(device, non_blocking=True)
