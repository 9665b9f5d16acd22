"""The network that is measured: key frames in, images and what is behind them out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

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

Context = Literal["pair", "before", "both"]
"""What is seen of a clip besides a pair of key frames: nothing, as in the published protocol; the
one before, as in a live stream; or the one after, too, as in a recorded one."""


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
        context: Which key frames beside a pair show how its paths bend.
    """

    def __init__(
        self,
        model: PairModel[Any],
        network_size: tuple[int, int],
        device: torch.device,
        *,
        depth: DepthAnythingV2 | None = None,
        backend: str = "auto",
        context: Context = "both",
    ) -> None:
        self.network_size = network_size
        self.device = device
        self.backend = backend
        self.context = context
        self.timer = StageTimer(device)
        """Times the parts: resize, depth, encode, decode, render."""
        self.model = model
        """The network."""
        self._depth = depth
        # Of the last pair: key frames by clip and place, its straight motion by those of both.
        self._encoded: dict[tuple[str, int], Any] = {}
        self._motions: dict[tuple[str, int, int], Tensor] = {}

    @torch.inference_mode()
    def reconstruct(self, pair: Pair) -> Reconstruction:
        """Reconstruct a pair, and render the frames that are scored."""
        first, second = pair.frames[0], pair.frames[-1]
        before = None if self.context == "pair" else pair.before
        after = pair.after if self.context == "both" else None
        keys = [key for key in (before, first, second, after) if key is not None]
        self._encoded = {(pair.clip, key.index): self._encode(pair.clip, key) for key in keys}
        beside = (
            None if before is None else (before, first),
            None if after is None else (second, after),
        )
        motions = [None if two is None else self._motion(pair.clip, *two) for two in beside]
        with self.timer.stage("decode"):
            scene = self._decode(pair.clip, first, second)
            straight = scene.motion
            if any(beside):
                lasting = [0.0 if two is None else two[1].time - two[0].time for two in beside]
                motion = self.model.bend_motion(
                    straight,
                    straight if motions[0] is None else motions[0],
                    straight if motions[1] is None else motions[1],
                    (torch.tensor([lasting]) / (second.time - first.time)).to(straight),
                )
                scene = replace(scene, motion=motion)
        self._motions = {(pair.clip, first.index, second.index): straight}
        times = torch.tensor([[pair.times[j] for j in pair.places]], device=self.device)
        with self.timer.stage("render"):
            rendered = render(scene, times, self.network_size, backend=self.backend)
        return Reconstruction(scene, rendered, pair.places)

    def depth_source(self, pair: Pair) -> str:
        """Return where the depth of a pair's key frames comes from: files, network or none."""
        if pair.frames[0].inverse_depth is not None:
            return "files"
        return "none" if self._depth is None else "network"

    def _decode(self, clip: str, first: ClipFrame, second: ClipFrame) -> DynamicGaussians:
        return self.model.decode(
            self._encoded[clip, first.index], self._encoded[clip, second.index]
        )

    def _motion(self, clip: str, first: ClipFrame, second: ClipFrame) -> Tensor:
        """Return the straight motion of a pair beside the one that is reconstructed."""
        known = self._motions.get((clip, first.index, second.index))
        return self._decode(clip, first, second).motion if known is None else known

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
