"""Files of random weights under the names of published ones: what is computed is the same."""

from __future__ import annotations

from pathlib import Path

import torch
import torchvision

from core.models.transformer.dino import build_dino

_DINO_SIZE = (518, 518)
"""Frames of the published position embedding, 37 patches a side."""


def write_vgg16(path: Path) -> None:
    """Write what LPIPS looks through, as torchvision publishes it, without the classifier."""
    features = torchvision.models.vgg16(weights=None).features
    torch.save(features.state_dict(prefix="features."), path)


def write_dinov2(path: Path) -> None:
    """Write a DINOv2 ViT-B/14 with registers, as its authors publish it."""
    weights = build_dino(_DINO_SIZE).state_dict()
    patches = weights.pop("pos_embed")
    position = torch.cat((torch.zeros_like(patches[:, :1]), patches), dim=1)
    registers = weights.pop("reg_token")
    mask = torch.zeros_like(patches[0, :1])
    torch.save(
        {**weights, "register_tokens": registers, "pos_embed": position, "mask_token": mask}, path
    )
