"""How much memory a step takes, by arithmetic, and which options reduce it."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from core.checks import UserError
from core.logging import get_logger
from core.models.matching.config import MatchingConfig
from core.models.transformer.config import StreamSplatConfig
from core.training.options import RunOptions
from core.training.stages.stage import Stage

_GIB = 2**30
_ROOM = 0.85
"""Share of the device's memory that a step may plan with; the rest is for what is not counted."""
_PARAMETER_BYTES = 16
"""Bytes of a trained parameter: itself, its gradient, and the optimiser's two moments."""
_logger = get_logger(__name__)


@dataclass(frozen=True)
class ActivationBytes:
    """What the trained transformer blocks keep for the backward pass, for one sample.

    A block keeps, in units of tokens times channels, with w bytes a matrix-product operand: the
    inputs and the normalised values of two norms (8 each), the inputs of four layers (w, w, w for
    qkv, out and up, 4 w for down), queries, keys and values (3 w) and the SiLU's input (4 w):
    16 + 14 w. Cross-attention adds a norm, a query and two layers' inputs (8 + 3 w), and the
    condition's own copy, keys and values (3 w, by its own tokens). Recomputing keeps the input of
    each block (4). Compiled blocks keep less.
    """

    kept: int
    """All of it is kept."""
    recomputed: int
    """With gradient checkpointing: those of one block beside every block's input."""


def activation_bytes(stage: Stage, *, half_precision: bool) -> ActivationBytes:
    """Count the activations of one sample of a stage.

    Args:
        stage: Says what is trained.
        half_precision: Whether matrix products take bfloat16 rather than float32.
    """
    config, w = stage.config, 2 if half_precision else 4
    if isinstance(config, MatchingConfig):
        kept = stage.num_encoded * _convolutions(config, w)
        if stage.trains_dynamic:
            kept += 2 * _matching(config)
        return ActivationBytes(kept=kept, recomputed=kept)
    tokens = config.num_tokens * config.width
    grids = _upsampled(config)
    blocks: list[tuple[int, int]] = []  # bytes kept and bytes of the input, block by block
    if stage.trains_static:
        frames = stage.num_encoded
        blocks += config.encoder_layers * [_block(frames * tokens, w)]
        blocks += [_block(frames * grid, w) for grid in grids for _ in range(2)]
    if stage.trains_dynamic:
        condition = config.num_condition_tokens * config.width
        kept, given = _block(2 * tokens, w)
        kept += (8 + 3 * w) * 2 * tokens + 3 * w * 2 * condition
        blocks += config.decoder_layers * [(kept, given)]
        blocks += [_block(2 * grid, w) for grid in grids for _ in range(2)]
    return ActivationBytes(
        kept=sum(kept for kept, _ in blocks),
        recomputed=sum(given for _, given in blocks) + max(kept for kept, _ in blocks),
    )


_PIXEL_MAPS = 10
_FEATURE_MAPS = 8
_PAIR_MAPS = 12
_PAIR_CHANNELS = 550
"""Channels on the grid of the Gaussians that a pair keeps besides the head: convex upsampling, what
is read from the other frame, and the Gaussians themselves; measured."""


def _convolutions(config: MatchingConfig, w: int) -> int:
    """Return what the convolutions of one frame keep: some maps of each width, measured.

    Those on the grid of the Gaussians are in float32.
    """
    fine = config.num_gaussians
    levels = zip(config.feature_widths[:2], config.refinement_widths, config.updates, strict=True)
    coarse = sum(
        fine // 4 ** (level + 1) * _FEATURE_MAPS * w * (features + updates * hidden)
        for level, (features, hidden, updates) in enumerate(levels)
    )
    return 4 * fine * _PIXEL_MAPS * config.pixel_blocks * config.pixel_width + coarse


def _matching(config: MatchingConfig) -> int:
    """Return what one frame of a pair keeps beyond its own features, float32."""
    heads = config.num_gaussians * (_PAIR_MAPS * config.dynamics_width + _PAIR_CHANNELS)
    look_ups = 3 * (config.num_gaussians // 16) ** 2
    return 4 * (heads + look_ups)


def _block(size: int, w: int) -> tuple[int, int]:
    return (16 + 14 * w) * size, 4 * size


def _upsampled(config: StreamSplatConfig) -> list[int]:
    """Return tokens times channels of each upsampler level."""
    return [
        config.num_tokens * 4 ** (level + 1) * width
        for level, width in enumerate(config.upsampler_widths)
    ]


def planned_bytes(
    stage: Stage,
    *,
    batch_size: int,
    half_precision: bool,
    trained_parameters: int,
    recomputing: bool,
) -> int:
    """Return what a step takes by arithmetic: activations, and what belongs to trained parameters.

    Args:
        stage: Says what is trained.
        batch_size: Samples a step and process.
        half_precision: Whether matrix products take bfloat16.
        trained_parameters: How many parameters are trained.
        recomputing: Whether activations are computed twice.
    """
    sizes = activation_bytes(stage, half_precision=half_precision)
    activations = sizes.recomputed if recomputing else sizes.kept
    return activations * batch_size + _PARAMETER_BYTES * trained_parameters


def decide_recomputation(
    stage: Stage, run: RunOptions, *, trained_parameters: int, device: torch.device
) -> bool:
    """Return whether activations shall be computed twice rather than kept.

    ``--gradient_checkpointing auto`` recomputes where keeping all would not fit the device.

    Args:
        stage: Says what is trained, and the user's choice.
        run: Batch size and precision.
        trained_parameters: How many parameters are trained.
        device: Whose memory counts; elsewhere than on CUDA ``auto`` keeps all.
    """
    choice = stage.options.gradient_checkpointing
    if isinstance(stage.config, MatchingConfig):
        if choice == "on":
            raise UserError(
                "--gradient_checkpointing on: networks with a matcher keep their activations; "
                "choose auto or off, and a smaller --batch_size where memory is short."
            )
        return False
    if choice != "auto":
        return choice == "on"
    if device.type != "cuda":
        return False
    room = _ROOM * torch.cuda.get_device_properties(device).total_memory
    needed = planned_bytes(
        stage,
        batch_size=run.batch_size,
        half_precision=run.half_precision,
        trained_parameters=trained_parameters,
        recomputing=False,
    )
    if needed > room:
        _logger.info(
            "activations would take about %.0f GiB: they are computed twice instead of kept.",
            needed / _GIB,
        )
    return needed > room


def out_of_memory(stage: Stage, run: RunOptions, *, recomputes: bool) -> UserError:
    """Return the error that says which options reduce memory, and by about how much."""
    sizes = activation_bytes(stage, half_precision=run.half_precision)
    used = run.batch_size * (sizes.recomputed if recomputes else sizes.kept) / _GIB
    advice = []
    if sizes.recomputed < sizes.kept and not recomputes:
        less = run.batch_size * (sizes.kept - sizes.recomputed) / _GIB
        advice.append(f"--gradient_checkpointing on needs about {less:.1f} GiB less")
    if run.batch_size > 1:
        less = used * (1 - (run.batch_size // 2) / run.batch_size)
        advice.append(f"--batch_size {run.batch_size // 2} about {less:.1f} GiB less")
    if not run.half_precision:
        half = activation_bytes(stage, half_precision=True)
        less = used - run.batch_size * (half.recomputed if recomputes else half.kept) / _GIB
        advice.append(f"--mixed_precision bf16 about {less:.1f} GiB less")
    return UserError(
        f"the device ran out of memory at --batch_size {run.batch_size}, whose activations alone "
        f"take about {used:.1f} GiB; {', '.join(advice) or 'choose a smaller --preset'}."
    )
