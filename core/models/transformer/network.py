"""The whole network: two frames become a scene for every time between them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from core.models.network import Network
from core.models.transformer.config import StreamSplatConfig
from core.models.transformer.dino import DinoEncoder
from core.models.transformer.dynamic_model import DynamicModel
from core.models.transformer.heads import GaussianDynamics
from core.models.transformer.static_model import StaticModel
from core.types import DynamicGaussians, TensorDataclass


@dataclass(frozen=True)
class KeyFrame(TensorDataclass):
    """``b`` encoded frames, each of which can be the first or the second one of a pair."""

    tokens: Float[Tensor, "b l d"]
    """Encoder tokens."""
    features: Float[Tensor, "b n c"]
    """Static features on the Gaussian grid."""
    condition: Float[Tensor, "b m d"]
    """Condition tokens, to which the other frame of a pair attends."""
    gaussians: DynamicGaussians
    """The frame's own Gaussians, static, anchored at time 0."""


class StreamSplat(Network):
    """Static encoder, dynamic decoder and, if the configuration asks for it, DINOv2."""

    def __init__(
        self,
        config: StreamSplatConfig,
        static: StaticModel,
        dynamic: DynamicModel,
        dino: DinoEncoder | None,
    ) -> None:
        super().__init__()
        self.config = config
        self.static = static
        self.dynamic = dynamic
        self.dino = dino

    def encode(
        self, images: Float[Tensor, "b 3 h w"], inverse_depths: Float[Tensor, "b 1 h w"]
    ) -> KeyFrame:
        """Run everything that takes one frame alone.

        Args:
            images: RGB in [0, 1], of the configured size.
            inverse_depths: Relative inverse depth in [0, 1], normalised per frame; zeros where
                there is none.

        Raises:
            UserError: If the size is wrong, or DINOv2 is needed and not loaded.
        """
        # DINOv2 first, because its weights may be missing.
        condition = None if self.dino is None else self.dino_condition(images)
        return self.encode_static(images, inverse_depths, condition)

    def dino_condition(self, images: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b m d"]:
        """Return the condition tokens of networks that are conditioned on DINOv2.

        Args:
            images: RGB in [0, 1], of the configured size.

        Raises:
            UserError: If DINOv2 is not loaded.
        """
        assert self.dino is not None, "without DINOv2 the encoder's tokens are the condition"
        return self.dynamic.condition(self.dino(images))

    def encode_static(
        self,
        images: Float[Tensor, "b 3 h w"],
        inverse_depths: Float[Tensor, "b 1 h w"],
        condition: Float[Tensor, "b m d"] | None,
    ) -> KeyFrame:
        """Run the static network; see :meth:`encode`.

        Args:
            images: RGB in [0, 1], of the configured size.
            inverse_depths: Relative inverse depth in [0, 1].
            condition: From :meth:`dino_condition`; stored, not read. None without DINOv2, where
                the encoder's tokens are the condition.
        """
        encoded = self.static.encode(images, inverse_depths)
        tokens = encoded.tokens
        return KeyFrame(
            tokens=tokens,
            features=encoded.features,
            condition=self.dynamic.condition(tokens) if condition is None else condition,
            gaussians=self.static.gaussians(encoded),
        )

    def decode(
        self, first: KeyFrame, second: KeyFrame, *, sample: bool | None = None
    ) -> DynamicGaussians:
        """Predict the motion between key frames at time 0 and time 1.

        Args:
            first: The key frames at time 0.
            second: Those at time 1, as many.
            sample: Draw motion from its distribution; by default in training mode only.

        Returns:
            The first frame's Gaussians, anchored at 0, then the second's, anchored at 1.
        """
        forward, backward = self.dynamic(
            torch.stack((first.tokens, second.tokens), dim=1),
            torch.stack((first.condition, second.condition), dim=1),
            torch.stack((first.features, second.features), dim=1),
            sample=self.training if sample is None else sample,
        )
        return DynamicGaussians.cat(
            [
                _with_dynamics(first.gaussians, forward, anchor_time=0.0),
                _with_dynamics(second.gaussians, backward, anchor_time=1.0),
            ],
            dim=1,
        )

    def forward(
        self, frames: Float[Tensor, "b 2 3 h w"], inverse_depths: Float[Tensor, "b 2 1 h w"]
    ) -> DynamicGaussians:
        """Turn pairs of key frames into scenes; see :meth:`encode` and :meth:`decode`."""
        both = self.encode(
            rearrange(frames, "b v c h w -> (v b) c h w"),
            rearrange(inverse_depths, "b v c h w -> (v b) c h w"),
        )
        return self.decode(*both.split([len(frames)] * 2))

    def static_gaussians(self, keyframe: KeyFrame) -> DynamicGaussians:
        """Return a key frame's own Gaussians, which neither move nor fade."""
        return keyframe.gaussians

    def freeze_static(self, frozen: bool = True) -> None:
        """Stop training the static part and keep it in evaluation mode, or train it again."""
        self.static_is_frozen = frozen
        self.static.requires_grad_(not frozen).train(self.training and not frozen)

    def train(self, mode: bool = True) -> StreamSplat:
        """Set the training mode; a frozen static part stays in evaluation mode."""
        super().train(mode)
        if self.static_is_frozen:
            self.static.eval()
        return self


def _with_dynamics(
    gaussians: DynamicGaussians, dynamics: GaussianDynamics, *, anchor_time: float
) -> DynamicGaussians:
    return replace(
        gaussians,
        motion=dynamics.motion,
        opacity_slopes=dynamics.opacity_slopes,
        opacity_half_lives=dynamics.opacity_half_lives,
        anchor_times=torch.full_like(gaussians.opacities, anchor_time),
    )
