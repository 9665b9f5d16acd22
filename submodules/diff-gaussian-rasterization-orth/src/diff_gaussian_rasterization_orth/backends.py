"""The three implementations: names, availability, selection."""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from diff_gaussian_rasterization_orth.inputs import SceneInputs
from diff_gaussian_rasterization_orth.outputs import Rasterization

NAMES = ("reference", "cpu", "cuda")


class Backend(Protocol):
    """What the module of a backend offers."""

    CHECKS_VALUES: bool
    """Whether it looks for NaN and infinity itself, where that costs less."""

    def unavailable_reason(self) -> str | None:
        """Say in one sentence why it cannot be used on this machine; None where it can."""
        ...

    def rasterize(
        self,
        inputs: SceneInputs,
        image_size: tuple[int, int],
        backgrounds: Float[Tensor, "b t 3"],
        *,
        max_pairs: int | None,
    ) -> Rasterization:
        """Render all scenes at all their times; differentiable in every tensor."""
        ...


def load(name: str) -> Backend:
    """Import a backend by name, and no other."""
    # Statements rather than importlib, which torch.compile cannot trace.
    if name == "reference":
        from diff_gaussian_rasterization_orth import reference as backend
    elif name == "cpu":
        from diff_gaussian_rasterization_orth import cpu as backend
    else:
        from diff_gaussian_rasterization_orth import cuda as backend
    return backend


def available_backends() -> dict[str, str | None]:
    """Return every backend's name with None, or with the reason why it cannot be used here."""
    return {name: load(name).unavailable_reason() for name in NAMES}


def choose(backend: str, device: torch.device) -> Backend:
    """Return the backend to use.

    Args:
        backend: A name, or ``"auto"``: ``cpu`` for CPU tensors, ``cuda`` for CUDA tensors.
        device: Where the tensors are.

    Raises:
        ValueError: For a name that is none of these.
        RuntimeError: If the backend cannot be used here; names the alternatives.
    """
    if backend not in ("auto", *NAMES):
        raise ValueError(
            f"rasterize: backend is {backend!r}; expected one of {', '.join(('auto', *NAMES))}."
        )
    name = backend
    if backend == "auto":
        if device.type not in ("cpu", "cuda"):
            raise ValueError(
                f'rasterize: no backend is made for {device.type} tensors; backend="reference" '
                "runs there, slowly."
            )
        name = device.type
    chosen = load(name)
    if torch.compiler.is_compiling():
        return chosen  # the compiled code raises where something is missing
    reason = chosen.unavailable_reason()
    if reason is not None:
        others = [f'backend="{other}"' for other in NAMES if other != name and _usable(other)]
        raise RuntimeError(
            f'rasterize: backend "{name}" cannot be used: {reason} Here one can ask for '
            f"{' or '.join(others)} (cpu copies CUDA tensors to the host and back)."
        )
    return chosen


def _usable(name: str) -> bool:
    return load(name).unavailable_reason() is None
