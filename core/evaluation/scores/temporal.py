"""How steady the frames of a pair are, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import UInt8
from torch import Tensor

from core.evaluation.data.images import at_network_size
from core.evaluation.data.pair import Pair, step_flows
from core.evaluation.methods.baselines import Images
from core.metrics.temporal import difference_psnr, divergence_psnr, flow_difference


class TemporalScorer:
    """Scores the pairs of one clip, in order, at the network's size.

    The sequence of a pair runs from its first key frame to its second. Its first image is the one
    with which the pair before ended, where there is one; the truth stands for key frames that a
    method does not make.
    """

    def __init__(self) -> None:
        self._ends: dict[str, UInt8[Tensor, "3 h w"]] = {}

    @torch.inference_mode()
    def score(self, pair: Pair, rendered: Mapping[str, Images]) -> dict[str, dict[str, float]]:
        """Return ``tof``, ``psnr_diff`` and ``psnr_div`` of each method that makes the middle."""
        scores = {}
        for name, images in rendered.items():
            if not pair.middle or not set(pair.middle) <= set(images):
                continue
            sequence = self._sequence(pair, name, images)
            flows = step_flows(sequence)
            middle = slice(1, pair.gap)
            scores[name] = {
                "tof": flow_difference(flows, pair.step_flows).mean().item(),
                "psnr_diff": difference_psnr(sequence, pair.truth).mean().item(),
                "psnr_div": divergence_psnr(sequence[middle], pair.truth[middle], flows[middle])
                .mean()
                .item(),
            }
        return scores

    def _sequence(self, pair: Pair, name: str, images: Images) -> UInt8[Tensor, "t 3 h w"]:
        sized = {
            place: at_network_size(image[None], pair.network_size)[0]
            for place, image in images.items()
        }
        first = sized.get(0, pair.truth[0])
        if not pair.opens and name in self._ends:
            first = self._ends[name]
        last = sized.get(pair.gap, pair.truth[-1])
        self._ends[name] = last
        return torch.stack([first, *(sized[place] for place in pair.middle), last])
