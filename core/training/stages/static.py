"""Stage 1: the static network learns to turn one frame into Gaussians."""

from __future__ import annotations

from torch import nn

from core.checks import naming
from core.losses import Distance, depth_loss, mse, perceptual_loss
from core.models.config import ModelConfig
from core.models.factory import StaticNetwork, build_static_model
from core.models.matching.static_heads import CorrectedGaussians
from core.models.model_files import load_weights
from core.training.stages.noise import StepNoise
from core.training.stages.options import StaticStageOptions
from core.training.stages.stage import (
    StageOutput,
    StepLosses,
    hide_depth,
    measure_quality,
    render_training_views,
)
from core.types import ClipBatch, DynamicGaussians, RenderOutput

_FIRST_WEIGHT = 0.3
"""Weight of the picture before correction, where a network corrects itself."""


class StaticStage:
    """One frame in, the same frame out.

    Args:
        config: Configuration of the network.
        options: What the user chose.
    """

    name = "static"
    num_frames = 1
    num_encoded = 1
    trains_static = True
    trains_dynamic = False

    def __init__(self, config: ModelConfig, options: StaticStageOptions) -> None:
        self.config = config
        self.options = options
        self._image_size = (config.image_height, config.image_width)

    def build_model(self, *, initial_weights: bool = True) -> StaticNetwork:
        """Build the static network, from ``init_from`` where that is given."""
        model = build_static_model(self.config)
        if initial_weights and self.options.init_from is not None:
            with naming("--init_from"):
                load_weights(model, self.options.init_from)
        return model

    def compute_losses(
        self,
        model: nn.Module,
        batch: ClipBatch,
        noise: StepNoise,
        perceptual: Distance | None = None,
    ) -> StepLosses:
        """Colour error, depth loss and perceptual loss, at the frame's own time."""
        inverse_depths = hide_depth(batch.inverse_depths, noise.depth_dropped)
        output = model(batch.frames[:, 0], inverse_depths[:, 0])
        rendered = self._render(_final(output), batch, noise)
        color = mse(rendered.rgb, batch.frames)
        # A depth of 0 means that no Gaussian touches the pixel: there is nothing to compare.
        depth = depth_loss(
            rendered.depth,
            batch.inverse_depths,
            rendered.depth.detach() > 0,
            batch.has_depth,
            trimmed=False,
        )
        total = color + self.options.lambda_depth * depth
        terms = {"mse": color, "depth": depth}
        if isinstance(output, CorrectedGaussians):
            terms["first"] = mse(self._render(output.first, batch, noise).rgb, batch.frames)
            total = total + _FIRST_WEIGHT * terms["first"]
        if perceptual is not None:
            terms["lpips"] = perceptual_loss(
                perceptual, rendered.rgb.flatten(0, 1), batch.frames.flatten(0, 1)
            )
            total = total + self.options.lambda_lpips * terms["lpips"]
        terms = {"loss": total, **terms, **measure_quality(rendered.rgb, batch.frames)}
        return StepLosses(total, {name: value.detach() for name, value in terms.items()})

    def _render(
        self, gaussians: DynamicGaussians, batch: ClipBatch, noise: StepNoise
    ) -> RenderOutput:
        return render_training_views(
            gaussians,
            batch.times,
            self._image_size,
            noise.background,
            backend=self.options.rasterizer,
        )

    def reconstruct(self, model: nn.Module, batch: ClipBatch) -> StageOutput:
        """Render each frame from itself, over grey."""
        gaussians = _final(model(batch.frames[:, 0], batch.inverse_depths[:, 0]))
        views = render_training_views(
            gaussians, batch.times, self._image_size, backend=self.options.rasterizer
        )
        return StageOutput(gaussians, views)


def _final(output: DynamicGaussians | CorrectedGaussians) -> DynamicGaussians:
    return output.final if isinstance(output, CorrectedGaussians) else output
