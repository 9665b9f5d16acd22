"""Frames in, intervals out: online, causal, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from functools import cache
from numbers import Integral
from types import TracebackType
from typing import Generic, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.checks import UserError, naming
from core.depth.motion import MotionDepth
from core.geometry.fit import FitMode, FrameFit
from core.rendering import SteadyRenderer
from core.streaming.cuts import CutDetector, CutState
from core.streaming.depth_from_motion import KeyFrameMotion, MatchedMotion
from core.streaming.fusion import CROSSFADE, join, pruned_scene_at, start_interval
from core.streaming.intake import ArrayLike, Depth, EstimateDepth, Intake
from core.streaming.interval import Interval, StreamFrame
from core.streaming.key_frames import Candidate, KeyFrameSelection, Seen, SelectionState
from core.streaming.pair_model import (
    EncodedT,
    PairModel,
    configured_size,
    device_of,
    matching_of,
    own_inverse_depth,
)
from core.streaming.stage_timer import StageTimer
from core.streaming.survivors import largest_pool
from core.streaming.timeline import Timeline, TimelineState
from core.types import DynamicGaussians, RenderOutput


class IncompleteShotError(UserError):
    """The last frames of a shot cannot be key frames; the shot ends with the last one that can.

    Those behind it are dropped. The message is that of the first of them.
    """

    def __init__(self, message: str, intervals: list[Interval]) -> None:
        super().__init__(message)
        self.intervals = intervals
        """The intervals that the shot's end makes final."""


class Session(Generic[EncodedT]):
    """A stream of frames becomes a scene that can be rendered at any time of its window.

    Key frames are every ``frame_gap``-th frame of a shot and its last one. Each passes the networks
    once and closes the interval since the key frame before, which is returned with its frames; with
    ``lookahead`` it is returned when the next key frame or the end of the shot has come. Cuts
    are found between any two frames. What is kept has a fixed size: the frames since the last key
    frame, that key frame as encoded, the last two intervals and one that is not final, and the pool
    of survivors.

    Args:
        model: The network, in evaluation mode, on its device.
        frame_gap: Distance between key frames; with 1 every frame is one.
        batch_size: Key frames, and pairs of them, that pass the networks together. With 1 each key
            frame closes its interval at once.
        detect_cuts: Begin a new shot where a frame has nothing to do with the one before, see
            :mod:`core.streaming.cuts`.
        image_size: Height and width that the model takes; by default those of its configuration.
        device: Where the model is; by default its ``device``, or that of its parameters.
        fit: How frames of other proportions enter the model: ``stretch``, ``crop`` or ``pad``.
        estimate_depth: Gives the relative inverse depth of frames that are pushed without, from
            RGB in [0, 1] at the frame's size, (1, 3, h, w) to (1, 1, h, w); for example
            :meth:`core.depth.DepthAnythingV2.infer`. None means no depth.
        motion_depth: Gives it from the parallax between key frames, see :mod:`core.depth.motion`;
            not together with ``estimate_depth``.
        max_persistent: Size of the pool of Gaussians that are kept beyond their two intervals
            because they are hidden, see :mod:`core.streaming.survivors`; 0 keeps none, and four for
            each pixel of the image size are the most.
        lookahead: Let the next key frame, too, show how things move within an interval: better
            frames in between, one key frame later.
        crossfade: Share of an interval, in [0, 1), within which the Gaussians that it no longer
            holds fade out; with 0 they vanish at once.
        backend: The rasteriser's backend.
        timer: Measures the stages ``upload``, ``depth``, ``encode``, ``decode`` and ``render``.

    Raises:
        ValueError: If the image size is not known, a number is out of range, or there is no such
            fit.
    """

    def __init__(
        self,
        model: PairModel[EncodedT],
        *,
        frame_gap: int = 1,
        batch_size: int = 1,
        detect_cuts: bool = True,
        image_size: tuple[int, int] | None = None,
        device: torch.device | str | None = None,
        fit: FitMode = "stretch",
        estimate_depth: EstimateDepth | None = None,
        motion_depth: MotionDepth | None = None,
        max_persistent: int = 0,
        lookahead: bool = False,
        crossfade: float = CROSSFADE,
        backend: str = "auto",
        timer: StageTimer | None = None,
    ) -> None:
        if frame_gap < 1 or batch_size < 1:
            raise ValueError(
                f"Session: frame_gap is {frame_gap} and batch_size {batch_size}; both are at "
                "least 1."
            )
        if not 0 <= crossfade < 1:
            raise ValueError(f"Session: crossfade is {crossfade}; expected a number in [0, 1).")
        if fit not in get_args(FitMode):
            raise ValueError(f"Session: fit is {fit!r}; expected one of {get_args(FitMode)}.")
        if estimate_depth is not None and motion_depth is not None:
            raise ValueError("Session: give estimate_depth or motion_depth, not both.")
        self._model: PairModel[EncodedT] | None = model
        self.frame_gap = frame_gap
        """Distance between key frames."""
        self.backend = backend
        """The rasteriser's backend."""
        self.device = torch.device(device) if device is not None else device_of(model)
        """Where the model is, and scenes are made."""
        self._batch_size = batch_size
        self._image_size = image_size or configured_size(model)
        most = largest_pool(self._image_size)
        if not (isinstance(max_persistent, Integral) and 0 <= max_persistent <= most):
            raise ValueError(
                f"Session: max_persistent is {max_persistent}; expected a whole number from 0 to "
                f"{most}, four for each pixel of the image size."
            )
        self._matched: MatchedMotion | None = None
        on_its_own: KeyFrameMotion | None = None
        if motion_depth is not None and motion_depth.flow is None and matching_of(model):
            self._matched = MatchedMotion(motion_depth.fov)
        elif motion_depth is not None:
            on_its_own = KeyFrameMotion(
                motion_depth, lambda image: own_inverse_depth(self._opened(), image)
            )
        self._motion: MatchedMotion | MotionDepth | None = self._matched or motion_depth
        self._intake = Intake(
            self._image_size,
            self.device,
            fit,
            estimate_depth,
            on_its_own,
        )
        self._timeline: Timeline[EncodedT] = Timeline(
            self._image_size,
            max_persistent=max_persistent,
            lookahead=lookahead,
            backend=backend,
            timed=self._timed,
        )
        self._cuts = CutDetector() if detect_cuts else None
        self._selection = KeyFrameSelection(frame_gap)
        self._crossfade = crossfade
        self._timer = timer
        self._renderer = SteadyRenderer()
        self.reset()

    def __enter__(self) -> Session[EncodedT]:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def reset(self) -> None:
        """Forget the stream; the next frame begins a new one, and may have another size."""
        self._intake.fit = None
        if self._cuts is not None:
            self._cuts.state = CutState()
        if self._motion is not None:
            self._motion.reset()
        self._timeline.state = TimelineState()
        self._selection.state = SelectionState()
        self._time: float | None = None

    def close(self) -> None:
        """Free the memory; frames that are in no interval are dropped, nothing more is taken."""
        self.reset()
        self._model = None

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of what the model takes and of what is rendered by default."""
        return self._image_size

    @property
    def fit(self) -> FrameFit | None:
        """How frames enter the model; None before the first one."""
        return self._intake.fit

    @property
    def estimated_fov(self) -> float | None:
        """Angle of view along the longer side, degrees, that ``motion_depth`` has estimated."""
        return None if self._motion is None else self._motion.state.angle.estimated

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """The last two intervals that are final, in order, and a key frame without any as yet."""
        return self._timeline.intervals

    @property
    def window(self) -> tuple[float, float] | None:
        """First and last time that can be rendered; None before the first key frame."""
        intervals = self.intervals
        return (intervals[0].first_time, intervals[-1].second_time) if intervals else None

    @torch.inference_mode()
    def push(
        self,
        frame: ArrayLike,
        time: float | None = None,
        depth: Depth | None = None,
        *,
        name: str | None = None,
    ) -> list[Interval]:
        """Take the next frame.

        Args:
            frame: RGB of shape (h, w, 3) or (3, h, w): uint8, or floating point in [0, 1]. All
                frames of a stream have one size.
            time: When it was taken, in any unit, later than the frame before; by default one more
                than that, from 0.
            depth: Relative inverse depth, large is near, of shape (h, w) in any unit; or a function
                that returns it, or None for no depth, which is called if the frame becomes a key
                frame.
            name: What messages call the frame; by default its time.

        Returns:
            The intervals that have become final, in order.

        Raises:
            IncompleteShotError: If the frame begins a shot, and the depth of the one before cannot
                be used. That shot has ended; this frame is not taken.
            UserError: If frame, time or depth cannot be used. The session is then as before.
        """
        model = self._opened()
        stamp = self._stamp(time)
        name = f"{stamp:g}" if name is None else name
        with self._unchanged_on_failure():
            with self._timed("upload"), naming(f"frame {name}"):
                prepared = self._intake.prepare(frame, depth)
            taken = StreamFrame(stamp, name, prepared.image)
            see = self._see(prepared.image) if depth is None else None
            candidate = Candidate(taken, cache(prepared.inverse_depth), see)
            encoded = self._encode_early(model, candidate)
            is_cut = self._cuts is not None and self._cuts.is_cut(frame)
            intervals = self._finish_shot(model) if is_cut else []
            with self._timed("depth"):
                self._selection.add(candidate)
            self._time = stamp
            if len(self._selection.state.chosen) == self._batch_size:
                intervals += self._timeline.append(model, self._selection.take_chosen(), encoded)
        return intervals

    @torch.inference_mode()
    def end_shot(self) -> list[Interval]:
        """Make the last frame a key frame, and the next one begin a new shot.

        Returns:
            The intervals that have become final, in order; a shot of one frame gives a static one.

        Raises:
            IncompleteShotError: If the last frame's depth cannot be used. The shot has ended.
        """
        model = self._opened()
        with self._unchanged_on_failure():
            return self._finish_shot(model)

    @torch.inference_mode()
    def render(
        self,
        times: float | Sequence[float] | ArrayLike,
        *,
        image_size: tuple[int, int] | None = None,
        background: Float[Tensor, "3"] | float = 0.5,
    ) -> RenderOutput:
        """Render the scene at times of :attr:`window`.

        Between two shots the last key frame of the first one is shown.

        Args:
            times: One or more stream times.
            image_size: Height and width; by default the model's.
            background: One grey value or one colour.

        Raises:
            UserError: If a time is outside of the window, or there is none.
        """
        wanted = _numbers(times)
        if not wanted:
            raise UserError("no time was given to render; expected at least one.")
        groups: dict[int, list[int]] = {}
        for i, time in enumerate(wanted):
            groups.setdefault(self._interval_index(time), []).append(i)
        parts = [
            self.render_interval(
                self.intervals[index],
                [min(self.intervals[index].pair_time(wanted[i]), 1.0) for i in places],
                image_size=image_size,
                background=background,
            )
            for index, places in groups.items()
        ]
        return join(parts, [i for places in groups.values() for i in places])

    @torch.inference_mode()
    def render_interval(
        self,
        interval: Interval,
        pair_times: Sequence[float],
        *,
        image_size: tuple[int, int] | None = None,
        background: Float[Tensor, "3"] | float = 0.5,
    ) -> RenderOutput:
        """Render an interval that was returned, in the window or not, at pair times in [0, 1]."""
        with self._timed("render"):
            return self.start_interval(
                interval, pair_times, image_size=image_size, background=background
            )()

    @torch.inference_mode()
    def start_interval(
        self,
        interval: Interval,
        pair_times: Sequence[float],
        *,
        image_size: tuple[int, int] | None = None,
        background: Float[Tensor, "3"] | float = 0.5,
    ) -> Callable[[], RenderOutput]:
        """Start to render as :meth:`render_interval` does, and return what gives the images.

        On CUDA the host waits for the device only when it asks for them: with further frames pushed
        in between, the device always has something to do.
        """
        return start_interval(
            interval,
            pair_times,
            image_size or self._image_size,
            crossfade=self._crossfade,
            background=background,
            backend=self.backend,
            start=self._renderer.start,
        )

    @torch.inference_mode()
    def scene(self, time: float) -> DynamicGaussians:
        """Return the Gaussians at a time, without those that are invisible from then on.

        Args:
            time: A stream time in :attr:`window`.

        Returns:
            One scene in the pair time of its interval, see :meth:`interval_at`: all that is visible
            at ``time`` or later in that interval. Rendered at ``time`` it is what :meth:`render`
            shows. Beyond the crossfade that holds until the interval's end. Within it opacities
            are those of this one time: for later times ask again, or take the interval's own
            Gaussians.

        Raises:
            UserError: If the time is outside of the window.
        """
        interval = self.interval_at(time)
        at = min(interval.pair_time(time), 1.0)
        return pruned_scene_at(interval, at, self._crossfade)

    def interval_at(self, time: float) -> Interval:
        """Return the interval that shows a time; a key frame belongs to the one it closes.

        Raises:
            UserError: If the time is outside of the window.
        """
        return self.intervals[self._interval_index(time)]

    def _interval_index(self, time: float) -> int:
        self._opened()
        intervals, window = self.intervals, self.window
        if window is None:
            raise UserError(f"nothing can be rendered at {time:g}: no frame was pushed yet.")
        if not window[0] <= time <= window[1]:
            raise UserError(
                f"time {time:g} cannot be rendered; the session holds times from {window[0]:g} to "
                f"{window[1]:g}."
            )
        index = next(i for i, interval in enumerate(intervals) if time <= interval.second_time)
        # Between two shots, the first of them.
        return index - 1 if time < intervals[index].first_time else index

    def _stamp(self, time: float | None) -> float:
        before = self._time
        if time is None:
            return 0.0 if before is None else before + 1
        (stamp,) = _numbers([time])
        if not (math.isfinite(stamp) and (before is None or stamp > before)):
            raise UserError(
                f"the frame's time is {stamp}; expected a number greater than the time of the "
                f"frame before it, {-math.inf if before is None else before:g}."
            )
        return stamp

    def _encode_early(self, model: PairModel[EncodedT], candidate: Candidate) -> EncodedT | None:
        """Encode a frame that is a key frame with or without a cut before it.

        The device works on it while the host looks for the cut. Depth from motion has to wait for
        it: the last frame of the shot before comes first. An error is left to be raised
        where the frame is taken, after those of the shot that a cut ends.
        """
        if self._batch_size > 1 or not self._selection.next_is_key or self._motion:
            return None
        with suppress(UserError):
            with self._timed("depth"):
                inverse_depth = candidate.inverse_depth()
            return self._timeline.encode(model, [candidate.frame.image], [inverse_depth])
        return None

    def _see(self, image: Float[Tensor, "1 3 h w"]) -> Callable[[], Seen] | None:
        """Return what finds depth of a frame by the network's matches; None where nothing does."""
        matched, matching, fit = self._matched, matching_of(self._opened()), self._intake.fit
        if matched is None or matching is None or fit is None:
            return None
        return lambda: matched.see(matching, image, fit)

    def _finish_shot(self, model: PairModel[EncodedT]) -> list[Interval]:
        error = self._selection.end_shot()
        if self._motion is not None:
            self._motion.end_shot()
        intervals = self._timeline.append(model, self._selection.take_chosen())
        intervals += self._timeline.end_shot(model)
        if error is not None:
            raise IncompleteShotError(str(error), intervals) from error
        return intervals

    @contextmanager
    def _unchanged_on_failure(self) -> Iterator[None]:
        """Restore the state of the stream if the block fails, unless a shot has ended."""
        fit, time = self._intake.fit, self._time
        selection, timeline = self._selection.state, self._timeline.state
        cuts = None if self._cuts is None else self._cuts.state
        motion = None if self._motion is None else self._motion.state
        try:
            yield
        except IncompleteShotError:
            raise
        except BaseException:
            self._intake.fit, self._time = fit, time
            self._selection.state, self._timeline.state = selection, timeline
            if self._cuts is not None and cuts is not None:
                self._cuts.state = cuts
            if self._motion is not None and motion is not None:
                self._motion.state = motion  # pyright: ignore[reportAttributeAccessIssue]
            raise

    def _timed(self, stage: str) -> AbstractContextManager[None]:
        return nullcontext() if self._timer is None else self._timer.stage(stage)

    def _opened(self) -> PairModel[EncodedT]:
        if self._model is None:
            raise UserError("the session is closed; open a new one.")
        return self._model


def _numbers(values: object) -> list[float]:
    """Return one or more times as numbers.

    Raises:
        UserError: If they are none.
    """
    if isinstance(values, (Tensor, np.ndarray)):
        values = values.reshape(-1).tolist()
    several = list(values) if isinstance(values, Iterable) else [values]
    try:
        if any(isinstance(value, str) for value in several):
            raise TypeError
        return [float(value) for value in several]  # pyright: ignore[reportArgumentType]
    except OverflowError as error:
        raise UserError(
            "the time is beyond what double precision holds; count from a later time."
        ) from error
    except (TypeError, ValueError) as error:
        raise UserError(f"the time is {values!r}; expected a number, or several.") from error
