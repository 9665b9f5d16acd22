"""How kernels are compiled: without the GIL, and kept on disk between runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numba


def compiled(*, fastmath: set[str] | bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Compile a kernel on first use.

    numba keeps the machine code beside the source, or in the user's cache folder where the package
    lies in a read-only place (``NUMBA_CACHE_DIR`` overrides both). It notices an edit of the file
    that holds the kernel, but not of a kernel that this one calls in another file.

    Args:
        fastmath: LLVM's names of the liberties that the compiler may take with float arithmetic.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        options = {"nogil": True, "error_model": "numpy", "fastmath": fastmath}
        try:
            return numba.njit(cache=True, **options)(function)
        except RuntimeError:  # numba found no folder that it may write to
            warnings.warn(
                "numba can keep no machine code here, so kernels are compiled anew in every "
                "process; set NUMBA_CACHE_DIR to a writable folder to keep it.",
                stacklevel=1,  # the same place for all kernels, so that it is said once
            )
            return numba.njit(**options)(function)

    return decorate
