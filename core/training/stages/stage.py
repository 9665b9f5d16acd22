"""The interface of a stage of training, and what both stages share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from core.losses import Distance
from core.metrics import psnr, ssim
from core.models.config import ModelConfig
from core.models.factory import StaticNetwork
from core.models.network import Network
from core.rendering import render
from core.training.stages.noise import StepNoise
from core.training.stages.options import StageOptions
from core.types import ClipBatch, DynamicGaussians, RenderOutput


@dataclass(frozen=True)
class StepLosses:
    """What a step minimises and logs."""

    total: Float[Tensor, ""]
    """The weighted sum, to be differentiated."""
    terms: Mapping[str, Float[Tensor, ""]]
    """Detached values by name, for the log."""


class NonFiniteSceneError(ArithmeticError):
    """The network gave Gaussians that are not finite.

    Attributes:
        nan_loss: A NaN that depends on every Gaussian: its backward pass reaches all parameters, so
            that processes that train together stay in step.
    """

    def __init__(self, nan_loss: Tensor) -> None:
        super().__init__("the network gave Gaussians that are not finite")
        self.nan_loss = nan_loss


@dataclass(frozen=True)
class StageOutput:
    """What a network makes of a batch."""

    gaussians: DynamicGaussians
    """The scenes."""
    views: RenderOutput
    """All frames of the batch, over grey."""


class Stage(Protocol):
    """A stage of training: a network, the samples that it needs, and its losses."""

    name: str
    """Written into checkpoints, so that one stage does not resume another's."""
    config: ModelConfig
    """The network's configuration."""
    num_frames: int
    """Frames of a sample."""
    num_encoded: int
    """How many of them the network is given."""
    trains_static: bool
    """Whether the static network learns."""
    trains_dynamic: bool
    """Whether there is a decoder, which learns."""

    @property
    def options(self) -> StageOptions:
        """What the user chose."""
        ...

    def build_model(self, *, initial_weights: bool = True) -> StaticNetwork | Network:
        """Build the network.

        Args:
            initial_weights: Load the weights from which training starts, where the user gave some;
                they are not needed where a checkpoint is loaded afterwards.
        """
        ...

    def compute_losses(
        self,
        model: nn.Module,
        batch: ClipBatch,
        noise: StepNoise,
        perceptual: Distance | None = None,
    ) -> StepLosses:
        """Run the network on a batch and compare what it renders with the frames.

        Args:
            model: The network.
            batch: Samples on the network's device.
            noise: What is drawn anew for the step.
            perceptual: Measures the perceptual loss; None in steps without one.

        Raises:
            NonFiniteSceneError: If the network's output cannot be rendered.
        """
        ...

    def reconstruct(self, model: nn.Module, batch: ClipBatch) -> StageOutput:
        """Make scenes of a batch's key frames and render all of its frames, as evaluation does.

        Raises:
            NonFiniteSceneError: If the network's output cannot be rendered.
        """
        ...


@torch.no_grad()
def measure_quality(
    rendered: Float[Tensor, "b v 3 h w"], frames: Float[Tensor, "b v 3 h w"]
) -> dict[str, Tensor]:
    """Return mean PSNR and SSIM of a step's images, on the device."""
    images, targets = rendered.detach().flatten(0, 1), frames.flatten(0, 1)
    return {"psnr": psnr(images, targets).mean(), "ssim": ssim(images, targets).mean()}


def render_training_views(
    gaussians: DynamicGaussians,
    times: Float[Tensor, "b t"],
    image_size: tuple[int, int],
    background: Float[Tensor, "3"] | float = 0.5,
    *,
    backend: str,
) -> RenderOutput:
    """Render scenes that a network in training gave, which may be broken.

    Raises:
        NonFiniteSceneError: If a value of the scenes is not finite.
    """
    try:
        return render(gaussians, times, image_size, background, backend=backend)
    except ValueError:
        values = gaussians.tensors()
        if all(bool(torch.isfinite(value).all()) for value in values):
            raise
        total = torch.stack([value.float().sum() for value in values]).sum()
        raise NonFiniteSceneError(total * torch.nan) from None


def hide_depth(
    inverse_depths: Float[Tensor, "b *rest"], dropped: Bool[Tensor, " b"]
) -> Float[Tensor, "b *rest"]:
    """Return the maps with those of ``dropped`` samples zero, which stands for "no depth"."""
    shape = (-1,) + (1,) * (inverse_depths.ndim - 1)
    return torch.where(dropped.view(shape), 0.0, inverse_depths)
