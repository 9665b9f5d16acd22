"""The network as it is trained: built, loaded, compiled, with its optimiser; and LPIPS."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from accelerate import Accelerator
from torch import nn

from core.checks import UserError
from core.devices import has_c_compiler
from core.logging import get_logger
from core.metrics.lpips import Lpips, load_lpips
from core.models.blocks import ConditionedBlock, TransformerBlock, set_gradient_checkpointing
from core.models.transformer.dynamic_model import DynamicModel
from core.models.transformer.heads import StaticHeads
from core.models.transformer.network import StreamSplat
from core.models.transformer.upsampler import Upsampler, UpsamplerLevel
from core.training.compute.memory import decide_recomputation
from core.training.compute.optimizer import build_optimizer
from core.training.compute.options import OptimizerOptions
from core.training.distributed.agreement import in_each_process
from core.training.options import RunOptions
from core.training.stages.options import StageOptions
from core.training.stages.stage import Stage
from core.training.workspace.checkpoints import restore

_COMPILED_METHODS = (
    (UpsamplerLevel, "enlarge"),
    (DynamicModel, "decode_features"),
    (StreamSplat, "dino_condition"),
)
_logger = get_logger(__name__)


@dataclass(frozen=True)
class TrainedNetwork:
    """A network and what its steps need, on the device."""

    model: nn.Module
    """The network, as the accelerator prepared it."""
    optimizer: torch.optim.Optimizer
    """Its fused optimiser."""
    perceptual: Lpips | None
    """LPIPS, where it is needed or at hand."""
    recomputes: bool
    """Whether activations are computed twice rather than kept."""


def build_network(
    accelerator: Accelerator,
    stage: Stage,
    run: RunOptions,
    options: OptimizerOptions,
    *,
    perceptual: Lpips | None,
    checkpoint: Path | None = None,
) -> TrainedNetwork:
    """Build network and optimiser, and load what a checkpoint holds; all processes call this.

    Args:
        accelerator: Knows the device and the other processes.
        stage: Builds the network.
        run: Seed, batch size, precision and compilation.
        options: Of the optimiser.
        perceptual: LPIPS, still on the CPU.
        checkpoint: A whole checkpoint to resume from; None starts from the initial weights.

    Raises:
        UserError: If weights that are needed are missing or do not fit.
    """
    device = accelerator.device
    torch.manual_seed(run.seed)
    model = in_each_process(
        accelerator, lambda: stage.build_model(initial_weights=checkpoint is None)
    ).to(device)
    optimizer = build_optimizer(model, options)
    if checkpoint is not None:
        restore(checkpoint, model, optimizer)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    recomputes = decide_recomputation(stage, run, trained_parameters=trained, device=device)
    set_gradient_checkpointing(model, recomputes)
    compiled = compile_blocks(model, run.compile, device)
    if perceptual is not None:
        perceptual = perceptual.to(device)
        if compiled:
            perceptual.compile(dynamic=False)
    with warnings.catch_warnings():
        # Accelerate passes an argument whose name newer versions of PyTorch have replaced.
        warnings.simplefilter("ignore", FutureWarning)
        prepared = accelerator.prepare(model)
    assert isinstance(prepared, nn.Module)
    return TrainedNetwork(prepared, optimizer, perceptual, recomputes)


def compile_blocks(
    model: nn.Module, choice: Literal["auto", "on", "off"], device: torch.device
) -> bool:
    """Have ``torch.compile`` fuse what lies between the matrix products of a network's parts.

    Parts rather than the network: blocks of one width share one compiled form, which is made in
    seconds, and where sequences are rolled or activations are recomputed nothing would be gained.
    Names of weights stay as they are.

    Args:
        model: Changed in place.
        choice: ``"auto"`` compiles on CUDA where a C compiler is found, and warns where none is.
        device: Where the network is.

    Returns:
        Whether blocks are compiled.

    Raises:
        UserError: If ``choice`` is ``"on"`` and there is no C compiler.
    """
    if choice == "off" or (choice == "auto" and device.type != "cuda"):
        return False
    if not has_c_compiler():
        if choice == "on":
            raise UserError("--compile on needs a C compiler; install gcc, or give --compile off.")
        _logger.warning("no C compiler is found: nothing is compiled, steps take longer.")
        return False
    for module in model.modules():
        if isinstance(module, (TransformerBlock, ConditionedBlock, StaticHeads)):
            module.compile(dynamic=False)
        elif isinstance(module, Upsampler):
            module.norm.compile(dynamic=False)
        for kind, method in _COMPILED_METHODS:
            if isinstance(module, kind):
                setattr(module, method, torch.compile(getattr(module, method), dynamic=False))
    return True


def open_perceptual(options: StageOptions, epochs: int) -> Lpips | None:
    """Load LPIPS, for the loss or, where its backbone's weights happen to be there, validation.

    Args:
        options: Weight and first epoch of the perceptual loss, and the backbone's weights.
        epochs: Epochs of the run.

    Raises:
        UserError: If the run comes to epochs with a perceptual loss, and the weights are missing or
            of something else.
    """
    path = options.lpips_backbone_path
    needed = options.lambda_lpips > 0 and epochs > options.lpips_from_epoch
    if not needed and not path.is_file():
        return None
    try:
        return load_lpips(path)
    except UserError as error:
        if not needed:
            _logger.warning("%s Validation goes without LPIPS.", error)
            return None
        raise UserError(
            f"--lpips_backbone_path {error} The perceptual loss begins in epoch "
            f"{options.lpips_from_epoch} of {epochs}; --lambda_lpips 0 does without it."
        ) from error
