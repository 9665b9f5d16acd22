"""The network that is measured: a pair of key frames in, images and what is behind them out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

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
    """Encodes each key frame once, decodes each pair by itself, and renders its frames.

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
        self._last: tuple[str, int, Any] | None = None

    @torch.inference_mode()
    def reconstruct(self, pair: Pair) -> Reconstruction:
        """Reconstruct a pair from its key frames alone, and render the frames that are scored."""
        first, second = self._encode(pair, 0), self._encode(pair, pair.gap)
        self._last = (pair.clip, pair.index(pair.gap), second)
        with self.timer.stage("decode"):
            scene = self.model.decode(first, second)
        times = torch.tensor([[pair.times[j] for j in pair.places]], device=self.device)
        with self.timer.stage("render"):
            rendered = render(scene, times, self.network_size, backend=self.backend)
        return Reconstruction(scene, rendered, pair.places)

    def depth_source(self, pair: Pair) -> str:
        """Return where the depth of a pair's key frames comes from: files, network or none."""
        if pair.frames[0].inverse_depth is not None:
            return "files"
        return "none" if self._depth is None else "network"

    def _encode(self, pair: Pair, place: int) -> Any:
        frame = pair.frames[place]
        if self._last is not None and self._last[:2] == (pair.clip, frame.index):
            return self._last[2]
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
