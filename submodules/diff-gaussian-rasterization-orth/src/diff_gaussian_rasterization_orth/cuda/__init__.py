"""CUDA kernels, compiled with NVRTC at first use: nothing to build, no nvcc."""

from __future__ import annotations

import functools

import torch

from diff_gaussian_rasterization_orth.cuda.compiler import missing_toolchain, old_driver
from diff_gaussian_rasterization_orth.cuda.rasterizer import pairs_needed, rasterize

__all__ = ["CHECKS_VALUES", "pairs_needed", "rasterize", "unavailable_reason"]

CHECKS_VALUES: bool = True
"""The kernels look for NaN and infinity while they read."""


def unavailable_reason() -> str | None:
    """Return in one sentence what is missing and how to mend it; None where nothing is."""
    if torch.version.cuda is None:
        return f"this torch ({torch.__version__}) is built without CUDA; install a CUDA build."
    if not torch.cuda.is_available():
        return "torch sees no CUDA device; check nvidia-smi and CUDA_VISIBLE_DEVICES."
    return _what_is_missing()


@functools.cache
def _what_is_missing() -> str | None:
    return missing_toolchain() or old_driver()
