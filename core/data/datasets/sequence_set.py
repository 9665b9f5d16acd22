"""The contract between readers of dataset layouts and those who draw samples from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import Float64, Int64, UInt8, UInt16

from core.data.datasets.names import DatasetName

MAX_EXAMPLES = 5
"""Most examples that a :class:`Issue` names."""


@dataclass(frozen=True)
class RawClip:
    """Frames of one sequence, 8 bits a channel; frames, masks and depth are of one size."""

    images: UInt8[np.ndarray, "v h w 3"]
    """RGB."""
    inverse_depths: UInt16[np.ndarray, "v h w"] | None
    """Relative inverse depth, large is near; 65535 is the largest value of a file. None if a frame
    has no map."""
    masks: UInt8[np.ndarray, "v h w"] | None
    """1 on moving objects, 0 elsewhere; None if a frame has no mask."""
    times: Float64[np.ndarray, " v"]
    """Time of each frame, in a unit of the sequence's own; rises with the frame."""


@dataclass(frozen=True)
class Issue:
    """How often something is wrong, with examples."""

    count: int
    """How often."""
    examples: tuple[str, ...]
    """The first few, at most ``MAX_EXAMPLES``: what was looked for, or what is wrong."""

    @staticmethod
    def of(found: Iterable[str]) -> Issue:
        """Count what was found, and keep the first few as examples."""
        count, examples = 0, []
        for count, example in enumerate(found, start=1):
            if count <= MAX_EXAMPLES:
                examples.append(example)
        return Issue(count, tuple(examples))


@dataclass(frozen=True)
class Coverage:
    """What a set holds, and what is missing, found without opening an image."""

    sequences: int
    """Sequences, empty ones included."""
    frames: int
    """Frames of all of them."""
    without_depth: Issue
    """Frames without a depth map."""
    without_mask: Issue | None
    """Frames without a mask; None where the layout knows no masks."""
    empty: Issue
    """Sequences without any frame."""
    missing: Issue
    """Images or sequences that a list of the dataset names and that are not there."""
    unreadable: Issue
    """Files that should hold sequences or depth maps and cannot be opened, with the reason."""


class SequenceSet(Protocol):
    """A dataset as sequences of frames, which are read on demand."""

    name: DatasetName
    """Which layout."""
    root: Path
    """The folder that was opened."""
    lengths: Int64[np.ndarray, " s"]
    """Frames of each sequence; 0 where it is empty."""
    reach: int
    """Largest distance between the first and the last frame of a sample, in frames, by default."""
    files: Int64[np.ndarray, " s"] | None
    """Sequences of one number lie in one large file, and are best read soon after each other; None
    where every frame is a file."""

    @property
    def keys(self) -> Sequence[str]:
        """Unique name of each sequence."""
        ...

    def read(self, sequence: int, frames: Sequence[int], at_least: tuple[int, int]) -> RawClip:
        """Read frames of one sequence.

        Args:
            sequence: Position in ``keys``.
            frames: Positions in the sequence, in any order.
            at_least: Height and width. Frames are returned at the smallest size of their
                proportions that covers it, or at their own if that does not; frames of another
                size than the first are resized to it.

        Raises:
            UserError: If a file cannot be read; the message names it.
        """
        ...

    def coverage(self) -> Coverage:
        """Describe what the set holds, and what is missing."""
        ...
