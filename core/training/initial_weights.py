"""Weights from which training starts."""

from __future__ import annotations

from pathlib import Path

from core.checks import UserError
from core.io.checkpoints import read_tensors
from core.models.hub import HubModel
from core.models.weights import assign_weights

WEIGHTS_FILE = "model.safetensors"


def load_initial_weights(model: HubModel, folder: Path | None) -> None:
    """Load the weights of an earlier run of the same stage; ``None`` leaves the model as it is.

    Raises:
        UserError: If the folder holds no weights, or those of another stage or configuration.
    """
    if folder is None:
        return
    path = folder / WEIGHTS_FILE
    if not path.is_file():
        raise UserError(f"--init_from {folder}: there is no {WEIGHTS_FILE} in it.")
    assign_weights(model, read_tensors(path), str(path))
