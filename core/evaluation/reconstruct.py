"""A clip in, a picture of the reconstruction for every frame out, in constant memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from core.checks import UserError
from core.evaluation.depth_source import DepthSource
from core.geometry.canonical import normalize_inverse_depth
from core.geometry.fit import FitMode, FrameFit
from core.io import Frame, FrameSource
from core.rendering import render
from core.streaming import Interval, KeyInputs, PairModel, PairReconstructor
from core.streaming.batching import concatenate

_SMALLEST_CONTENT = 16
"""Rows or columns below which padding leaves nothing to look at (SSIM needs 11)."""


@dataclass(frozen=True)
class RenderedFrame:
    """One frame of the clip and its reconstruction, at the model's size."""

    index: int
    """Place in the clip, from 0."""
    name: str
    """Name of the frame's file, or its number in a video."""
    is_key: bool
    """Whether the model was given this frame, or had to find it in between."""
    target: Float[Tensor, "1 3 h w"]
    """The frame itself as the model would see it, RGB in [0, 1]."""
    rgb: Float[Tensor, "1 3 h w"]
    """Its reconstruction, in [0, 1]."""
    depth: Float[Tensor, "1 1 h w"]
    """Sum of alpha-weighted depths, canonical units."""
    alpha: Float[Tensor, "1 1 h w"]
    """Accumulated opacity in [0, 1]."""
    interval: Interval
    """The scene that it is a picture of."""
    time: float
    """Its time within the interval, 0 to 1."""


@dataclass(frozen=True)
class Reconstruction:
    """How a clip is turned into intervals and pictures."""

    model: PairModel
    """In evaluation mode."""
    depth: DepthSource
    """Asked for key frames only."""
    device: torch.device
    """Where the model is."""
    frame_gap: int = 3
    """Distance between key frames."""
    batch_size: int = 1
    """Key frames, pairs and intervals that are worked on together."""
    backend: str = "auto"
    """The rasteriser's backend."""

    def frames(self, source: FrameSource, fit: FrameFit) -> Iterator[RenderedFrame]:
        """Yield every frame of the clip, in order, as soon as it can be rendered.

        Where the clip cannot be read on, everything before the broken place is yielded first.

        Raises:
            UserError: At the end, if a frame or its depth could not be read.
        """
        reconstructor = PairReconstructor[_FittedFrame](
            self.model,
            lambda fitted: self._key_inputs(fitted, fit),
            frame_gap=self.frame_gap,
            batch_size=self.batch_size,
        )
        waiting: dict[int, _NamedImage] = {}
        failure: UserError | None = None
        frames = enumerate(source)
        while True:
            try:
                index, frame = next(frames)
                fitted = _FittedFrame(frame, self._fit(frame, fit))
                intervals = reconstructor.push(fitted)
            except StopIteration:
                break
            except UserError as error:
                failure = error
                break
            waiting[index] = _NamedImage(frame.name, fitted.image)
            yield from self._render(intervals, waiting, fit.model_size)
        yield from self._render(reconstructor.finish(), waiting, fit.model_size)
        if failure is not None:
            raise failure

    def _fit(self, frame: Frame, fit: FrameFit) -> Float[Tensor, "1 3 h w"]:
        if frame.image.shape[:2] != fit.input_size:
            height, width = frame.image.shape[:2]
            raise UserError(
                f"frame {frame.name} is {width} by {height} pixels, the first one "
                f"{fit.input_size[1]} by {fit.input_size[0]}; all frames of a clip must be alike."
            )
        image = torch.from_numpy(frame.image).to(self.device)
        return fit.to_model(rearrange(image, "h w c -> 1 c h w").float() / 255)

    def _key_inputs(self, fitted: _FittedFrame, fit: FrameFit) -> KeyInputs:
        inverse_depth = self.depth.inverse_depth(fitted.frame).to(self.device)
        return KeyInputs(fitted.image, normalize_inverse_depth(fit.to_model(inverse_depth)))

    def _render(
        self,
        intervals: list[Interval],
        waiting: dict[int, _NamedImage],
        image_size: tuple[int, int],
    ) -> Iterator[RenderedFrame]:
        """Render the frames of ``intervals``, those with equally many together."""
        for _, group in groupby(intervals, key=lambda interval: len(interval.frames)):
            alike = list(group)
            with torch.inference_mode():
                pictures = render(
                    concatenate([interval.gaussians for interval in alike]),
                    torch.tensor([interval.times for interval in alike], device=self.device),
                    image_size,
                    backend=self.backend,
                )
            for i, interval in enumerate(alike):
                for j, (index, time) in enumerate(
                    zip(interval.frames, interval.times, strict=True)
                ):
                    given = waiting.pop(index)
                    yield RenderedFrame(
                        index=index,
                        name=given.name,
                        is_key=index in (interval.first, interval.second),
                        target=given.image,
                        rgb=pictures.rgb[i, j : j + 1].clamp(0, 1),
                        depth=pictures.depth[i, j : j + 1],
                        alpha=pictures.alpha[i, j : j + 1],
                        interval=interval,
                        time=time,
                    )


@dataclass(frozen=True)
class _FittedFrame:
    """A decoded frame, of which depth may be needed, and the model's view of it."""

    frame: Frame
    image: Float[Tensor, "1 3 h w"]


@dataclass(frozen=True)
class _NamedImage:
    """What is kept of a frame until its interval is rendered."""

    name: str
    image: Float[Tensor, "1 3 h w"]


def choose_fit(source: FrameSource, model_size: tuple[int, int], mode: FitMode) -> FrameFit:
    """Fit the frames of a clip, by its first one, to the model's size.

    Raises:
        UserError: If the first frame cannot be read, or padding would leave next to nothing.
    """
    first = next(iter(source)).image
    fit = FrameFit((first.shape[0], first.shape[1]), model_size, mode)
    if min(fit.content.height, fit.content.width) < _SMALLEST_CONTENT:
        raise UserError(
            f"frames of {first.shape[1]} by {first.shape[0]} pixels would be padded down to a "
            f"strip of {fit.content.width} by {fit.content.height}; choose --fit crop or stretch."
        )
    return fit
