"""Which frames make a training sample: a function of (seed, index) and of nothing else."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float32, Float64, Int


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
