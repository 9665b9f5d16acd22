"""What a stream asks of a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.types import DynamicGaussians, TensorDataclass

EncodedT = TypeVar("EncodedT", bound=TensorDataclass)
"""Key frames as a model encodes them; the first axis is the batch."""
T = TypeVar("T", bound=Tensor | TensorDataclass)


class PairModel(Protocol[EncodedT]):
    """Encodes key frames and decodes pairs of them; :class:`core.models.StreamSplat` does."""

    def encode(
        self, images: Float[Tensor, "b 3 h w"], inverse_depths: Float[Tensor, "b 1 h w"], /
    ) -> EncodedT:
        """Compute everything that depends on one frame only.

        Args:
            images: RGB in [0, 1].
            inverse_depths: Relative inverse depth, each frame normalised to [0, 1]; zeros where
                there is none.
        """
        ...

    def decode(self, first: EncodedT, second: EncodedT, /) -> DynamicGaussians:
        """Return the Gaussians of the pairs, the first frames at time 0, the second ones at 1."""
        ...

    def static_gaussians(self, keyframe: EncodedT, /) -> DynamicGaussians:
        """Return the Gaussians of frames by themselves, the same at all times."""
        ...

    def bend_motion(
        self,
        motion: Float[Tensor, "b n k 3"],
        before: Float[Tensor, "b n k 3"],
        after: Float[Tensor, "b n k 3"],
        durations: Float[Tensor, "b 2"],
        /,
    ) -> Float[Tensor, "b n k 3"]:
        """Return the motion of decoded pairs, bent as that of the pairs beside them shows.

        Args:
            motion: As decoded.
            before: That of the pairs that end where these begin.
            after: That of the pairs that begin where these end.
            durations: How long ``before`` and ``after`` last, in units of the pair's duration; 0
                where there is none, whatever its motion.
        """
        ...


class Flow(Protocol):
    """Matches of ``b`` pairs of frames, a dataclass of tensors whose first axis is twice that."""

    @property
    def flow(self) -> Float[Tensor, "b2 2 h2 w2"]:
        """From all first frames to the second ones, then back: pixels (u, v) of the frames."""
        ...


class MatchingModel(Protocol):
    """The steps of a pair model that matches frames before it needs their depth.

    A pair model has them if it has an attribute ``matching``; then its ``encode`` is ``see`` and
    ``encode_seen``, and its ``decode`` is ``match`` and ``decode_matched``. What they exchange are
    dataclasses of tensors.
    """

    @property
    def compiles(self) -> bool:
        """Whether ``accelerate`` compiles, which takes too long for the middle of a stream."""
        ...

    def see(self, images: Float[Tensor, "b 3 h w"], /) -> Any:
        """Return what is matched of frames, and what their own depth comes from."""
        ...

    def own_inverse_depths(self, features: Any, /) -> Float[Tensor, "b 1 h2 w2"]:
        """Return the inverse depth, in [0, 1], that frames without any get."""
        ...

    def match(self, first: Any, second: Any, /) -> Any:
        """Return a :class:`Flow` of pairs of frames; its grid is half the frames' size."""
        ...

    def encode_seen(
        self, images: Float[Tensor, "b 3 h w"], inverse_depths: Float[Tensor, "b 1 h w"],
        features: Any, /,
    ) -> Any:  # fmt: skip
        """Encode frames that were seen."""
        ...

    def decode_matched(self, first: Any, second: Any, matches: Any, /) -> DynamicGaussians:
        """Return the Gaussians of pairs that were matched, first with second."""
        ...

    def accelerate(self, work: Callable[..., T], /) -> Callable[..., T]:
        """Return other work on tensors of a stream, made as fast as the model's own steps are."""
        ...


def matching_of(model: object) -> MatchingModel | None:
    """Return the steps of a model that has a matcher; None for others."""
    return getattr(model, "matching", None)


def own_inverse_depth(
    model: PairModel[EncodedT], image: Float[Tensor, "1 3 h w"]
) -> Float[Tensor, "h2 w2"]:
    """Return the inverse depth that a model gives a frame without any, in [0, 1].

    It is that of its static Gaussians, which are taken to lie on a grid with the proportions of the
    frame, row by row; where their number is that of no such grid, all of it is 1/2.
    """
    height, width = image.shape[-2:]
    encoded = model.encode(image, image.new_zeros(1, 1, height, width))
    depths = model.static_gaussians(encoded).means[0, :, 1].clamp(0, 1)
    rows = round((len(depths) * height / width) ** 0.5)
    if rows * rows * width != len(depths) * height:
        return torch.full((1, 1), 0.5)
    return depths.unflatten(0, (rows, -1)).float()


def configured_size(model: object) -> tuple[int, int]:
    """Return the height and width that a model takes, from its configuration.

    Raises:
        ValueError: If it has none.
    """
    config = getattr(model, "config", None)
    if config is None:
        raise ValueError("Session: the model has no config; give image_size, (height, width).")
    return config.image_height, config.image_width


def device_of(model: object) -> torch.device:
    """Return a model's ``device``, or that of its parameters; the CPU for one without either."""
    device = getattr(model, "device", None)
    if device is None and isinstance(model, nn.Module):
        device = next((parameter.device for parameter in model.parameters()), None)
    return torch.device("cpu") if device is None else torch.device(device)
