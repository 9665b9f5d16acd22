"""Checking and writing weights; core.io.checkpoints reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor, nn

from core.checks import UserError
from core.io.atomic import atomic_path, flush
from core.io.checkpoints import describe_mismatch


def assign_weights(module: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Copy ``weights`` into ``module``, complete and strict; types are converted.

    Args:
        module: Receives the weights.
        weights: A tensor for each entry of the module's state dict.
        source: Where the weights come from, for the message of an error.

    Raises:
        UserError: If a key is missing, extra or of another shape; all are counted, and the first
            twenty of each kind named.
    """
    own = module.state_dict()
    mismatch = describe_mismatch(own, weights)
    if mismatch:
        raise UserError(
            f"{source} does not fit the network ({len(own)} tensors): {mismatch}. "
            "Is it the checkpoint of another configuration?"
        )
    module.load_state_dict(weights)


def write_safetensors(module: nn.Module, path: Path, *, dtype: torch.dtype = torch.float32) -> None:
    """Write a module's state dict, beside first, to the disk, and then into place.

    Args:
        module: Whose weights are written.
        path: The file; its folder is made if it is not there.
        dtype: Type of the stored parameters. Buffers, which hold coordinates, stay as they are.
    """
    parameters = {name for name, _ in module.named_parameters()}
    tensors = {
        name: value.detach().to("cpu", dtype if name in parameters else value.dtype).contiguous()
        for name, value in module.state_dict().items()
    }
    with atomic_path(path) as partial:
        try:
            save_file(tensors, partial, metadata={"format": "pt"})
        except SafetensorError as error:  # of a full disk, for example
            raise OSError(str(error)) from error
        flush(partial)
