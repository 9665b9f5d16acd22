"""From a stream of frames to dynamic Gaussians between consecutive key frames."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from core.streaming.batching import concatenate, take
from core.types import DynamicGaussians

FrameT = TypeVar("FrameT")


@dataclass(frozen=True)
class KeyInputs:
    """What the model takes of one key frame."""

    image: Float[Tensor, "1 3 h w"]
    """RGB in [0, 1]."""
    inverse_depth: Float[Tensor, "1 1 h w"]
    """Relative inverse depth normalised to [0, 1]; zeros where there is none."""


class PairModel(Protocol):
    """The model, seen from here; :class:`core.models.StreamSplat` is one.

    A key frame is whatever dataclass of tensors ``encode`` returns; its first axis is the batch.
    """

    def encode(
        self, images: Float[Tensor, "b 3 h w"], inverse_depths: Float[Tensor, "b 1 h w"], /
    ) -> Any:
        """Run everything that concerns a frame by itself."""
        ...

    def decode(self, first: Any, second: Any, /) -> DynamicGaussians:
        """Return the Gaussians of the pairs, the first frames at time 0, the second ones at 1."""
        ...

    def static_gaussians(self, keyframe: Any, /) -> DynamicGaussians:
        """Return the Gaussians of frames by themselves, the same at all times."""
        ...


@dataclass(frozen=True)
class Interval:
    """The scene between two consecutive key frames, and the frames that it accounts for."""

    first: int
    """Index of the key frame at time 0."""
    second: int
    """Index of the key frame at time 1; equal to ``first`` for a clip of one frame."""
    gaussians: DynamicGaussians
    """One scene, valid for times in [0, 1]."""
    opens: bool
    """Whether it is the first of its stream."""

    @property
    def frames(self) -> range:
        """Indices of the frames whose pictures it gives.

        Each frame of a stream belongs to exactly one interval: a key frame to the one that it
        closes, so that its picture never waits for a later frame, and frame 0 to the first one.
        """
        return range(self.first if self.opens else self.first + 1, self.second + 1)

    def time_of(self, frame: float) -> float:
        """Return the interval's time, 0 to 1, at a frame index that need not be whole."""
        return (frame - self.first) / max(self.second - self.first, 1)

    @property
    def times(self) -> tuple[float, ...]:
        """Times of :attr:`frames`."""
        return tuple(self.time_of(frame) for frame in self.frames)


class PairReconstructor(Generic[FrameT]):
    """Turn a stream of frames into intervals, each frame through each network at most once.

    Key frames are every ``frame_gap``-th frame and, when the stream ends, its last one; the last
    interval may therefore be shorter. Between two calls there remain the key frames that wait for
    their batch, the newest encoded one, and the newest frame that might turn out to be the last.

    Args:
        model: Encodes key frames and decodes pairs of them.
        prepare: Makes the model's inputs of a pushed frame; called once, for key frames only.
        frame_gap: Distance between key frames, at least 1.
        batch_size: Key frames that are encoded, and pairs that are decoded, together. With 1 each
            key frame gives its interval at once.
    """

    def __init__(
        self,
        model: PairModel,
        prepare: Callable[[FrameT], KeyInputs],
        *,
        frame_gap: int,
        batch_size: int = 1,
    ) -> None:
        if frame_gap < 1 or batch_size < 1:
            raise ValueError(
                f"PairReconstructor: frame_gap is {frame_gap} and batch_size {batch_size}; "
                "both are at least 1."
            )
        self._model = model
        self._prepare = prepare
        self._frame_gap = frame_gap
        self._batch_size = batch_size
        self.reset()

    def reset(self) -> None:
        """Forget the stream; the next frame is frame 0 of a new one."""
        self._num_frames = 0
        self._newest: tuple[int, FrameT] | None = None
        self._waiting: list[tuple[int, KeyInputs]] = []
        self._previous: tuple[int, Any] | None = None
        self._opened = False

    @torch.inference_mode()
    def push(self, frame: FrameT) -> list[Interval]:
        """Take the next frame and return the intervals that it completes, in order."""
        index = self._num_frames
        self._num_frames += 1
        if index % self._frame_gap:
            self._newest = (index, frame)
            return []
        self._waiting.append((index, self._prepare(frame)))
        self._newest = None  # only now: had this frame been unusable, the one before would be last
        return self._flush() if len(self._waiting) == self._batch_size else []

    @torch.inference_mode()
    def finish(self) -> list[Interval]:
        """End the stream: its last frame becomes a key frame, and nothing is left waiting.

        Returns:
            The intervals that remained, in order; a stream of one frame gives a static one. The
            reconstructor is then as new.
        """
        if self._newest is not None:
            index, frame = self._newest
            self._waiting.append((index, self._prepare(frame)))
        intervals = self._flush() if self._waiting else []
        if self._previous is not None and not self._opened:
            index, keyframe = self._previous
            intervals = [Interval(index, index, self._model.static_gaussians(keyframe), opens=True)]
        self.reset()
        return intervals

    def _flush(self) -> list[Interval]:
        """Encode the waiting key frames together, then decode the pairs that they complete."""
        inputs = concatenate([inputs for _, inputs in self._waiting])
        encoded = self._model.encode(inputs.image, inputs.inverse_depth)
        keys = [(index, take(encoded, i)) for i, (index, _) in enumerate(self._waiting)]
        self._waiting = []
        if self._previous is not None:
            keys = [self._previous, *keys]
        self._previous = keys[-1]
        if len(keys) == 1:
            return []
        decoded = self._model.decode(
            concatenate([key for _, key in keys[:-1]]), concatenate([key for _, key in keys[1:]])
        )
        opens = not self._opened
        self._opened = True
        return [
            Interval(keys[i][0], keys[i + 1][0], take(decoded, i), opens=opens and i == 0)
            for i in range(len(keys) - 1)
        ]
