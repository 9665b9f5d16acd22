"""Find a kernel and start it on torch's current stream."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from diff_gaussian_rasterization_orth.cuda.compiler import (
    KernelCompilationError,
    cuda_core,
    load_unit,
)

Argument = Tensor | int | ctypes.c_longlong | None
"""A tensor is passed as its address, an int as a C ``int``, None as a null pointer."""


def launch(
    unit: str,
    kernel: str,
    grid: Sequence[int],
    block: int,
    arguments: Sequence[Argument],
    *,
    device: torch.device,
    degree: int = 0,
) -> None:
    """Start a kernel on the current stream of ``device``, which must be torch's current device.

    Args:
        unit: The ``.cu`` file, without its ending.
        kernel: Name of the kernel in it.
        grid: Blocks along x, y, z; nothing is started when one of them is 0.
        block: Threads a block.
        arguments: In the kernel's order. Tensors must be contiguous and on ``device``.
        device: Where to run.
        degree: Degree of the motion polynomial, for the kernels that are specialised for it.
    """
    if 0 in grid:
        return
    core = cuda_core()
    assert device.index is not None
    # A thread of autograd's has torch's device set, but not yet the driver's context.
    core.Device(device.index).set_current()
    stream = core.Stream.from_handle(torch.cuda.current_stream(device).cuda_stream)
    function = _find_kernel(unit, kernel, _architecture(device.index), degree)
    config = core.LaunchConfig(grid=tuple(grid), block=block)
    core.launch(stream, config, function, *map(_as_c, arguments))


def _as_c(argument: Argument) -> Any:
    if isinstance(argument, Tensor):
        assert argument.is_contiguous()
        return argument.data_ptr()
    if argument is None:
        return 0
    return ctypes.c_int(argument) if isinstance(argument, int) else argument


@functools.cache
def _architecture(device_index: int) -> str:
    major, minor = torch.cuda.get_device_capability(device_index)
    return f"sm_{major}{minor}"


@functools.cache
def _find_kernel(unit: str, kernel: str, arch: str, degree: int) -> Any:
    try:
        return load_unit(unit, arch, degree).get_kernel(kernel)
    except KernelCompilationError:
        raise
    except Exception as error:  # cuda-core's exception types differ between its versions
        raise RuntimeError(
            f"cuda backend: the driver cannot load {unit} for {arch} ({error}). "
            "Is the driver older than NVRTC? Update it, or install the cuda-core that matches it: "
            "pip install 'cuda-core[cu12]'."
        ) from error
