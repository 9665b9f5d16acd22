"""How far predicted displacements are from true ones."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

CLOSE_PX = 1 / 3
"""Error up to which a displacement counts as right, pixels."""


@dataclass(frozen=True)
class FlowErrors:
    """Errors of a flow field where the truth is known."""

    epe: float
    """Mean end-point error, pixels; NaN where the truth is known nowhere."""
    within: float
    """Share of pixels whose error is at most ``CLOSE_PX``."""


def flow_errors(
    flow: Float[Tensor, "h w 2"], truth: Float[Tensor, "h w 2"], valid: Bool[Tensor, "h w"]
) -> FlowErrors:
    """Compare displacements in pixels where ``valid``."""
    errors = (flow - truth).norm(dim=-1)[valid].double()
    return FlowErrors(errors.mean().item(), (errors <= CLOSE_PX).double().mean().item())
