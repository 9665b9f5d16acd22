"""The published checkpoint, ``streamsplat.safetensors``, and its names of our weights."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from core.checks import UserError
from core.io.weights import assign_weights
from core.models.transformer.network import StreamSplat

PUBLISHED_FILE = "streamsplat.safetensors"
_COORDINATES = ("pe", "x_map", "z_map")
"""Buffers that hold position encodings and pixel centres."""
_COORDINATE_TOLERANCE = 1e-3
"""More than rounding of float16 and of large angles; half a pitch of the Gaussian grid is 4e-3."""

_ENCODER = "model.gs_predictor.encoder.transformer_encoder."
_DECODER = "model.decoder.transformer_decoder."
_RENAMES: tuple[tuple[str, str], ...] = (
    # Where a part sits.
    (r"^static\.encoder\.blocks\.", _ENCODER + "transformer.resblocks."),
    (r"^static\.encoder\.patch_embedding\.", _ENCODER + "conv."),
    (r"^static\.encoder\.", _ENCODER),
    (r"^static\.upsampler\.", "model.gs_predictor.gaussian_upsampler."),
    (r"^static\.heads\.([xz]_map)$", r"model.gs_predictor.predictor.\1"),
    (r"^static\.heads\.", "model.gs_predictor.predictor.gs_layer."),
    (r"^dynamic\.condition\.projection\.", _DECODER + "condition_proj."),
    (r"^dynamic\.condition\.norm\.", _DECODER + "condition_ln."),
    (r"^dynamic\.condition\.", _DECODER),
    (r"^dynamic\.decoder\.blocks\.", _DECODER + "transformer.resblocks."),
    (r"^dynamic\.decoder\.frame_embedding$", _DECODER + "cls_embedding"),
    (r"^dynamic\.decoder\.", _DECODER),
    (r"^dynamic\.upsampler\.", "model.gaussian_upsampler."),
    (r"^dynamic\.static_projection\.", "model.encoder_proj."),
    (r"^dynamic\.heads\.motion_reach$", "model.gs_dynamic_predictor.dynamic_scalar"),
    (r"^dynamic\.heads\.", "model.gs_dynamic_predictor.gs_layer."),
    # Around the blocks.
    (r"\.levels\.(\d+)\.blocks\.", r".attention_\1.resblocks."),
    (r"\.levels\.(\d+)\.expand\.", r".upsampler_\1.residual_fc."),
    (r"(_upsampler)\.norm\.", r"\1.layernorm2."),
    (r"\.norm_in\.", ".layernorm1."),
    (r"\.norm_out\.", ".layernorm2."),
    # Inside a block of the decoder, and of the encoder or the upsamplers.
    (r"\.(self|cross)_attention\.", r".\1_attn."),
    (r"\.(self|cross)_norm\.", r".\1_attn_ln."),
    (r"(_decoder\..*)\.mlp_norm\.", r"\1.mlp_ln."),
    (r"\.attention\.", ".attn."),
    (r"\.attention_norm\.", ".layernorm1."),
    (r"\.mlp_norm\.", ".layernorm2."),
    (r"\.qkv\.", ".packed_proj."),
    (r"\.out\.", ".out_proj."),
    (r"\.up\.", ".c_fc."),
    (r"\.down\.", ".c_proj."),
    # Heads; the published MLPs count what lies between their Linear layers otherwise.
    (r"\.color\.", ".rgb."),
    (r"\.position\.mean\.", ".xyz_static."),
    (r"\.motion\.log_scale\.", ".xyz_dynamic_scale."),
    (r"\.motion\.mean\.", ".xyz_dynamic."),
    (r"\.opacity_window\.", ".opacity_dynamic."),
    (r"_dynamic\.0\.", "_dynamic.layers.1."),
    (r"_dynamic\.2\.", "_dynamic.layers.4."),
    (r"_dynamic\.4\.", "_dynamic.layers.7."),
)
"""Pairs of a regular expression and its replacement, each applied to what the one before left."""


def published_name(name: str) -> str:
    """Return what the published checkpoint calls an entry of our state dict."""
    for pattern, replacement in _RENAMES:
        name = re.sub(pattern, replacement, name)
    return name


def is_published_naming(names: Iterable[str]) -> bool:
    """Return whether names are those of the published checkpoint."""
    return any(name.startswith("model.") for name in names)


def assign_published_weights(
    model: StreamSplat, tensors: Mapping[str, Tensor], source: str
) -> None:
    """Copy the tensors of the published checkpoint into a network, complete and strict.

    Args:
        model: A network of the ``full`` preset.
        tensors: All tensors of the file.
        source: The file, for the message of an error.

    Raises:
        UserError: If a tensor is missing, extra or misshapen, or if coordinates are not those that
            the network computes. Messages give the published names.
    """
    for name, computed in model.named_buffers():
        stored = tensors.get(published_name(name))
        if stored is None or stored.shape != computed.shape or not stored.is_floating_point():
            continue  # which is reported below
        if name.rpartition(".")[2] in _COORDINATES:
            _check_coordinates(published_name(name), stored, computed, source)
    assign_weights(model, tensors, source, stored_name=published_name)


def _check_coordinates(name: str, stored: Tensor, computed: Tensor, source: str) -> None:
    difference = (stored.double() - computed.to(stored.device).double()).abs().max().item()
    tolerance = max(_COORDINATE_TOLERANCE, torch.finfo(stored.dtype).eps)
    if not difference <= tolerance:
        raise UserError(
            f"{source}: {name} differs from what this network computes, by up to {difference:.2g}; "
            "is it the checkpoint of another image size, or of another version?"
        )
