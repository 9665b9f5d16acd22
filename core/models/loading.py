"""From what a user points at to a network that is ready to run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE
from huggingface_hub.errors import HfHubHTTPError
from huggingface_hub.utils import logging as hub_logging

from core.checks import UserError
from core.io.checkpoints import read_keys, read_tensors
from core.models.config import PRESETS, StreamSplatConfig
from core.models.dino import DINO_FILE, load_dino
from core.models.factory import build_model
from core.models.published import PUBLISHED_FILE, is_published_naming, load_published_checkpoint
from core.models.streamsplat import StreamSplat
from core.models.weights import assign_weights

CHECKPOINTS = Path("checkpoints")
"""Where weights of other projects are looked for."""
_HUB_ID = re.compile(r"\w[\w.-]*/[\w.-]+(?<!\.safetensors)(?<!\.pth)(?<!\.pt)")


def load_model(reference: str | Path, *, dinov2_path: str | Path | None = None) -> StreamSplat:
    """Load a whole network for inference, on the CPU, in float32 and evaluation mode.

    Args:
        reference: A folder with ``config.json`` and ``model.safetensors``; a ``.safetensors`` file,
            which is ours where a ``config.json`` lies beside it and the published checkpoint
            otherwise; or the id of a repository on the Hugging Face hub.
        dinov2_path: Weights of DINOv2, for networks that need them; by default
            ``checkpoints/dinov2_vitb14_reg4_pretrain.pth`` if that exists. Without them such a
            network loads, and says what is missing when it first sees a frame.

    Raises:
        UserError: If nothing is there, or it is something else.
    """
    path = Path(reference)
    if path.is_dir():
        model = _load_folder(path)
    elif path.is_file():
        model = _load_file(path)
    else:
        model = _load_from_hub(str(reference))
    model.eval()
    if dinov2_path is None and model.dino is not None and (CHECKPOINTS / DINO_FILE).is_file():
        dinov2_path = CHECKPOINTS / DINO_FILE
    if dinov2_path is not None:
        load_dinov2(model, dinov2_path)
    return model


def load_dinov2(model: StreamSplat, path: str | Path) -> None:
    """Attach the published DINOv2 weights to a network that is conditioned on them.

    Args:
        model: A network with ``use_dino``; the weights follow it to its device.
        path: ``dinov2_vitb14_reg4_pretrain.pth``.

    Raises:
        UserError: If the network has no use for them, or the file is missing or something else.
    """
    if model.dino is None:
        raise UserError(f"{path}: this network has use_dino = false and takes no DINOv2 weights.")
    vit = load_dino(path, model.dino.image_size)
    model.dino.attach(vit.to(next(model.parameters()).device))


def load_static_weights(model: StreamSplat, path: str | Path) -> None:
    """Load the result of stage 1 into the static part of a whole network and freeze it there.

    The log-scales of stage 1's random positions are left out: positions are settled now.

    Args:
        model: Receives the weights in ``model.static``.
        path: Stage 1's ``model.safetensors``, or the folder that holds it.

    Raises:
        UserError: If the file is missing or broken, or of another configuration.
    """
    path = Path(path)
    if path.is_dir():
        path = path / SAFETENSORS_SINGLE_FILE
    weights = read_tensors(path)
    if any(key.startswith("static.") for key in weights):
        raise UserError(
            f"{path} holds a whole network; expected the static network of stage 1, which train.py "
            "writes."
        )
    weights = {k: v for k, v in weights.items() if not k.startswith("heads.position.log_scale.")}
    assign_weights(model.static, weights, str(path))
    model.freeze_static()


def _load_folder(folder: Path) -> StreamSplat:
    for name in (CONFIG_NAME, SAFETENSORS_SINGLE_FILE):
        if not (folder / name).is_file():
            raise UserError(
                f"{folder} holds no {name}; expected a folder written by save_pretrained. "
                f"For the published weights give the path of {PUBLISHED_FILE} itself."
            )
    return _load_ours(folder / CONFIG_NAME, folder / SAFETENSORS_SINGLE_FILE)


def _load_file(path: Path) -> StreamSplat:
    if path.suffix != ".safetensors":
        raise UserError(f"{path}: expected a .safetensors file, a folder, or a hub id.")
    config_path = path.parent / CONFIG_NAME
    if config_path.is_file():
        return _load_ours(config_path, path)
    if not is_published_naming(read_keys(path)):
        raise UserError(
            f"{path} is not the published checkpoint, and no {CONFIG_NAME} lies beside it that "
            f"describes another network; expected {PUBLISHED_FILE}, or both files of a network."
        )
    model = build_model(PRESETS["full"])
    load_published_checkpoint(model, path)
    return model


def _load_ours(config_path: Path, weights_path: Path) -> StreamSplat:
    weights = read_tensors(weights_path)
    if is_published_naming(weights):
        raise UserError(
            f"{weights_path} is the published checkpoint, which goes without the {CONFIG_NAME} "
            "beside it; move it into a folder of its own."
        )
    if any(key.startswith("heads.") for key in weights):
        raise UserError(
            f"{weights_path} holds the static network of stage 1; expected a whole network. "
            "Train its decoder first (stage 2)."
        )
    model = build_model(StreamSplatConfig.from_dict(_read_json(config_path), str(config_path)))
    assign_weights(model, weights, str(weights_path))
    return model


def _load_from_hub(reference: str) -> StreamSplat:
    if Path(reference).name == PUBLISHED_FILE:
        raise UserError(
            f"{reference}: no such file; download {PUBLISHED_FILE} from the StreamSplat project "
            "(its model repository on the Hugging Face hub) into the folder checkpoints/."
        )
    if not _HUB_ID.fullmatch(reference):
        raise UserError(
            f"{reference}: no such file or folder; expected weights (.safetensors), a folder with "
            "config.json and model.safetensors, or a hub id like owner/name."
        )
    verbosity = hub_logging.get_verbosity()
    hub_logging.set_verbosity_error()  # its retries would each be a line
    try:
        files = [hf_hub_download(reference, n) for n in (CONFIG_NAME, SAFETENSORS_SINGLE_FILE)]
    except (HfHubHTTPError, OSError, ValueError) as error:
        reason = str(error).strip().splitlines()
        raise UserError(
            f"{reference}: no such file or folder here, and the Hugging Face hub did not give it "
            f"({type(error).__name__}: {reason[0] if reason else 'no reason given'})."
        ) from error
    finally:
        hub_logging.set_verbosity(verbosity)
    return _load_ours(Path(files[0]), Path(files[1]))


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not readable JSON ({error}).") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a JSON object of model options.")
    return values
