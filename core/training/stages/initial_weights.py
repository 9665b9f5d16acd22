"""Weights from which training starts."""

from __future__ import annotations

from pathlib import Path

from core.checks import UserError
from core.io.checkpoints import read_keys, read_tensors
from core.models.hub import HubModel
from core.models.published import is_published_naming, load_published_checkpoint
from core.models.streamsplat import StreamSplat
from core.models.weights import assign_weights

WEIGHTS_FILE = "model.safetensors"


def load_initial_weights(model: HubModel, path: Path | None) -> None:
    """Load the weights of an earlier run of the same stage, or the published ones.

    Args:
        model: Receives the weights.
        path: A ``.safetensors`` file, or a folder with ``model.safetensors``; ``None`` leaves the
            model as it is.

    Raises:
        UserError: If there are no weights, or those of another stage or configuration.
    """
    if path is None:
        return
    file = path / WEIGHTS_FILE if path.is_dir() else path
    if not file.is_file() or file.suffix != ".safetensors":
        raise UserError(
            f"--init_from {path}: expected a .safetensors file, or a folder with {WEIGHTS_FILE}."
        )
    keys = read_keys(file)
    published = is_published_naming(keys)
    whole = published or any(key.startswith("static.") for key in keys)
    if whole and not isinstance(model, StreamSplat):
        raise UserError(
            f"--init_from {path} holds a whole network; it is for stage 2 (train_decoder.py)."
        )
    if isinstance(model, StreamSplat) and not whole:
        raise UserError(
            f"--init_from {path} holds no whole network; stage 2 starts from the result of stage 1 "
            "by --encoder_path."
        )
    if isinstance(model, StreamSplat) and published:
        load_published_checkpoint(model, file)
    else:
        assign_weights(model, read_tensors(file), str(file))
