"""Threads of FFmpeg's conversions between pixel formats."""

from __future__ import annotations

import os

import av

_HAS_OPTION = int(av.__version__.partition(".")[0]) >= 17


def few_threads(most: int) -> dict[str, int]:
    """Return options of :meth:`VideoReformatter.reformat` for at most so many threads.

    PyAV 17 and later would wake one for each core, which takes many cores longer than the work;
    before, there is one.
    """
    return {"threads": min(most, os.cpu_count() or 1)} if _HAS_OPTION else {}
