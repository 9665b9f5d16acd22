"""Two sources in one stream: which position of it belongs to which source."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import floor


@dataclass(frozen=True)
class Division:
    """Indices of each source's samples."""

    clips: tuple[int, ...]
    """Indices into the source of clips."""
    procedural: tuple[int, ...]
    """Indices into the procedural source."""


def divide(positions: Iterable[int], procedural_share: float) -> Division:
    """Divide positions of a stream between clips and procedural scenes, evenly spread.

    Both sources are walked without gaps: of the first ``n`` positions ``floor(n * share)`` are
    procedural, and each source's samples are counted from 0.

    Args:
        positions: Positions in the stream, each at least 0.
        procedural_share: Share of procedural samples, in [0, 1].
    """
    clips: list[int] = []
    procedural: list[int] = []
    for position in positions:
        before = floor(position * procedural_share)
        if floor((position + 1) * procedural_share) > before:
            procedural.append(before)
        else:
            clips.append(position - before)
    return Division(tuple(clips), tuple(procedural))
