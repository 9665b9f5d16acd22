"""LPIPS in a run: from when it is wanted, and what it needs."""

from __future__ import annotations

from core.checks import UserError
from core.logging import get_logger
from core.metrics import Lpips, load_lpips
from core.training.plan import Plan
from core.training.stages.stage import StageOptions

_logger = get_logger(__name__)


def open_perceptual(options: StageOptions, plan: Plan) -> Lpips | None:
    """Load LPIPS, for the loss or, where its backbone's weights happen to be there, validation.

    Raises:
        UserError: If the run comes to epochs with a perceptual loss, and the weights are missing or
            of something else.
    """
    path = options.lpips_backbone_path
    needed = options.lambda_lpips > 0 and plan.epochs > options.lpips_from_epoch
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
            f"{options.lpips_from_epoch} of {plan.epochs}; --lambda_lpips 0 does without it."
        ) from error
