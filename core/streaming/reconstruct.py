"""A clip in, a picture of the reconstruction for every frame out, in constant memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from core.checks import UserError
from core.depth.source import DepthSource
from core.geometry.fit import FitMode, FrameFit
from core.io import Frame, FrameSource
from core.streaming import (
    CutDetector,
    Intake,
    Interval,
    KeyInputs,
    PairModel,
    Session,
    render_interval,
)

T = TypeVar("T")
_SMALLEST_CONTENT = 16
"""Rows or columns below which padding leaves nothing to look at (SSIM needs 11)."""


@dataclass(frozen=True)
class RenderedFrame:
    """One frame of the clip and its reconstruction, at the model's size."""

    index: int
    """Place in the source, from 0; frames that were skipped or dropped have kept theirs."""
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
    """Key frames, and pairs of them, that pass the networks together. With 1 each key frame gives
    its interval at once."""
    backend: str = "auto"
    """The rasteriser's backend."""
    detect_cuts: bool = True
    """Whether each shot is a stream of its own: its last frame is a key frame, and so is the first
    one of the next."""
    max_persistent: int = 0
    """Size of the session's pool of Gaussians that outlive their two intervals."""
    max_frames: int | None = None
    """How many frames are taken at most; None takes all."""

    def __post_init__(self) -> None:
        if self.frame_gap < 1 or self.batch_size < 1:
            raise ValueError(
                f"Reconstruction: frame_gap is {self.frame_gap} and batch_size {self.batch_size}; "
                "both are at least 1."
            )

    def frames(self, source: FrameSource, fit: FrameFit) -> Iterator[RenderedFrame]:
        """Yield every frame of the clip, in order, as soon as it can be rendered.

        Where the clip cannot be read on, everything before the broken place is yielded first.

        Raises:
            UserError: At the end, if a frame or its depth could not be read, or the source broke
                off.
        """
        frames, taken = islice(source, self.max_frames), 0
        with self._open_session(fit) as session:
            walk = _Walk(self, session, fit)
            while walk.failure is None:
                intervals: list[Interval] = []
                try:
                    frame = next(frames, None)
                    if frame is None:
                        break
                    taken += 1
                    if walk.is_cut_before(frame):
                        intervals = walk.end_shot()
                    if walk.failure is None:
                        intervals += walk.take(frame)
                except UserError as error:
                    walk.failure = error
                yield from walk.render(intervals)
            yield from walk.render(walk.end_shot())
        if walk.failure is not None:
            raise walk.failure
        # Beyond a limit, only what is decoded ahead has met the place where the source breaks off.
        if source.broken_off is not None and taken != self.max_frames:
            raise UserError(source.broken_off)

    def _open_session(self, fit: FrameFit) -> Session:
        return Session(
            self.model,
            image_size=fit.model_size,
            device=self.device,
            max_persistent=self.max_persistent,
            detect_cuts=False,  # cuts lie between any two frames, not only between key frames
            backend=self.backend,
        )


@dataclass(frozen=True)
class _Given:
    """What is kept of a frame until its interval is rendered."""

    index: int
    name: str
    image: Float[Tensor, "1 3 h w"]


class _Walk:
    """One way through a clip: chooses key frames, and remembers what is still to be rendered.

    Key frames are every ``frame_gap``-th frame of a shot and its last one; its last interval may
    therefore be shorter. The times of the session are the frames' places in the source.
    """

    def __init__(self, how: Reconstruction, session: Session, fit: FrameFit) -> None:
        self._how = how
        self._session = session
        self._fit = fit
        self._intake = Intake(fit.model_size, how.device, fit.mode, None)
        self._intake.fit = fit
        self._cuts = CutDetector() if how.detect_cuts else None
        self._in_shot = 0
        self._since_key: list[Frame] = []  # any might turn out to be the last of its shot
        self._keys: list[tuple[float, KeyInputs]] = []
        self._given: deque[_Given] = deque()
        self.failure: UserError | None = None
        """Why the walk ends before the clip does: of several reasons, the one that comes first."""

    def is_cut_before(self, frame: Frame) -> bool:
        """Return whether the next frame, not taken yet, begins a new shot."""
        return self._cuts is not None and self._cuts.is_cut(frame.image)

    def take(self, frame: Frame) -> list[Interval]:
        """Take the next frame and return the intervals that it completes, in order."""
        if self._in_shot % self._how.frame_gap:
            self._remember(frame, self._checked(frame, self._intake.to_model, frame.image))
            self._since_key.append(frame)
            return []
        inputs = self._prepare(frame)
        self._remember(frame, inputs.image)
        self._keys.append((float(frame.index), inputs))
        self._since_key = []  # only now: had this frame been unusable, those before would be last
        return self._flush() if len(self._keys) == self._how.batch_size else []

    def end_shot(self) -> list[Interval]:
        """Make the last frame a key frame, leave nothing waiting, and begin a new shot.

        Where it cannot be one, the last frame that can is, and :attr:`failure` says why.
        """
        for frame in reversed(self._since_key):
            try:
                self._keys.append((float(frame.index), self._prepare(frame)))
                break
            except UserError as error:
                self.failure = error
        intervals = self._flush()
        lone = self._session.end_shot()
        self._in_shot, self._since_key = 0, []
        return intervals if lone is None else [*intervals, lone]

    def render(self, intervals: list[Interval]) -> Iterator[RenderedFrame]:
        """Render the frames of ``intervals``: a key frame belongs to the one that it closes."""
        for interval in intervals:
            given = []
            while self._given and self._given[0].index <= interval.second_time:
                given.append(self._given.popleft())
            times = [interval.pair_time(frame.index) for frame in given]
            with torch.inference_mode():
                pictures = render_interval(
                    interval, times, self._fit.model_size, backend=self._how.backend
                )
            for j, (frame, time) in enumerate(zip(given, times, strict=True)):
                yield RenderedFrame(
                    index=frame.index,
                    name=frame.name,
                    is_key=frame.index in (interval.first_time, interval.second_time),
                    target=frame.image,
                    rgb=pictures.rgb[0, j : j + 1].clamp(0, 1),
                    depth=pictures.depth[0, j : j + 1],
                    alpha=pictures.alpha[0, j : j + 1],
                    interval=interval,
                    time=time,
                )

    def _remember(self, frame: Frame, image: Float[Tensor, "1 3 h w"]) -> None:
        self._given.append(_Given(frame.index, frame.name, image))
        self._in_shot += 1

    def _prepare(self, frame: Frame) -> KeyInputs:
        depth = self._how.depth.inverse_depth(frame)
        return self._checked(frame, self._intake.prepare, frame.image, depth)

    def _checked(self, frame: Frame, bring: Callable[..., T], *arguments: object) -> T:
        try:
            return bring(*arguments)
        except UserError as error:
            raise UserError(f"frame {frame.name}: {error}") from error

    def _flush(self) -> list[Interval]:
        keys, self._keys = self._keys, []
        times, inputs = [time for time, _ in keys], [inputs for _, inputs in keys]
        return self._session.extend(inputs, times=times)


def choose_fit(source: FrameSource, model_size: tuple[int, int], mode: FitMode) -> FrameFit:
    """Fit the frames of a clip, by its first one, to the model's size.

    Raises:
        UserError: If the first frame cannot be read, or padding would leave next to nothing.
    """
    first = source.peek().image
    fit = FrameFit((first.shape[0], first.shape[1]), model_size, mode)
    if min(fit.content.height, fit.content.width) < _SMALLEST_CONTENT:
        raise UserError(
            f"frames of {first.shape[1]} by {first.shape[0]} pixels would be padded down to a "
            f"strip of {fit.content.width} by {fit.content.height}; choose --fit crop or stretch."
        )
    return fit
