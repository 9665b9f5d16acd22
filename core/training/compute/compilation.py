"""Compiled transformer blocks."""

from __future__ import annotations

from typing import Literal

import torch
from torch import nn

from core.checks import UserError
from core.devices import has_c_compiler
from core.logging import get_logger
from core.models.transformer import ConditionedBlock, TransformerBlock

_logger = get_logger(__name__)


def compile_blocks(
    model: nn.Module, choice: Literal["auto", "on", "off"], device: torch.device
) -> bool:
    """Have ``torch.compile`` fuse what lies between the matrix products of each block.

    Blocks rather than the network: those of one width share one compiled form, which is made in
    seconds, and around them, where sequences are cut into windows or activations are recomputed,
    nothing would be gained. Names of weights stay as they are.

    Args:
        model: Changed in place.
        choice: ``"auto"`` compiles on CUDA where a C compiler is found, and says where none is.
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
        if isinstance(module, (TransformerBlock, ConditionedBlock)):
            module.compile(dynamic=False)
    return True
