"""The published checkpoint's names for the weights of the full network."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from core.checks import UserError
from core.io.checkpoints import read_tensors
from core.models.streamsplat import StreamSplat
from core.models.weights import assign_weights

PUBLISHED_FILE = "streamsplat.safetensors"

KEY_MAP: tuple[tuple[str, str], ...] = (
    # Left by torch.compile, wherever a compiled module sat.
    (r"_orig_mod\.", ""),
    # Where a part sits.
    (r"^model\.gs_predictor\.encoder\.transformer_encoder\.", "static.encoder."),
    (r"^model\.gs_predictor\.gaussian_upsampler\.", "static.upsampler."),
    (r"^model\.gs_predictor\.predictor\.(gs_layer\.)?", "static.heads."),
    (r"^model\.decoder\.transformer_decoder\.condition_proj\.", "dynamic.condition.projection."),
    (r"^model\.decoder\.transformer_decoder\.condition_ln\.", "dynamic.condition.norm."),
    (
        r"^model\.decoder\.transformer_decoder\.positional_encoding\.",
        "dynamic.condition.positional_encoding.",
    ),
    (r"^model\.decoder\.transformer_decoder\.", "dynamic.decoder."),
    (r"^model\.gaussian_upsampler\.", "dynamic.upsampler."),
    (r"^model\.encoder_proj\.", "dynamic.static_projection."),
    (r"^model\.gs_dynamic_predictor\.(gs_layer\.)?", "dynamic.heads."),
    # Inside a block of the encoder or the upsamplers, and of the decoder.
    (r"resblocks\.(\d+)\.layernorm1\.", r"resblocks.\1.attention_norm."),
    (r"resblocks\.(\d+)\.layernorm2\.", r"resblocks.\1.mlp_norm."),
    (r"\.attn\.", ".attention."),
    (r"\.(self|cross)_attn\.", r".\1_attention."),
    (r"\.(self|cross)_attn_ln\.", r".\1_norm."),
    (r"\.mlp_ln\.", ".mlp_norm."),
    (r"\.packed_proj\.", ".qkv."),
    (r"\.out_proj\.", ".out."),
    (r"\.c_fc\.", ".up."),
    (r"\.c_proj\.", ".down."),
    # Around the blocks.
    (r"\.transformer\.resblocks\.", ".blocks."),
    (r"\.attention_(\d+)\.resblocks\.", r".levels.\1.blocks."),
    (r"\.upsampler_(\d+)\.residual_fc\.", r".levels.\1.expand."),
    (r"^static\.encoder\.conv\.", "static.encoder.patch_embedding."),
    (r"\.upsampler\.layernorm2\.", ".upsampler.norm."),
    (r"\.(encoder|decoder)\.layernorm1\.", r".\1.norm_in."),
    (r"\.(encoder|decoder)\.layernorm2\.", r".\1.norm_out."),
    (r"\.cls_embedding$", ".frame_embedding"),
    # Heads; the published MLPs count what lies between their Linear layers otherwise.
    (r"\.heads\.rgb\.", ".heads.color."),
    (r"\.heads\.xyz_static\.", ".heads.position.mean."),
    (r"\.heads\.dynamic_scalar$", ".heads.motion_reach"),
    (r"\.heads\.xyz_dynamic_scale\.", ".heads.motion.log_scale."),
    (r"\.heads\.xyz_dynamic\.", ".heads.motion.mean."),
    (r"\.heads\.opacity_dynamic\.", ".heads.opacity_window."),
    (r"\.layers\.1\.", ".0."),
    (r"\.layers\.4\.", ".2."),
    (r"\.layers\.7\.", ".4."),
)
"""Pairs of a regular expression and its replacement, each applied to what the one before left."""


def translate_key(published: str) -> str:
    """Return our name of a weight of the published checkpoint."""
    key = published
    for pattern, replacement in KEY_MAP:
        key = re.sub(pattern, replacement, key)
    return key


def is_published_naming(keys: Iterable[str]) -> bool:
    """Tell the published naming from ours."""
    return any(key.removeprefix("_orig_mod.").startswith("model.") for key in keys)


def load_published_checkpoint(model: StreamSplat, path: str | Path) -> None:
    """Load ``streamsplat.safetensors``, complete and strict.

    Args:
        model: A network of the ``full`` preset.
        path: The file; keys may carry the ``_orig_mod.`` of a compiled model.

    Raises:
        UserError: If the file is missing or broken, or a key is missing, extra or misshapen.
    """
    path = Path(path)
    weights = {}
    for published, value in read_tensors(path).items():
        key = translate_key(published)
        if key in weights:
            raise UserError(f"{path}: two entries stand for {key}, one of them {published}.")
        weights[key] = value
    assign_weights(model, weights, str(path))
