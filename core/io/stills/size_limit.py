"""How large a picture may be before it is decoded."""

from __future__ import annotations

import math
import os
from pathlib import Path

from core.checks import UserError

SIZE_VARIABLE = "STREAMSPLAT_MAX_MEGAPIXELS"
DEFAULT_MEGAPIXELS = 40.0
"""Above an 8K frame (33), and below what fills memory: a few kilobytes may announce thousands."""


def allow_megapixels(limit: float) -> None:
    """Set the limit for this process and those that it starts.

    It is kept in the environment, where worker processes find it, forked or not.

    Raises:
        UserError: If it is no positive number.
    """
    if not (math.isfinite(limit) and limit > 0):
        raise UserError(f"--max_megapixels is {limit:g}; expected a number above 0")
    os.environ[SIZE_VARIABLE] = repr(float(limit))


def largest_pixels() -> int:
    """Return how many pixels a picture may have.

    Raises:
        UserError: If the environment variable holds no positive number.
    """
    text = os.environ.get(SIZE_VARIABLE, "")
    try:
        limit = float(text) if text else DEFAULT_MEGAPIXELS
        if not (math.isfinite(limit) and limit > 0):
            raise ValueError
    except ValueError as error:
        raise UserError(f"{SIZE_VARIABLE} is {text!r}; expected a number above 0.") from error
    return int(min(limit * 1e6, 2**31 - 1))


def check_size(height: int, width: int, source: str | Path) -> None:
    """Refuse a picture before memory is taken for its pixels.

    Args:
        height: Rows, as its header says.
        width: Columns.
        source: Where it comes from, for the message.

    Raises:
        UserError: If it has more pixels than the limit.
    """
    limit = largest_pixels()
    if height * width > limit:
        raise UserError(
            f"{source} is {width} by {height} pixels, more than the limit of {limit / 1e6:g} "
            "megapixels, by which damaged and malicious files are kept from filling the memory; "
            f"make it smaller, or raise --max_megapixels (or {SIZE_VARIABLE})."
        )
