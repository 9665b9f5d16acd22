"""Scores of single frames: PSNR, SSIM, LPIPS, and PSNR on and off moving objects."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.data.datasets.resizing import resize
from core.evaluation.data.images import at_comparison_size
from core.evaluation.data.pair import Pair
from core.evaluation.methods.baselines import Images
from core.evaluation.protocol import ProtocolName, comparison_size
from core.metrics import compare, masked_psnr
from core.metrics.lpips import Lpips

FrameScores = dict[str, float]
"""``psnr``, ``ssim``, ``lpips``, ``psnr_moving`` and ``psnr_still``, those that could be had."""


@dataclass(frozen=True)
class FrameScorer:
    """Compares the frames of a pair at the sizes of some protocols."""

    protocols: Sequence[ProtocolName]
    """Which ones."""
    lpips: Lpips | None = None
    """None where its weights are not there."""

    @torch.inference_mode()
    def score(self, pair: Pair, rendered: Mapping[str, Images]) -> list[dict[str, Any]]:
        """Score a pair.

        Args:
            pair: The truth.
            rendered: Images by method and place; a method may leave out places.

        Returns:
            A record for each scored frame: ``index``, ``time`` within the pair, ``role``, and
            ``scores`` by protocol and method.
        """
        records = {
            place: {
                "index": pair.index(place),
                "time": pair.times[place],
                "role": "given" if place in (0, pair.gap) else "middle",
                "scores": {protocol: {} for protocol in self.protocols},
            }
            for place in pair.places
        }
        for protocol in self.protocols:
            size = comparison_size(protocol, pair.network_size)
            targets = at_comparison_size(pair.truth, pair.network_size, size)
            moving = _moving(pair, size)
            for name, images in rendered.items():
                for place, image in images.items():
                    records[place]["scores"][protocol][name] = self._compare(
                        at_comparison_size(image[None], pair.network_size, size),
                        targets[place][None],
                        None if moving is None else moving[place][None],
                    )
        return list(records.values())

    def _compare(
        self,
        image: Float[Tensor, "1 3 h w"],
        target: Float[Tensor, "1 3 h w"],
        moving: Bool[Tensor, "1 h w"] | None,
    ) -> FrameScores:
        values = compare(image, target)
        scores = {"psnr": values.psnr.item(), "ssim": values.ssim.item()}
        if self.lpips is not None:
            scores["lpips"] = self.lpips(image, target).item()
        if moving is not None:
            parts = {"psnr_moving": moving, "psnr_still": ~moving}
            masked = {name: masked_psnr(image, target, mask).item() for name, mask in parts.items()}
            scores |= {name: value for name, value in masked.items() if not math.isnan(value)}
        return scores


def _moving(pair: Pair, size: tuple[int, int]) -> Bool[Tensor, "t h w"] | None:
    """Return the masks of moving objects, the nearest pixel of each; None without them."""
    masks = [frame.moving for frame in pair.frames]
    present = [mask for mask in masks if mask is not None]
    if len(present) < len(masks):
        return None
    resized = np.stack([resize(mask.astype(np.uint8), size, nearest=True) for mask in present])
    return torch.from_numpy(resized > 0).to(pair.device)
