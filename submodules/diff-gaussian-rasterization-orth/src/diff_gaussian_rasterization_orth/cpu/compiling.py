"""How kernels are compiled: without the GIL, and kept on disk between runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numba

_OPTIONS = {"nogil": True, "error_model": "numpy"}


def compiled() -> Callable[[Callable[..., Any]], Any]:
    """Compile a kernel, which Python calls, on first use.

    numba keeps the machine code beside the source, or in the user's cache folder where the package
    lies in a read-only place (``NUMBA_CACHE_DIR`` overrides both). It notices an edit of the file
    that holds the kernel, but not of a function that is inlined from another file.
    """

    def decorate(function: Callable[..., Any]) -> Any:
        try:
            return numba.njit(cache=True, **_OPTIONS)(function)
        except RuntimeError:  # numba found no folder that it may write to
            warnings.warn(
                "numba can keep no machine code here, so kernels are compiled anew in every "
                "process; set NUMBA_CACHE_DIR to a writable folder to keep it.",
                stacklevel=1,  # the same place for all kernels, so that it is said once
            )
            return numba.njit(**_OPTIONS)(function)

    return decorate


def inlined(*, fastmath: set[str] | bool = False) -> Callable[[Callable[..., Any]], Any]:
    """Make a function a part of the kernels that call it.

    Not compiled by itself: the process that compiles a kernel would call that code, one that loads
    the kernel from the cache a copy that was optimised once more. With ``fastmath`` the two differ
    in the last bits.

    Args:
        fastmath: LLVM's names of the liberties that the compiler may take with float arithmetic.
    """
    return numba.njit(forceinline=True, fastmath=fastmath, **_OPTIONS)
