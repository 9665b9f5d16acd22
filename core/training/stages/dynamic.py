"""Stage 2: the decoder learns motion and opacity between two frames; the static part is frozen."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from core.checks import UserError, naming
from core.losses import (
    Distance,
    depth_loss,
    flow_loss,
    flow_of_gaussians,
    hidden_loss,
    masked_mse,
    mse,
    perceptual_loss,
    pixels_from_displacements,
)
from core.models.config import ModelConfig
from core.models.factory import build_model
from core.models.matching.config import MatchingConfig
from core.models.matching.network import MatchedPair
from core.models.model_files import load_dinov2, load_static_weights, load_weights
from core.models.network import Network
from core.training.stages.noise import StepNoise
from core.training.stages.options import DynamicStageOptions
from core.training.stages.stage import (
    StageOutput,
    StepLosses,
    hide_depth,
    measure_quality,
    render_training_views,
)
from core.types import ClipBatch, DynamicGaussians

_MIN_ALPHA = 0.1
_MOTION_WEIGHT = 0.02
"""Loss of a pixel of mean error of the motion, for networks with a matcher."""


class DynamicStage:
    """Two key frames in, every frame between them out.

    Args:
        config: Configuration of the network.
        options: What the user chose.
    """

    name = "dynamic"
    num_encoded = 2
    trains_dynamic = True

    def __init__(self, config: ModelConfig, options: DynamicStageOptions) -> None:
        matches = isinstance(config, MatchingConfig)
        if config.use_dino and options.dinov2_path is None:
            raise UserError(
                f"--preset {options.preset} is conditioned on DINOv2: give its weights with "
                "--dinov2_path, or choose another --preset."
            )
        self.config = config
        self.options = options
        self.num_frames = options.num_frames
        self.trains_static = options.train_static
        self._image_size = (config.image_height, config.image_width)
        default = _MOTION_WEIGHT if matches else 0.0
        given = options.lambda_motion
        self._lambda_motion = default if given is None else given

    def build_model(self, *, initial_weights: bool = True) -> Network:
        """Build the whole network with its static part loaded and, by default, frozen."""
        model = build_model(self.config)
        if initial_weights:
            if self.options.encoder_path is not None:
                with naming("--encoder_path"):
                    load_static_weights(model, self.options.encoder_path)
            if self.options.init_from is not None:
                with naming("--init_from"):
                    load_weights(model, self.options.init_from)
        model.freeze_static(not self.options.train_static)
        if self.options.dinov2_path is not None:
            with naming("--dinov2_path"):
                load_dinov2(model, self.options.dinov2_path)
        return model

    def compute_losses(
        self,
        model: nn.Module,
        batch: ClipBatch,
        noise: StepNoise,
        perceptual: Distance | None = None,
    ) -> StepLosses:
        """Colour error of all frames, more of it on moving objects, depth and perceptual loss."""
        inverse_depths = hide_depth(batch.inverse_depths, noise.depth_dropped)
        output = model(_key_frames(batch.frames), _key_frames(inverse_depths))
        gaussians = _scene(output)
        rendered = render_training_views(
            gaussians,
            batch.times,
            self._image_size,
            noise.background,
            backend=self.options.rasterizer,
        )
        color = mse(rendered.rgb, batch.frames)
        moving = masked_mse(rendered.rgb, batch.frames, batch.masks)
        depth = depth_loss(
            rendered.depth,
            batch.inverse_depths,
            rendered.alpha.detach() > _MIN_ALPHA,
            batch.has_depth,
            trimmed=True,
        )
        terms = {"mse": color, "mask": moving, "depth": depth, **self._motion_terms(output, batch)}
        weights = {
            "mse": 1.0,
            "mask": self.options.lambda_mask,
            "depth": self.options.lambda_depth,
            "motion": self._lambda_motion,
            "hidden": self.options.lambda_hidden,
        }
        total = torch.stack([weights[name] * term for name, term in terms.items()]).sum()
        if perceptual is not None:
            terms["lpips"] = perceptual_loss(
                perceptual, rendered.rgb.flatten(0, 1), batch.frames.flatten(0, 1)
            )
            total = total + self.options.lambda_lpips * terms["lpips"]
        terms = {"loss": total, **terms, **measure_quality(rendered.rgb, batch.frames)}
        return StepLosses(total, {name: value.detach() for name, value in terms.items()})

    def _motion_terms(
        self, output: DynamicGaussians | MatchedPair, batch: ClipBatch
    ) -> dict[str, Tensor]:
        """Return the losses of known motion, in pixels, and of what is hidden."""
        target = pixels_from_displacements(batch.motion, self._image_size)
        final = flow_of_gaussians(_scene(output), self.config.gaussian_grid, self._image_size)
        if isinstance(output, DynamicGaussians):
            return {"motion": flow_loss([final], target, batch.motion_known)}
        return {
            "motion": flow_loss([*output.flows, final], target, batch.motion_known),
            "hidden": hidden_loss(output.hidden, target, batch.motion_known),
        }

    def reconstruct(self, model: nn.Module, batch: ClipBatch) -> StageOutput:
        """Render all frames from the first and the last, over grey."""
        gaussians = _scene(model(_key_frames(batch.frames), _key_frames(batch.inverse_depths)))
        views = render_training_views(
            gaussians, batch.times, self._image_size, backend=self.options.rasterizer
        )
        return StageOutput(gaussians, views)


def _scene(output: DynamicGaussians | MatchedPair) -> DynamicGaussians:
    return output.gaussians if isinstance(output, MatchedPair) else output


def _key_frames(values: Float[Tensor, "b v *rest"]) -> Float[Tensor, "b 2 *rest"]:
    return torch.stack((values[:, 0], values[:, -1]), dim=1)
