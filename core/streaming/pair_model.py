"""The network, seen from a stream."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.types import DynamicGaussians, TensorDataclass


@dataclass(frozen=True)
class KeyInputs(TensorDataclass):
    """What the model takes of one key frame."""

    image: Float[Tensor, "1 3 h w"]
    """RGB in [0, 1]."""
    inverse_depth: Float[Tensor, "1 1 h w"]
    """Relative inverse depth normalised to [0, 1]; zeros where there is none."""


class PairModel(Protocol):
    """What a stream asks of a network; :class:`core.models.StreamSplat` answers.

    A key frame is the TensorDataclass that ``encode`` returns; its first axis is the batch.
    """

    def encode(
        self, images: Float[Tensor, "b 3 h w"], inverse_depths: Float[Tensor, "b 1 h w"], /
    ) -> Any:
        """Run everything that concerns a frame by itself."""
        ...

    def decode(self, first: Any, second: Any, /) -> DynamicGaussians:
        """Return the Gaussians of the pairs, the first frames at time 0, the second ones at 1."""
        ...

    def static_gaussians(self, keyframe: Any, /) -> DynamicGaussians:
        """Return the Gaussians of frames by themselves, the same at all times."""
        ...


def configured_size(model: PairModel) -> tuple[int, int]:
    """Return the height and width that a model takes, from its configuration.

    Raises:
        ValueError: If it has none.
    """
    config = getattr(model, "config", None)
    if config is None:
        raise ValueError("Session: the model has no config; give image_size, (height, width).")
    return config.image_height, config.image_width


def device_of(model: PairModel) -> torch.device:
    """Return where a model's parameters are; the CPU for one without any."""
    parameter = next(model.parameters(), None) if isinstance(model, nn.Module) else None
    return torch.device("cpu") if parameter is None else parameter.device
