"""Weight files: read without running anything that is in them, checked, and written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.checks import UserError
from core.io.atomic import atomic_path, flush
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


def assign_weights(
    module: nn.Module,
    weights: Mapping[str, Tensor],
    source: str | Path,
    *,
    stored_name: Callable[[str], str] = str,
    hint: str = "Is it the checkpoint of another configuration?",
    assign: bool = False,
) -> None:
    """Copy ``weights`` into ``module``, complete and strict; types are converted.

    Args:
        module: Receives the weights.
        weights: A tensor for each entry of the module's state dict.
        source: Where the weights come from, for the message of an error.
        stored_name: Returns the name in ``weights`` of an entry of the state dict.
        hint: What the message ends with.
        assign: Make the tensors themselves the module's, which may be on the meta device.

    Raises:
        UserError: If a tensor is missing, extra or of another shape; all are counted, and the first
            twenty of each kind named as in ``weights``.
    """
    names = {name: stored_name(name) for name in module.state_dict()}
    expected = {names[name]: value.shape for name, value in module.state_dict().items()}
    found = {
        "missing": [name for name in expected if name not in weights],
        "unexpected": [name for name in weights if name not in expected],
        "of the wrong shape": [
            f"{name} {tuple(value.shape)} instead of {tuple(expected[name])}"
            for name, value in weights.items()
            if value.shape != expected.get(name, value.shape)
        ],
    }
    problems = [f"{len(some)} {what}: {_listing(some)}" for what, some in found.items() if some]
    if problems:
        raise UserError(
            f"{source} does not fit the network ({len(names)} tensors): {'; '.join(problems)}. "
            f"{hint}"
        )
    module.load_state_dict({name: weights[names[name]] for name in names}, assign=assign)


def write_safetensors(module: nn.Module, path: Path, *, dtype: torch.dtype = torch.float32) -> None:
    """Write a module's state dict; the file appears whole or not at all, flushed to the disk.

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


def _listing(names: list[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more
