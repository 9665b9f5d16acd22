"""Networks in files: weights of ours, the published checkpoint, repositories of the hub."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.constants import CONFIG_NAME, SAFETENSORS_SINGLE_FILE

from core.checks import UserError
from core.io.atomic import atomic_path
from core.io.hub import CARD, download, is_repository_id, upload
from core.io.weights import (
    WRONG_CONFIGURATION,
    assign_weights,
    check_shapes,
    read_shapes,
    read_tensors,
    write_safetensors,
)
from core.models.config import ModelConfig, read_config, write_config
from core.models.factory import StaticNetwork, build_model, outline_model
from core.models.matching.config import MatchingConfig
from core.models.matching.network import StaticMatchingModel
from core.models.network import Network
from core.models.transformer.config import StreamSplatConfig
from core.models.transformer.dino import DINO_FILE, load_dino
from core.models.transformer.network import StreamSplat
from core.models.transformer.published import (
    PUBLISHED_FILE,
    assign_published_weights,
    is_published_naming,
)
from core.models.transformer.static_model import StaticModel

CHECKPOINTS = Path("checkpoints")
"""Where weights of other projects are looked for."""
_WEIGHT_SUFFIXES = (".safetensors", ".pth", ".pt")


def files_of_model(reference: str | Path) -> list[Path]:
    """Return the files of a network on this computer, whether they are there or not."""
    path = Path(reference)
    return [path / CONFIG_NAME, path / SAFETENSORS_SINGLE_FILE] if path.is_dir() else [path]


def load_model(reference: str | Path, *, dinov2_path: str | Path | None = None) -> Network:
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
    config_path, weights_path = _find(reference)
    shapes = read_shapes(weights_path)
    if config_path is None:
        if not is_published_naming(shapes):
            raise UserError(
                f"{weights_path} is not the published checkpoint, and no {CONFIG_NAME} lies beside "
                f"it that describes another network; expected {PUBLISHED_FILE}, or both files of a "
                "network."
            )
        config = StreamSplatConfig()
    else:
        if is_published_naming(shapes):
            raise UserError(
                f"{weights_path} is the published checkpoint, which goes without the {CONFIG_NAME} "
                "beside it; move it into a folder of its own."
            )
        _expect_whole_network(shapes, weights_path)
        config = read_config(_read_json(config_path), str(config_path))
        _compare(config, shapes, weights_path)
    model = build_model(config)
    load_weights(model, weights_path)
    model.eval()
    if dinov2_path is None and config.use_dino and (CHECKPOINTS / DINO_FILE).is_file():
        dinov2_path = CHECKPOINTS / DINO_FILE
    if dinov2_path is not None:
        load_dinov2(model, dinov2_path)
    return model


def weights_file(reference: str | Path) -> Path:
    """Return the file whose weights :func:`load_model` loads.

    Raises:
        UserError: If nothing is there, or it is something else.
    """
    return _find(reference)[1]


def load_weights(model: Network | StaticNetwork, path: str | Path) -> None:
    """Load weights of a network of the same kind and configuration.

    Args:
        model: Receives the weights.
        path: ``model.safetensors``, or the folder that holds it; for a whole network also the
            published checkpoint.

    Raises:
        UserError: If the file is missing or broken, or of another network.
    """
    path = _weights_in(path)
    weights = read_tensors(path)
    if isinstance(model, (StaticModel, StaticMatchingModel)):
        _expect_static_network(weights, path)
    elif is_published_naming(weights) and isinstance(model, StreamSplat):
        assign_published_weights(model, weights, str(path))
        return
    else:
        _expect_whole_network(weights, path)
    assign_weights(model, weights, str(path))


def load_static_weights(model: Network, path: str | Path) -> None:
    """Load the result of stage 1 into the static part of a whole network and freeze it there.

    The log-scales of stage 1's random positions are left out: positions are deterministic now.

    Args:
        model: Receives the weights in ``model.static``.
        path: Stage 1's ``model.safetensors``, or the folder that holds it.

    Raises:
        UserError: If the file is missing or broken, or of another configuration.
    """
    path = _weights_in(path)
    weights = read_tensors(path)
    _expect_static_network(weights, path)
    weights = {k: v for k, v in weights.items() if not k.startswith("heads.position.log_scale.")}
    assign_weights(model.get_submodule("static"), weights, str(path))
    model.freeze_static()


def load_dinov2(model: Network, path: str | Path) -> None:
    """Attach the published DINOv2 weights to a network that is conditioned on them.

    Args:
        model: A network with ``use_dino``; the weights follow it to its device.
        path: ``dinov2_vitb14_reg4_pretrain.pth``.

    Raises:
        UserError: If the network has no use for them, or the file is missing or something else.
    """
    if not isinstance(model, StreamSplat) or model.dino is None:
        raise UserError(f"{path}: this network has use_dino = false and takes no DINOv2 weights.")
    vit = load_dino(path, model.dino.image_size)
    model.dino.attach(vit.to(next(model.parameters()).device))


def save_model(
    model: Network | StaticNetwork, folder: str | Path, *, dtype: torch.dtype = torch.float32
) -> None:
    """Write ``config.json`` and ``model.safetensors``.

    Args:
        model: A network of stage 1 or a whole one.
        folder: Made if it is not there.
        dtype: Type of the stored parameters; ``torch.float16`` halves the file, and is loaded to
            float32 again.
    """
    config = model.config
    assert isinstance(config, (StreamSplatConfig, MatchingConfig))
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(model, folder / SAFETENSORS_SINGLE_FILE, dtype=dtype)
    with atomic_path(folder / CONFIG_NAME) as partial:
        partial.write_text(json.dumps(write_config(config), indent=2) + "\n", encoding="utf-8")


def push_model(folder: str | Path, repository: str, *, private: bool = False) -> str:
    """Put a network into a repository of the Hugging Face hub, from where ``load_model`` takes it.

    Args:
        folder: What :func:`save_model` wrote; a README.md in it becomes the model's card, which
            may show pictures (.jpg) beside it.
        repository: Its id, owner/name; it is made if it is not there.
        private: Whether a repository that is made is hidden from others.

    Returns:
        The address of the repository.

    Raises:
        UserError: If the folder holds no whole network, or the hub does not take it.
    """
    folder = Path(folder)
    load_model(folder)
    names = (CONFIG_NAME, SAFETENSORS_SINGLE_FILE, CARD)
    files = {name: folder / name for name in names if (folder / name).is_file()}
    files |= {picture.name: picture for picture in sorted(folder.glob("*.jpg"))}
    card = f"""\
---
library_name: streamsplat
---

# {repository.split("/")[-1]}

A network of StreamSplat: video in, dynamic 3D Gaussians out. `load_model("{repository}")`, or
`python splat_inference.py --resume {repository} --input_frames_path clip.mp4`.
"""
    return upload(repository, files, card, private=private)


def _find(reference: str | Path) -> tuple[Path | None, Path]:
    """Return the paths of a network's configuration, if there is one, and of its weights."""
    path = Path(reference)
    if path.is_dir():
        for name in (CONFIG_NAME, SAFETENSORS_SINGLE_FILE):
            if not (path / name).is_file():
                raise UserError(
                    f"{path} holds no {name}; expected a folder written by save_model. "
                    f"For the published weights give the path of {PUBLISHED_FILE} itself."
                )
        return path / CONFIG_NAME, path / SAFETENSORS_SINGLE_FILE
    if path.is_file():
        if path.suffix != ".safetensors":
            raise UserError(f"{path}: expected a .safetensors file, a folder, or a hub id.")
        config_path = path.parent / CONFIG_NAME
        return config_path if config_path.is_file() else None, path
    return _download(str(reference))


def _download(reference: str) -> tuple[Path, Path]:
    if Path(reference).name == PUBLISHED_FILE:
        raise UserError(
            f"{reference}: no such file; download {PUBLISHED_FILE} from the StreamSplat project "
            "(its model repository on the Hugging Face hub) into the folder checkpoints/."
        )
    if not is_repository_id(reference) or Path(reference).suffix in _WEIGHT_SUFFIXES:
        raise UserError(
            f"{reference}: no such file or folder; expected weights (.safetensors), a folder with "
            "config.json and model.safetensors, or a hub id like owner/name."
        )
    config_path = download(reference, CONFIG_NAME)
    return config_path, download(reference, SAFETENSORS_SINGLE_FILE)


def _weights_in(path: str | Path) -> Path:
    path = Path(path)
    return path / SAFETENSORS_SINGLE_FILE if path.is_dir() else path


def _expect_static_network(names: Iterable[str], path: Path) -> None:
    if is_published_naming(names) or any(name.startswith("static.") for name in names):
        raise UserError(
            f"{path} holds a whole network; expected the static network of stage 1, which train.py "
            "writes."
        )


def _expect_whole_network(names: Iterable[str], path: Path) -> None:
    if any(name.startswith("heads.") for name in names):
        raise UserError(
            f"{path} holds the static network of stage 1; expected a whole network. Train its "
            "decoder first (train_decoder.py --encoder_path)."
        )


def _compare(config: ModelConfig, shapes: Mapping[str, tuple[int, ...]], path: Path) -> None:
    """Check that a file's tensors are those of a configuration, before memory is taken for it.

    Raises:
        UserError: If they are not.
    """
    layers = config.num_layers
    if layers > len(shapes) or config.largest_map > sum(map(math.prod, shapes.values())):
        raise UserError(
            f"{path} does not fit the network: its {len(shapes)} tensors are fewer or smaller than "
            f"{layers} layers for frames of {config.image_width}x{config.image_height} need. "
            f"{WRONG_CONFIGURATION}"
        )
    check_shapes(outline_model(config), shapes, path)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except RecursionError as error:
        raise UserError(f"{path}: expected a JSON object of model options.") from error
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is not readable JSON ({error}).") from error
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a JSON object of model options.")
    return values
