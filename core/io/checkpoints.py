"""Weight files, read without running anything that is in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from core.checks import UserError
from core.io.plain_tensors import load_plain

_LISTED = 20


def read_keys(path: str | Path) -> list[str]:
    """Return the names of a ``.safetensors`` file's tensors, without reading those.

    Raises:
        UserError: If the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            return list(file.keys())
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"cannot read the weight file {path}: it is cut short or damaged; download it again."
        ) from error


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read the named tensors of a weight file onto the CPU.

    Args:
        path: A ``.safetensors`` file, or one of ``torch.save`` (``.pth``, ``.pt``, ``.bin``) that
            holds a dictionary of tensors. The latter is read with ``weights_only=True``.

    Raises:
        UserError: If the file does not exist, is damaged, or holds anything but tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"the weight file {path} does not exist.")
    try:
        if path.suffix.lower() == ".safetensors":
            return load_file(path)
        state = load_plain(path, mapped=False)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"cannot read the weight file {path}: it is cut short, damaged, or holds more than "
            "tensors; download it again."
        ) from error
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) for v in state.values()):
        raise UserError(f"{path} does not hold a plain dictionary of tensors; is it a weight file?")
    return state


def describe_mismatch(expected: Mapping[str, Tensor], weights: Mapping[str, Tensor]) -> str:
    """Say in what way weights do not fit a network; empty where they do.

    Args:
        expected: The network's state dict.
        weights: What a file holds, under the network's names.

    Returns:
        Counts and names of the tensors that are missing, unexpected or of the wrong shape.
    """
    misshapen = [
        f"{key} {tuple(value.shape)} instead of {tuple(expected[key].shape)}"
        for key, value in weights.items()
        if key in expected and value.shape != expected[key].shape
    ]
    found = {
        "missing": [key for key in expected if key not in weights],
        "unexpected": [key for key in weights if key not in expected],
        "of the wrong shape": misshapen,
    }
    return "; ".join(
        f"{len(keys)} {what}: {_listing(keys)}" for what, keys in found.items() if keys
    )


def _listing(keys: list[str]) -> str:
    more = f" and {len(keys) - _LISTED} more" if len(keys) > _LISTED else ""
    return ", ".join(keys[:_LISTED]) + more
