"""Checking and writing weights; core.io.checkpoints reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from core.checks import UserError
from core.io.atomic import atomic_path

_LISTED = 20


def assign_weights(module: nn.Module, weights: Mapping[str, Tensor], source: str) -> None:
    """Copy ``weights`` into ``module``, complete and strict; types are converted.

    Args:
        module: Receives the weights.
        weights: A tensor for each entry of the module's state dict.
        source: Where the weights come from, for the message of an error.

    Raises:
        UserError: If a key is missing, extra or of another shape; all of them are named.
    """
    own = module.state_dict()
    missing = [key for key in own if key not in weights]
    extra = [key for key in weights if key not in own]
    misshapen = [
        f"{key} {tuple(value.shape)} instead of {tuple(own[key].shape)}"
        for key, value in weights.items()
        if key in own and value.shape != own[key].shape
    ]
    found = (("missing", missing), ("unexpected", extra), ("of the wrong shape", misshapen))
    problems = [f"{len(keys)} {what}: {_listing(keys)}" for what, keys in found if keys]
    if problems:
        raise UserError(
            f"{source} does not fit the network ({len(own)} tensors): {'; '.join(problems)}. "
            "Is it the checkpoint of another configuration?"
        )
    module.load_state_dict(weights)


def _listing(keys: list[str]) -> str:
    more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
    return ", ".join(keys[:_LISTED]) + more


def write_safetensors(module: nn.Module, path: Path, *, dtype: torch.dtype = torch.float32) -> None:
    """Write a module's state dict, beside first and then into place.

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
        save_file(tensors, partial, metadata={"format": "pt"})
