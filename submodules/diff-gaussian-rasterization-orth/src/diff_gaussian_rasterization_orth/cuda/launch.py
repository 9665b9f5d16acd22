"""Find kernels and start them on torch's current stream, through the driver.

cuda-core compiles the kernels, and could load and start them too; but a call of the rasteriser
starts about ten, and importing it takes longer than loading what was compiled before.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import threading
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from diff_gaussian_rasterization_orth.cuda.compiler import (
    driver,
    find_code,
)

_MAX_ARGUMENTS = 32
_thread = threading.local()


@dataclass(frozen=True)
class Queue:
    """Torch's current stream of one device."""

    device: torch.device
    stream: Any

    def launch(
        self,
        unit: str,
        kernel: str,
        blocks: tuple[int, int],
        threads: int,
        arguments: Sequence[int],
    ) -> None:
        """Start a kernel.

        Args:
            unit: The ``.cu`` file, without its ending; one that is specialised for a degree of
                motion has it behind a colon, as in ``project_forward:1``.
            kernel: Name of the kernel in it.
            blocks: Blocks along x and y; nothing is started when one of them is 0.
            threads: Threads a block.
            arguments: In the kernel's order, addresses and numbers that are not negative.

        Raises:
            RuntimeError: If the kernel cannot be loaded or started.
        """
        if 0 in blocks:
            return
        function = _find_kernel(unit, kernel, self.device.index)
        slots = _argument_slots()
        # An int fills the lower half of its slot: all of CUDA's hosts are little-endian.
        slots.values[: len(arguments)] = arguments
        _check(
            driver().cuLaunchKernel(
                function, *blocks, 1, threads, 1, 1, 0, self.stream, slots.pointers_address, 0
            ),
            f"start {kernel}",
        )


@contextlib.contextmanager
def open_queue(device: torch.device) -> Generator[Queue, None, None]:
    """Make ``device`` current for as long as kernels are started on it."""
    if torch.cuda.current_device() == device.index:
        yield _queue(device)
    else:
        with torch.cuda.device(device):
            yield _queue(device)


def _queue(device: torch.device) -> Queue:
    _enter_context(device.index)
    return Queue(device, _stream(torch.cuda.current_stream(device).cuda_stream))


def _enter_context(device_index: int) -> None:
    """Give a thread that is new to a device, such as autograd's, the driver's context as well."""
    known: set[int] = _thread.__dict__.setdefault("devices", set())
    if device_index not in known:
        device = _check(driver().cuDeviceGet(device_index), "find the device")
        context = _check(driver().cuDevicePrimaryCtxRetain(device), "find the device's context")
        _check(driver().cuCtxSetCurrent(context), "enter the device's context")
        known.add(device_index)


class _Slots:
    """Memory for the arguments of a kernel, and for their addresses, as the driver wants them."""

    def __init__(self) -> None:
        self.values = (ctypes.c_uint64 * _MAX_ARGUMENTS)()
        first = ctypes.addressof(self.values)
        addresses = [first + 8 * index for index in range(_MAX_ARGUMENTS)]
        self._pointers = (ctypes.c_void_p * _MAX_ARGUMENTS)(*addresses)
        self.pointers_address = ctypes.addressof(self._pointers)


def _argument_slots() -> _Slots:
    """Return this thread's slots; the driver copies them before a launch returns."""
    slots: _Slots | None = _thread.__dict__.get("slots")
    if slots is None:
        slots = _thread.slots = _Slots()
    return slots


@functools.lru_cache(maxsize=64)
def _stream(handle: int) -> Any:
    return driver().CUstream(handle)


@functools.cache
def _find_kernel(unit: str, kernel: str, device_index: int) -> Any:
    name, _, degree = unit.partition(":")
    major, minor = torch.cuda.get_device_capability(device_index)
    arch = f"sm_{major}{minor}"
    code = find_code(name, arch, int(degree or 0))
    library = _check(driver().cuLibraryLoadData(code, [], [], 0, [], [], 0), f"load {name}")
    loaded = _check(driver().cuLibraryGetKernel(library, kernel.encode()), f"find {kernel}")
    return driver().CUfunction(int(loaded))


def _check(result: tuple[Any, ...], what: str) -> Any:
    """Return what a call of the driver returned, without its status.

    Raises:
        RuntimeError: If the status is not success.
    """
    status, *values = result
    if status != 0:
        raise RuntimeError(
            f"cuda backend: the driver cannot {what} ({status.name}). Is it older than the CUDA of "
            f"torch ({torch.version.cuda})? Update it. Is the GPU's memory full? Free some."
        )
    return values[0] if values else None
