"""The published weights of Depth Anything V2: where they are, and how they are named."""

from __future__ import annotations

import re
from pathlib import Path

import torch
from torch import Tensor

from core.checks import UserError
from core.depth.config import CONFIGS, DepthAnythingConfig, Encoder
from core.depth.depth_anything import DepthAnythingV2
from core.io.weights import assign_weights, read_tensors
from core.logging import get_logger, warn_once

PROJECT_URL = "https://github.com/DepthAnything/Depth-Anything-V2"
_SUFFIXES = (".pth", ".safetensors")
_logger = get_logger(__name__)

# Parts of the names here, and of those in the published files, which count layers from 1.
_RENAMES = (
    ("backbone.vit.", "pretrained."),
    ("head.projections.", "depth_head.projects."),
    ("head.resamplers.", "depth_head.resize_layers."),
    *((f"head.adapters.{i}.", f"depth_head.scratch.layer{i + 1}_rn.") for i in range(4)),
    *((f"head.fusions.{i}.", f"depth_head.scratch.refinenet{i + 1}.") for i in range(4)),
    (".layer_unit.", ".resConfUnit1."),
    (".merged_unit.", ".resConfUnit2."),
    (".projection.", ".out_conv."),
    ("head.narrow.", "depth_head.scratch.output_conv1."),
    ("head.predict.", "depth_head.scratch.output_conv2."),
)
_GATED_RENAMES = ((".mlp.fc1.", ".mlp.w12."), (".mlp.fc2.", ".mlp.w3."))
# Stored, but used by no forward pass: masked training, and a unit for a path that the deepest
# fusion does not have.
_UNUSED = re.compile(r"^(pretrained\.mask_token$|depth_head\.scratch\.refinenet4\.resConfUnit1\.)")


def weights_file(encoder: Encoder) -> str:
    """Return the name under which the weights of ``encoder`` are published."""
    return f"depth_anything_v2_{encoder}.pth"


def how_to_get_weights(folder: str | Path, encoder: Encoder = "vits") -> str:
    """Return one sentence that says which file to put where."""
    return (
        f"put {weights_file(encoder)} from the Depth Anything V2 project ({PROJECT_URL}) "
        f"into {folder}/"
    )


def find_depth_weights(
    folder: str | Path = "checkpoints", encoder: Encoder | None = None
) -> Path | None:
    """Look for published weights, under their published names, as .pth or .safetensors.

    Args:
        folder: Where to look.
        encoder: The size that is wanted; None takes what is there, vits first: the one whose
            licence (Apache-2.0) allows every use, the larger ones are CC-BY-NC-4.0.

    Returns:
        The file, or None if there is none; :func:`how_to_get_weights` says how to mend that.
    """
    for size in CONFIGS if encoder is None else (encoder,):
        for suffix in _SUFFIXES:
            path = (Path(folder) / weights_file(size)).with_suffix(suffix)
            if path.is_file():
                return path
    return None


def load_depth_anything(path: str | Path, device: torch.device | str = "cpu") -> DepthAnythingV2:
    """Build the network that a published weight file belongs to, ready for inference.

    The size is read off the file. Only the small one (vits) is licensed under Apache-2.0; the
    larger ones are CC-BY-NC-4.0, for non-commercial use, which is said when one is loaded.

    Args:
        path: A published ``.pth``, or a ``.safetensors`` with the same names.
        device: Where the network shall run.

    Raises:
        UserError: If the file is missing, damaged, or not exactly one of the published networks.
    """
    tensors = read_tensors(path)
    encoder = _encoder_of(tensors, path)
    if encoder != "vits":
        warn_once(
            _logger,
            f"Depth Anything V2 {encoder} is licensed CC-BY-NC-4.0: for non-commercial use only "
            "(vits is Apache-2.0).",
        )
    return load_weights(CONFIGS[encoder], tensors, path).to(device)


def load_weights(
    config: DepthAnythingConfig, tensors: dict[str, Tensor], source: str | Path
) -> DepthAnythingV2:
    """Build a network of ``config`` with the tensors of a file in the published naming.

    Args:
        config: The network's size.
        tensors: All tensors of the file.
        source: The file, for messages.

    Raises:
        UserError: If a tensor is missing, unknown or of another shape; the message lists them.
    """
    weights = {key: t.float() for key, t in tensors.items() if not _UNUSED.match(key)}
    with torch.device("meta"):
        network = DepthAnythingV2(config)

    def published_name(name: str) -> str:
        for ours, published in _RENAMES + (_GATED_RENAMES if config.swiglu else ()):
            name = name.replace(ours, published)
        return name

    assign_weights(
        network,
        weights,
        source,
        stored_name=published_name,
        hint=f"Expected a published Depth Anything V2; {how_to_get_weights('checkpoints')}.",
        assign=True,
    )
    return network.requires_grad_(False).eval()


def _encoder_of(tensors: dict[str, Tensor], path: str | Path) -> Encoder:
    positions = tensors.get("pretrained.pos_embed")
    width = positions.shape[-1:] if positions is not None else None
    for encoder, config in CONFIGS.items():
        if width == (config.embed_dim,):
            return encoder
    first = next(iter(tensors), "no tensor at all")
    raise UserError(
        f"{path} does not hold Depth Anything V2 in its published naming (its first key is "
        f"{first}); {how_to_get_weights('checkpoints')}."
    )
