"""How good rendered depth is where a sensor has measured it, beside what needs no network."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.data.datasets.resizing import resize
from core.evaluation.data.pair import Pair
from core.evaluation.methods.network import Reconstruction
from core.metrics.depth import DepthErrors, align_inverse_depth, depth_errors, row_means

_SEEN_ALPHA = 0.05
"""Opacity below which a pixel has no depth, and counts as infinitely far."""


class DepthScorer:
    """Collects the depth of one clip at one gap, and scores it at the end.

    Args:
        network: What tables call the network.
    """

    def __init__(self, network: str) -> None:
        self._network = network
        self._indices: list[int] = []
        self._predicted: list[Float[Tensor, "h w"]] = []
        self._truth: list[Float[Tensor, "h w"]] = []

    def add(self, pair: Pair, reconstruction: Reconstruction) -> None:
        """Note the frames of a pair for which there is measured depth."""
        images = reconstruction.rendered
        depth, alpha = images.depth[0, :, 0], images.alpha[0, :, 0]  # (t, h, w)
        inverse = torch.where(alpha > _SEEN_ALPHA, alpha / depth.clamp_min(1e-6), 0.0)
        for j, place in enumerate(reconstruction.places):
            measured = pair.frames[place].sensor_depth
            if measured is None:
                continue
            sized = torch.from_numpy(resize(measured, pair.network_size, nearest=True))
            if not sized.any():
                continue
            self._indices.append(pair.index(place))
            self._predicted.append(inverse[j].cpu())
            self._truth.append(torch.where(sized > 0, 1 / sized, 0.0))

    def scores(self) -> list[dict[str, Any]]:
        """Return a record for each frame: ``index``, and errors by alignment and method.

        ``per_frame`` aligns each frame by itself, ``per_clip`` all frames of the clip together.
        Methods: the network; ``constant``, one depth for all pixels; ``row``, one for each image
        row. The latter two know the truth and choose their best values.
        """
        if not self._indices:
            return []
        predicted, truth = torch.stack(self._predicted), torch.stack(self._truth)
        valid = truth > 0
        together = self._errors(predicted, truth, valid)
        alone = [
            self._errors(*(maps[i : i + 1] for maps in (predicted, truth, valid)))[0]
            for i in range(len(truth))
        ]
        return [
            {"index": index, "per_frame": frame, "per_clip": clip}
            for index, frame, clip in zip(self._indices, alone, together, strict=True)
        ]

    def _errors(
        self,
        predicted: Float[Tensor, "t h w"],
        truth: Float[Tensor, "t h w"],
        valid: Bool[Tensor, "t h w"],
    ) -> list[dict[str, dict[str, float]]]:
        """Align all frames with the same numbers, and return the errors of each."""
        scale, shift = align_inverse_depth(predicted[valid], truth[valid])
        guesses = {
            self._network: scale * predicted.double() + shift,
            "constant": truth[valid].double().mean().expand_as(truth),
            "row": row_means(truth, valid),
        }

        def errors(guess: Tensor, i: int) -> DepthErrors:
            return depth_errors(guess[i][valid[i]], truth[i][valid[i]])

        return [
            {name: asdict(errors(guess, i)) for name, guess in guesses.items()}
            for i in range(len(truth))
        ]
