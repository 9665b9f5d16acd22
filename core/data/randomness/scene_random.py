"""The random generator of scene parameters."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

_BLOCK = 2048


class SceneRandom:
    """Draws the parameters of a batch of scenes, from one generator a scene.

    Every draw returns a CPU tensor whose first axis is the batch. A scene's numbers depend on
    (seed, index) and on the order of the calls, not on the other scenes of the batch.

    Args:
        seed: Seed of the source, with the name of what is drawn where it is not all of a scene.
        indices: Index of each scene.
    """

    def __init__(self, seed: int | str, indices: Sequence[int]) -> None:
        self._generators = [
            torch.Generator().manual_seed(_mix(seed, int(index))) for index in indices
        ]
        self._stock = torch.empty(len(self._generators), 0)

    def uniform(self, low: float, high: float, *shape: int) -> Float[Tensor, "b *shape"]:
        """Draw uniformly from [low, high)."""
        count = math.prod(shape)
        if count > self._stock.shape[1]:
            # Generators are asked in blocks: a batch needs thousands of single numbers.
            size = max(count, _BLOCK)
            blocks = [torch.rand(size, generator=generator) for generator in self._generators]
            self._stock = torch.cat([self._stock, torch.stack(blocks)], dim=1)
        draws, self._stock = self._stock[:, :count], self._stock[:, count:]
        return low + (high - low) * draws.reshape(-1, *shape)

    def log_uniform(self, low: float, high: float, *shape: int) -> Float[Tensor, "b *shape"]:
        """Draw so that every octave of [low, high) is as likely."""
        return self.uniform(math.log(low), math.log(high), *shape).exp()

    def bernoulli(self, probability: float, *shape: int) -> Tensor:
        """Draw booleans that are true with ``probability``."""
        return self.uniform(0.0, 1.0, *shape) < probability

    def choose(self, weights: Sequence[float], *shape: int) -> Int[Tensor, "b *shape"]:
        """Draw positions in ``weights``, each as often as its weight says."""
        edges = torch.tensor(weights).cumsum(0)
        draws = self.uniform(0.0, 1.0, *shape) * edges[-1]
        return torch.searchsorted(edges, draws, right=True).clamp(max=len(weights) - 1)

    def direction(self, *shape: int) -> Float[Tensor, "b *shape 2"]:
        """Draw unit vectors of the plane."""
        angle = self.uniform(0.0, 2.0 * math.pi, *shape)
        return torch.stack([angle.cos(), angle.sin()], dim=-1)

    def keys(self, *shape: int) -> Int[Tensor, "b *shape"]:
        """Draw int32 keys for :mod:`core.data.randomness.hashing`."""
        return (self.uniform(0.0, 1.0, *shape) * 2.0**24).to(torch.int32)


def _mix(seed: int | str, index: int) -> int:
    digest = hashlib.blake2b(f"{seed}:{index}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")
