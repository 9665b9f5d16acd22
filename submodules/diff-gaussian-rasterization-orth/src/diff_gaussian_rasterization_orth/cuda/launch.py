"""Find kernels and start them on torch's current stream."""

from __future__ import annotations

import contextlib
import ctypes
import functools
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from diff_gaussian_rasterization_orth.cuda.compiler import (
    KernelCompilationError,
    cuda_core,
    load_unit,
)

Argument = Tensor | int | None
"""A tensor is passed as its address, an int as a C ``int``, None as a null pointer."""


@dataclass(frozen=True)
class Queue:
    """Torch's current stream of one device."""

    device: torch.device
    stream: Any

    def launch(
        self, unit: str, kernel: str, blocks: tuple[int, int], threads: int, *arguments: Argument
    ) -> None:
        """Start a kernel.

        Args:
            unit: The ``.cu`` file, without its ending; one that is specialised for a degree of
                motion has it behind a colon, as in ``project_forward:1``.
            kernel: Name of the kernel in it.
            blocks: Blocks along x and y; nothing is started when one of them is 0.
            threads: Threads a block.
            arguments: In the kernel's order. Tensors must be contiguous and on the device.
        """
        if 0 in blocks:
            return
        cuda_core().launch(
            self.stream,
            _config(blocks, threads),
            _find_kernel(unit, kernel, self.device.index),
            *map(_as_c, arguments),
        )


@contextlib.contextmanager
def open_queue(device: torch.device) -> Generator[Queue, None, None]:
    """Make ``device`` current for as long as kernels are started on it."""
    with torch.cuda.device(device):
        # A thread of autograd's has torch's device set, but not yet the driver's context.
        cuda_core().Device(device.index).set_current()
        yield Queue(device, _stream(torch.cuda.current_stream(device).cuda_stream))


@functools.lru_cache(maxsize=64)
def _stream(handle: int) -> Any:
    return cuda_core().Stream.from_handle(handle)


@functools.lru_cache(maxsize=1024)
def _config(blocks: tuple[int, int], threads: int) -> Any:
    return cuda_core().LaunchConfig(grid=(*blocks, 1), block=threads)


def _as_c(argument: Argument) -> Any:
    if isinstance(argument, int):
        return ctypes.c_int(argument)
    if argument is None:
        return 0
    assert argument.is_contiguous()
    return argument.data_ptr()


@functools.cache
def _find_kernel(unit: str, kernel: str, device_index: int) -> Any:
    name, _, degree = unit.partition(":")
    major, minor = torch.cuda.get_device_capability(device_index)
    arch = f"sm_{major}{minor}"
    try:
        return load_unit(name, arch, int(degree or 0)).get_kernel(kernel)
    except KernelCompilationError:
        raise
    except Exception as error:  # cuda-core's exception types differ between its versions
        raise RuntimeError(
            f"cuda backend: the driver cannot load {name} for {arch} ({error}). Is the driver "
            "older than NVRTC? Update it, or install the cuda-core that matches it: "
            "pip install 'cuda-core[cu12]'. Is the GPU's memory full? Free some."
        ) from error
