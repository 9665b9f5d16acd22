"""The network that is measured: key frames in, images and what is behind them out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from core.depth import DepthAnythingV2
from core.evaluation.data.clips import ClipFrame
from core.evaluation.data.images import as_bytes
from core.evaluation.data.pair import Pair
from core.evaluation.methods.baselines import Images
from core.geometry.canonical import normalize_inverse_depth
from core.geometry.fit import FrameFit
from core.rendering import render
from core.streaming import PairModel, StageTimer
from core.types import DynamicGaussians, RenderOutput

_FrameId = tuple[str, int]
"""Clip, and place in it."""


@dataclass(frozen=True)
class Reconstruction:
    """What the network makes of a pair."""

    scene: DynamicGaussians
    """The Gaussians of the pair, one scene."""
    rendered: RenderOutput
    """Images at :attr:`places`, at the network's size."""
    places: list[int]
    """The frames of the pair that were rendered."""

    @property
    def images(self) -> Images:
        """The images, clamped and rounded to 8 bits."""
        return dict(zip(self.places, as_bytes(self.rendered.rgb[0]), strict=True))


class NetworkMethod:
    """Encodes each key frame once, decodes pairs, and renders their frames.

    Args:
        model: The network, on its device.
        network_size: Height and width that it takes.
        device: Where it is.
        depth: Gives relative inverse depth of key frames that come without; None for no depth.
        backend: The rasteriser's backend.
    """

    def __init__(
        self,
        model: PairModel[Any],
        network_size: tuple[int, int],
        device: torch.device,
        *,
        depth: DepthAnythingV2 | None = None,
        backend: str = "auto",
    ) -> None:
        self.network_size = network_size
        self.device = device
        self.backend = backend
        self.timer = StageTimer(device)
        """Times the parts: resize, depth, encode, decode, render."""
        self.model = model
        """The network."""
        self._depth = depth
        # Of the pair that was reconstructed last, and of those before it.
        self._encoded: dict[_FrameId, Any] = {}
        self._motions: dict[tuple[_FrameId, _FrameId], Tensor] = {}

    @torch.inference_mode()
    def reconstruct(self, pair: Pair) -> Reconstruction:
        """Reconstruct a pair, and render the frames that are scored.

        The network sees the key frames of the pair, and at most two of those before, as in a
        stream that began there.
        """
        keys = [*pair.history, pair.frames[0], pair.frames[-1]]
        encoded = [self._encode(pair.clip, frame) for frame in keys]
        names = [(pair.clip, key.index) for key in keys]
        self._encoded = dict(zip(names, encoded, strict=True))
        before = [self._motion(*two) for two in pairwise(names[:-1])]
        with self.timer.stage("decode"):
            scene = self.model.decode(*encoded[-2:])
            scene = self._continue_motion(scene, before, [key.time for key in keys])
        self._motions = dict(zip(pairwise(names), [*before, scene.motion], strict=True))
        times = torch.tensor([[pair.times[j] for j in pair.places]], device=self.device)
        with self.timer.stage("render"):
            rendered = render(scene, times, self.network_size, backend=self.backend)
        return Reconstruction(scene, rendered, pair.places)

    def depth_source(self, pair: Pair) -> str:
        """Return where the depth of a pair's key frames comes from: files, network or none."""
        if pair.frames[0].inverse_depth is not None:
            return "files"
        return "none" if self._depth is None else "network"

    def _motion(self, first: _FrameId, second: _FrameId) -> Tensor:
        """Return the motion of a pair before."""
        if (first, second) not in self._motions:
            scene = self.model.decode(self._encoded[first], self._encoded[second])
            self._motions[first, second] = scene.motion
        return self._motions[first, second]

    def _continue_motion(
        self, scene: DynamicGaussians, before: Sequence[Tensor], times: Sequence[float]
    ) -> DynamicGaussians:
        """Return a pair whose motion goes on from that of the pairs before, oldest first."""
        if not before:
            return scene
        durations = np.diff(times)[::-1]  # of the pair itself first
        lasted = torch.zeros(1, 2)
        lasted[0, : len(before)] = torch.from_numpy(durations[1:] / durations[0])
        motion = self.model.continue_motion(
            scene.motion, before[-1], before[0], lasted.to(scene.means)
        )
        return replace(scene, motion=motion)

    def _encode(self, clip: str, frame: ClipFrame) -> Any:
        if (clip, frame.index) in self._encoded:
            return self._encoded[clip, frame.index]
        with self.timer.stage("resize"):
            pixels = torch.from_numpy(frame.image).to(self.device)
            native = rearrange(pixels, "h w c -> 1 c h w").float() / 255
            fit = FrameFit((native.shape[2], native.shape[3]), self.network_size)
            image = fit.to_model(native)
        with self.timer.stage("depth"):
            inverse_depth = self._inverse_depth(frame, native, fit)
        with self.timer.stage("encode"):
            return self.model.encode(image, inverse_depth)

    def _inverse_depth(
        self, frame: ClipFrame, native: Float[Tensor, "1 3 h w"], fit: FrameFit
    ) -> Float[Tensor, "1 1 height width"]:
        if frame.inverse_depth is not None:
            given = torch.from_numpy(frame.inverse_depth).to(self.device)[None, None]
        elif self._depth is not None:
            given = self._depth.infer(native)
        else:
            return torch.zeros(1, 1, *self.network_size, device=self.device)
        return normalize_inverse_depth(fit.to_model(given))
