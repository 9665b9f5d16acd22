"""Training samples that are made on the device: which scene, at which times."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.data.sampling.order import sample_generator
from core.types import ClipBatch

MIN_SPAN = 0.3
"""Shortest stretch of a scene, whose whole is 1, that a sample of several frames covers."""


class SceneSource(Protocol):
    """What makes clips of scenes, such as ``ProceduralSource`` and ``LayeredSource``."""

    def clip(self, indices: Sequence[int], times: Float[Tensor, "b v"]) -> ClipBatch:
        """Render scenes, which last from 0 to 1, each at its own rising times."""
        ...


class SceneClips:
    """An endless stream of samples, each of its own scene.

    Args:
        source: What makes the scenes.
        num_frames: Frames of a sample.
        seed: Chooses times; a sample is a function of the source, the seed and its index.
    """

    def __init__(self, source: SceneSource, *, num_frames: int, seed: int) -> None:
        self._source = source
        self._num_frames = num_frames
        self._seed = seed

    def batch(self, indices: Sequence[int]) -> ClipBatch:
        """Return the samples of ``indices``, at random times, on the device."""
        times = [
            draw_times(sample_generator(self._seed, index), self._num_frames) for index in indices
        ]
        return self._source.clip(indices, torch.from_numpy(np.stack(times)))

    def even_batch(self, indices: Sequence[int]) -> ClipBatch:
        """Return the samples of ``indices`` at even times over the whole scene, for evaluation."""
        times = torch.linspace(0.0, 1.0, self._num_frames)
        return self._source.clip(indices, times.expand(len(indices), -1))


def draw_times(generator: np.random.Generator, num_frames: int) -> Float[np.ndarray, " frames"]:
    """Draw rising times within [0, 1].

    A single time is uniform. Several cover a random span of at least ``MIN_SPAN``, evenly spaced
    with jitter between its ends, so that none coincide.

    Args:
        generator: Source of randomness.
        num_frames: Times to draw, at least 1.
    """
    if num_frames == 1:
        return generator.uniform(size=1).astype(np.float32)
    span = generator.uniform(MIN_SPAN, 1.0)
    start = generator.uniform(0.0, 1.0 - span)
    places = np.arange(num_frames, dtype=np.float64)
    places[1:-1] += generator.uniform(-0.4, 0.4, size=num_frames - 2)
    return (start + span * places / (num_frames - 1)).astype(np.float32)
