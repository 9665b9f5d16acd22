"""A clip in, a picture of the reconstruction for every frame out, in constant memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

from jaxtyping import Float
from torch import Tensor

from core.checks import UserError
from core.depth.source import DepthSource
from core.geometry.fit import FitMode, FrameFit
from core.io import Frame, FrameSource
from core.streaming.interval import Interval
from core.streaming.session import IncompleteShotError, Session

_SMALLEST_CONTENT = 16
"""Least rows and columns of a padded frame (SSIM needs 11)."""
_TOGETHER_ON_CUDA = 8
"""Frames that are handed on together: what becomes of them takes as many kernels as of one."""


@dataclass(frozen=True)
class RenderedFrame:
    """One frame of the clip and its reconstruction, at the model's size."""

    index: int
    """Place in the source, from 0; frames that were skipped or dropped have kept theirs."""
    name: str
    """Name of the frame's file, or its number in a video."""
    is_key: bool
    """Whether it is a key frame; the model has not seen the others."""
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
    stream_time: float
    """When the clip shows it: seconds from the first frame, or ``index`` of a source without
    times."""


@dataclass(frozen=True)
class ClipReconstructor:
    """Renders every frame of a clip from the intervals of a session."""

    session: Session
    """Reset for each clip."""
    depth: DepthSource | None
    """Asked for key frames only; None where the session finds depth itself."""
    max_frames: int | None = None
    """How many frames are taken at most; None takes all."""

    def frames(self, source: FrameSource) -> Iterator[Sequence[RenderedFrame]]:
        """Yield every frame of the clip, in order, soon after it can be rendered.

        Those of one interval come together, up to 8 of them on CUDA and one by one on the CPU; and
        the next interval is begun before, so that the device has something to do while the host
        waits for its images.

        Where the clip cannot be read on, everything before that place is yielded first.

        Raises:
            UserError: At the end, if a frame or its depth could not be read, or the source broke
                off.
        """
        indices: dict[float, int] = {}
        started: deque[Callable[[], Iterator[Sequence[RenderedFrame]]]] = deque()
        failure: Exception | KeyboardInterrupt | None = None

        def note(time: float, frame: Frame) -> None:
            indices[time] = frame.index

        try:
            for interval in self.intervals(source, note):
                started.append(self._start(interval, indices))
                if len(started) > 1:
                    yield from started.popleft()()
        except (Exception, KeyboardInterrupt) as error:
            failure = error
        while started:
            yield from started.popleft()()
        if failure is not None:
            raise failure

    def intervals(
        self, source: FrameSource, note: Callable[[float, Frame], None] | None = None
    ) -> Iterator[Interval]:
        """Yield the intervals of the clip with their frames, in order; see :meth:`frames`.

        Stream times are seconds from the first frame, or indices where the source has no times.

        Args:
            source: The clip.
            note: Called with each frame and its stream time before it is pushed.
        """
        failure: UserError | KeyboardInterrupt | None = None
        taken = end = 0
        self.session.reset()
        try:
            for frame in islice(source, self.max_frames):
                taken += 1
                end = frame.index + 1
                depth = None if self.depth is None else partial(self.depth.inverse_depth, frame)
                time = float(frame.index) if frame.time is None else frame.time
                if note is not None:
                    note(time, frame)
                yield from self.session.push(frame.image, time, depth, name=frame.name)
        except (UserError, KeyboardInterrupt) as error:
            failure = error
            if isinstance(error, IncompleteShotError):
                yield from error.intervals
        try:
            yield from self.session.end_shot()
        except IncompleteShotError as error:  # of an earlier frame than the failure before
            failure = error
            yield from error.intervals
        if failure is not None:
            raise failure
        # Beyond a limit, only what is decoded ahead has met the place where the source breaks off.
        if source.broken_off is not None and taken != self.max_frames:
            raise UserError(source.broken_off)
        if taken != self.max_frames and self.depth is not None:
            self.depth.check_end(end)

    def _start(
        self, interval: Interval, indices: dict[float, int]
    ) -> Callable[[], Iterator[Sequence[RenderedFrame]]]:
        """Start to render the frames of an interval; return what yields them."""
        times = [interval.pair_time(frame.time) for frame in interval.frames]
        started = self.session.start_interval(interval, times)
        places = [indices.pop(frame.time) for frame in interval.frames]

        def finish() -> Iterator[Sequence[RenderedFrame]]:
            images = started()
            rgb = images.rgb[0].clamp(0, 1)

            def frame(j: int) -> RenderedFrame:
                frame = interval.frames[j]
                return RenderedFrame(
                    index=places[j],
                    name=frame.name,
                    is_key=interval.is_key(frame),
                    target=frame.image,
                    rgb=rgb[j : j + 1],
                    depth=images.depth[0, j : j + 1],
                    alpha=images.alpha[0, j : j + 1],
                    interval=interval,
                    time=times[j],
                    stream_time=frame.time,
                )

            together = _TOGETHER_ON_CUDA if rgb.device.type == "cuda" else 1
            for j in range(0, len(times), together):
                yield [frame(i) for i in range(j, min(j + together, len(times)))]

        return finish


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
            f"strip of {fit.content.width} by {fit.content.height}; choose fit crop or stretch."
        )
    return fit
