"""Which frames each position of the endless stream of samples shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

import numpy as np
from jaxtyping import Float32, Float64, Int, Int64

BLOCK_FILES = 8
"""Large files from which samples are drawn at a time."""
PASSES = 8
"""Times that an epoch goes through all large files, with other start frames each time."""
_REMEMBERED = 2
K = TypeVar("K", bound=tuple[int, ...])
V = TypeVar("V")


class _Pass(NamedTuple):
    """One pass over all files: their order, and the number of samples before each block."""

    blocks: list[Int64[np.ndarray, " files"]]
    first_items: Int64[np.ndarray, " blocks+1"]


class SampleOrder:
    """An endless sequence of start frames, each of them once an epoch.

    Without large files an epoch is one shuffled list of all start frames. With them (see
    ``SequenceSet.files``) it reads the files ``PASSES`` times, each time in a new order and with
    another part of the start frames; the samples of ``BLOCK_FILES`` files in a row are shuffled
    together. A reader that keeps that many files open opens each of them once a pass, and any
    batch still shows many scenes.

    What a position shows is a function of (seed, position).

    Args:
        starts: How many start frames each sequence has; 0 leaves it out.
        files: The file of each sequence, from 0; None where there are no large files.
        seed: Chooses the order.
    """

    def __init__(
        self, starts: Int64[np.ndarray, " s"], files: Int64[np.ndarray, " s"] | None, seed: int
    ) -> None:
        self._files = np.zeros(len(starts), np.int64) if files is None else files
        self._passes = 1 if files is None else PASSES
        self._seed = seed
        # Start frames r, r + passes, r + 2 passes, ... belong to pass r.
        counts = [-(-np.maximum(starts - r, 0) // self._passes) for r in range(self._passes)]
        self._counts = np.stack(counts)  # (passes, s)
        self._first_items = np.cumsum([0, *self._counts.sum(axis=1)])
        self._arranged: dict[tuple[int, int], _Pass] = {}
        self._shuffled: dict[tuple[int, int, int], Int64[np.ndarray, "items 2"]] = {}

    @property
    def num_items(self) -> int:
        """How many start frames there are: the length of an epoch."""
        return int(self._first_items[-1])

    def locate(self, index: int) -> tuple[int, int]:
        """Return the sequence and the start frame that position ``index`` shows."""
        epoch, item = divmod(index, self.num_items)
        number = int(np.searchsorted(self._first_items, item, side="right")) - 1
        item -= int(self._first_items[number])
        arranged = _remember(self._arranged, (epoch, number), self._arrange)
        block = int(np.searchsorted(arranged.first_items, item, side="right")) - 1
        shown = _remember(self._shuffled, (epoch, number, block), self._shuffle)
        sequence, start = shown[item - int(arranged.first_items[block])]
        return int(sequence), int(start)

    def _arrange(self, epoch: int, number: int) -> _Pass:
        num_files = int(self._files.max()) + 1
        order = np.random.default_rng((self._seed, epoch, number, 1)).permutation(num_files)
        blocks = [order[first : first + BLOCK_FILES] for first in range(0, num_files, BLOCK_FILES)]
        in_file = np.bincount(self._files, self._counts[number], num_files).astype(np.int64)
        sizes = [int(in_file[block].sum()) for block in blocks]
        return _Pass(blocks, np.cumsum([0, *sizes]))

    def _shuffle(self, epoch: int, number: int, block: int) -> Int64[np.ndarray, "items 2"]:
        """Shuffle the (sequence, start frame) of one block."""
        files = self._arranged[epoch, number].blocks[block]
        sequences = np.flatnonzero(np.isin(self._files, files))
        counts = self._counts[number][sequences]
        first = np.repeat(np.cumsum(counts) - counts, counts)
        starts = number + self._passes * (np.arange(counts.sum()) - first)
        items = np.stack([np.repeat(sequences, counts), starts], axis=1)
        return np.random.default_rng((self._seed, epoch, number, block, 2)).permutation(items)


def _remember(memory: dict[K, V], key: K, make: Callable[..., V]) -> V:
    """Return ``make(*key)``, from memory if it is one of the last ``_REMEMBERED``."""
    if key not in memory:
        while len(memory) >= _REMEMBERED:
            del memory[next(iter(memory))]
        memory[key] = make(*key)
    return memory[key]


def sample_generator(seed: int, index: int, attempt: int = 0) -> np.random.Generator:
    """Return the random generator of one sample, or of a later attempt to draw it."""
    # The trailing 3 keeps these streams apart from those of other uses of the seed.
    return np.random.default_rng((seed, index, attempt, 3) if attempt else (seed, index))


def draw_frames(
    generator: np.random.Generator, start: int, num_frames: int, reach: int, clip_length: int
) -> Int[np.ndarray, " frames"]:
    """Draw the frames of a sample: ``start`` and sorted distinct later ones within ``reach``.

    Args:
        generator: Source of randomness.
        start: First frame, at most ``clip_length - num_frames``.
        num_frames: Frames to draw, at least 1.
        reach: Largest distance from ``start``; taken as ``num_frames - 1`` where it is smaller,
            and cut at the end of the clip.
        clip_length: Frames of the clip.
    """
    within = min(max(reach, num_frames - 1), clip_length - 1 - start)
    offsets = generator.choice(within, size=num_frames - 1, replace=False) + 1
    return start + np.concatenate([[0], np.sort(offsets)]).astype(np.int64)


def normalized_times(times: Float64[np.ndarray, " frames"]) -> Float32[np.ndarray, " frames"]:
    """Shift and scale times so that the first is 0, the last 1; a single one is 0.

    Frames may also be played backwards, from the latest to the earliest.
    """
    since_first = np.abs(times - times[0])
    return (since_first / (since_first[-1] or 1.0)).astype(np.float32)
