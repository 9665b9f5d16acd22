"""Which frames make a training sample: a function of (seed, index) and of nothing else."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from jaxtyping import Int


def sample_generator(seed: int, index: int) -> np.random.Generator:
    """Return the random generator of one sample."""
    return np.random.default_rng((seed, index))


def item_at(seed: int, index: int, num_items: int) -> int:
    """Return the item that position ``index`` of an endless shuffled sequence shows.

    The sequence is cut into epochs; each shows every item once, in an order of its own.

    Args:
        seed: Chooses the sequence.
        index: Position in it, from 0, without end.
        num_items: Items in an epoch.
    """
    epoch, position = divmod(index, num_items)
    return int(_epoch_order(seed, epoch, num_items)[position])


@lru_cache(maxsize=4)
def _epoch_order(seed: int, epoch: int, num_items: int) -> Int[np.ndarray, " items"]:
    # The trailing 1 keeps these streams apart from those of sample_generator.
    return np.random.default_rng((seed, epoch, 1)).permutation(num_items)


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


def normalized_times(frames: Int[np.ndarray, " frames"]) -> np.ndarray:
    """Return the frames' times: the first is 0, the last 1; a single frame is at 0.

    Frames may also be played backwards, from the latest to the earliest.
    """
    span = int(frames[-1] - frames[0]) or 1
    return ((frames - frames[0]) / span).astype(np.float32)
