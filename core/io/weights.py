"""Weight files: read without running anything that is in them, checked, and written."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from core.checks import UserError
from core.io.atomic import atomic_path, flush
from core.io.plain_tensors import load_plain

WRONG_CONFIGURATION = "Is it the checkpoint of another configuration?"
_LISTED = 5
_LONGEST_NAME = 120
_WRAPPERS = re.compile(r"^(?:module\.|_orig_mod\.)+|(?<=\.)_orig_mod\.")
"""What data-parallel wrappers and torch.compile put into the names of a module's entries."""
T = TypeVar("T")


def read_shapes(path: str | Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a ``.safetensors`` file's tensors by name, without reading those.

    Raises:
        UserError: If the file is damaged.
    """
    try:
        with safe_open(path, framework="pt") as file:
            shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"cannot read the weight file {path}: it is cut short or damaged; download it again."
        ) from error
    return _without_wrappers(shapes, path)


def read_tensors(path: str | Path) -> dict[str, Tensor]:
    """Read the named tensors of a weight file onto the CPU.

    Names lose what ``torch.compile`` and data-parallel wrappers add to them.

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
            return _without_wrappers(load_file(path), path)
        state = load_plain(path, mapped=False)
    except (SafetensorError, OSError, ValueError) as error:
        raise UserError(
            f"cannot read the weight file {path}: it is cut short, damaged, or holds more than "
            "tensors; download it again."
        ) from error
    if not isinstance(state, dict) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise UserError(f"{path} does not hold a plain dictionary of tensors; is it a weight file?")
    return _without_wrappers(state, path)


def _without_wrappers(entries: Mapping[str, T], path: str | Path) -> dict[str, T]:
    """Rename entries of wrapped modules to those of the modules themselves."""
    plain: dict[str, T] = {}
    for stored, value in entries.items():
        name = _WRAPPERS.sub("", stored)
        if name in plain:
            raise UserError(f"{path}: two entries stand for {name}, one of them {stored}.")
        plain[name] = value
    return plain


def assign_weights(
    module: nn.Module,
    weights: Mapping[str, Tensor],
    source: str | Path,
    *,
    stored_name: Callable[[str], str] = str,
    hint: str = WRONG_CONFIGURATION,
    assign: bool = False,
) -> None:
    """Copy ``weights`` into ``module``, complete and strict; float types are converted.

    Args:
        module: Receives the weights.
        weights: A tensor for each entry of the module's state dict.
        source: Where the weights come from, for the message of an error.
        stored_name: Returns the name in ``weights`` of an entry of the state dict.
        hint: What the message ends with.
        assign: Make the tensors themselves the module's, which may be on the meta device.

    Raises:
        UserError: As :func:`check_shapes`, or if a tensor is of another kind of number, or holds
            NaN or infinity.
    """
    shapes = {name: tuple(value.shape) for name, value in weights.items()}
    check_shapes(module, shapes, source, stored_name=stored_name, hint=hint)
    named = {name: weights[stored_name(name)] for name in module.state_dict()}
    for name, expected in module.state_dict().items():
        value = named[name]
        if value.is_floating_point() != expected.is_floating_point() or value.is_complex():
            raise UserError(f"{source}: {stored_name(name)} is of type {value.dtype}. {hint}")
        if value.is_floating_point() and not _is_finite(value):
            raise UserError(
                f"{source}: {stored_name(name)} holds values that are not finite; the file is "
                "damaged or its training failed, take another."
            )
    module.load_state_dict(named, assign=assign)


def check_shapes(
    module: nn.Module,
    shapes: Mapping[str, tuple[int, ...]],
    source: str | Path,
    *,
    stored_name: Callable[[str], str] = str,
    hint: str = WRONG_CONFIGURATION,
) -> None:
    """Check that stored tensors are those of ``module``, which may be on the meta device.

    Args:
        module: Would receive the weights.
        shapes: The stored tensors.
        source: See :func:`assign_weights`, as for the others.
        stored_name: Returns the name in ``shapes`` of an entry of the state dict.
        hint: What the message ends with.

    Raises:
        UserError: If a tensor is missing, extra or of another shape; all are counted, and some of
            each kind are named as in ``shapes``.
    """
    expected = {
        stored_name(name): tuple(value.shape) for name, value in module.state_dict().items()
    }
    found = {
        "missing": [name for name in expected if name not in shapes],
        "unexpected": [name for name in shapes if name not in expected],
        "of the wrong shape": [
            f"{_shortened(name)} {shape} instead of {expected[name]}"
            for name, shape in shapes.items()
            if shape != expected.get(name, shape)
        ],
    }
    problems = [f"{len(some)} {what}: {_listing(some)}" for what, some in found.items() if some]
    if problems:
        raise UserError(
            f"{source} does not fit the network ({len(expected)} tensors): {'; '.join(problems)}. "
            f"{hint}"
        )


def _is_finite(value: Tensor) -> bool:
    if value.is_meta:
        return True
    value = value if value.dtype in (torch.float32, torch.float64) else value.float()
    # The sum needs no second tensor; where it overflows, every value is looked at.
    return bool(torch.isfinite(value.sum())) or bool(torch.isfinite(value).all())


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
    return ", ".join(_shortened(name) for name in names[:_LISTED]) + more


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}..."
