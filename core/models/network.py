"""What all whole networks offer, whatever they are made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from core.models.options import ModelOptions
from core.types import DynamicGaussians


class Network(nn.Module, ABC):
    """Encodes key frames, each once, and decodes pairs of them.

    How a key frame is encoded is each network's own affair: a dataclass of tensors whose first axis
    is the batch.
    """

    config: ModelOptions
    """Its configuration."""
    static_is_frozen: bool = False
    """Whether what stage 1 trained is left as it is."""

    @abstractmethod
    def encode(
        self, images: Float[Tensor, "b 3 h w"], inverse_depths: Float[Tensor, "b 1 h w"]
    ) -> Any:
        """Run everything that takes one frame alone.

        Args:
            images: RGB in [0, 1], of the configured size.
            inverse_depths: Relative inverse depth in [0, 1], normalised per frame; zeros where
                there is none.

        Raises:
            UserError: If the size is wrong, or weights are missing.
        """

    @abstractmethod
    def decode(self, first: Any, second: Any) -> DynamicGaussians:
        """Predict the motion between key frames at time 0 and time 1.

        Args:
            first: The key frames at time 0.
            second: Those at time 1, as many.

        Returns:
            The first frame's Gaussians, anchored at 0, then the second's, anchored at 1.
        """

    @abstractmethod
    def static_gaussians(self, keyframe: Any) -> DynamicGaussians:
        """Return a key frame's own Gaussians, which neither move nor fade."""

    def bend_motion(
        self,
        motion: Float[Tensor, "b n k 3"],
        before: Float[Tensor, "b n k 3"],
        after: Float[Tensor, "b n k 3"],
        durations: Float[Tensor, "b 2"],
    ) -> Float[Tensor, "b n k 3"]:
        """Return the motion of decoded pairs, bent as that of the pairs beside them shows.

        By default it is as it was decoded.

        Args:
            motion: As decoded; see :class:`DynamicGaussians`.
            before: That of the pairs that end where these begin.
            after: That of the pairs that begin where these end.
            durations: How long ``before`` and ``after`` last, in units of the pair's duration; 0
                where there is none, whatever its motion.
        """
        return motion

    @abstractmethod
    def freeze_static(self, frozen: bool = True) -> None:
        """Stop training what stage 1 trained, or train it again."""
