"""Options of the stages: the network and what it learns from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.checks import UserError


@dataclass(frozen=True, kw_only=True)
class StageOptions:
    """The network and what it learns from; shared by both stages."""

    preset: Literal["full", "small", "tiny"] = "full"
    """Size of the network: full is the published one, tiny trains in minutes."""
    init_from: Path | None = None
    """Weights from which training starts: model.safetensors of the same stage and preset, or its
    folder; in stage 2 the published streamsplat.safetensors as well."""
    gradient_checkpointing: Literal["auto", "on", "off"] = "auto"
    """Compute activations twice rather than keep them: less memory, about a third more time. auto
    does where they would not fit the device."""
    rasterizer: Literal["auto", "cuda", "cpu", "reference"] = "auto"
    """Which rasteriser renders; cpu with a CUDA device copies to the host and back."""
    depth_drop: float = 0.1
    """Probability that a sample's depth is hidden from the network, which thus learns to do
    without; the depth loss still sees it."""
    lambda_depth: float
    """Weight of the depth loss."""
    lambda_lpips: float = 0.05
    """Weight of the perceptual loss (LPIPS)."""
    lpips_from_epoch: int = 50
    """First epoch, counted from 0, that has a perceptual loss."""
    lpips_backbone_path: Path = Path("checkpoints") / "vgg16-397923af.pth"
    """ImageNet weights of VGG16 as torchvision publishes them, which LPIPS looks through; where
    they are, validation measures LPIPS as well."""

    def __post_init__(self) -> None:
        if not 0 <= self.depth_drop <= 1:
            raise UserError(f"--depth_drop is {self.depth_drop}; expected a number in [0, 1].")
        for name in ("lambda_depth", "lambda_lpips", "lpips_from_epoch"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least 0.")


@dataclass(frozen=True, kw_only=True)
class StaticStageOptions(StageOptions):
    """The static network."""

    lambda_depth: float = 0.05
    """Weight of the depth loss."""


@dataclass(frozen=True, kw_only=True)
class DynamicStageOptions(StageOptions):
    """The dynamic decoder."""

    encoder_path: Path | None = None
    """Weights of stage 1, the model.safetensors in its workspace; not needed with --init_from."""
    dinov2_path: Path | None = None
    """Weights of DINOv2 (dinov2_vitb14_reg4_pretrain.pth), for presets that are conditioned on
    it."""
    num_frames: int = 6
    """Frames of a sample; the first and the last are the key frames, all are rendered."""
    lambda_depth: float = 0.01
    """Weight of the depth loss."""
    lambda_mask: float = 3.0
    """Weight of the colour error on moving objects, on top of that of all pixels."""
    lambda_motion: float | None = None
    """Weight of a pixel of mean error of the motion, where that is known: in procedural and layered
    samples, and with --label_motion. By default 0.02 for networks with a matcher, whose flow learns
    from nothing else, and 0 otherwise, as in the published recipe."""
    lambda_hidden: float = 0.005
    """Weight of the loss of what is hidden in the other key frame; networks with a matcher only."""
    train_static: bool = False
    """Train the static network along; the published recipe keeps it frozen. Of networks with a
    matcher only the heads that see the pixels are frozen."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_frames < 2:
            raise UserError(f"--num_frames is {self.num_frames}; expected at least 2 (key frames).")
        for name in ("lambda_mask", "lambda_motion", "lambda_hidden"):
            if not 0 <= (getattr(self, name) or 0) < math.inf:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least 0.")
        if (self.encoder_path is None) == (self.init_from is None):
            raise UserError(
                "give either --encoder_path (weights of stage 1, to start stage 2) or --init_from "
                "(weights of stage 2), and not both."
            )
