"""Frames in, a living scene out: online, causal, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from numbers import Integral
from types import TracebackType
from typing import Any, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.checks import UserError
from core.geometry.fit import FitMode, FrameFit
from core.rendering import SteadyRenderer
from core.streaming.cuts import CutDetector
from core.streaming.fusion import (
    CROSSFADE,
    join,
    living_at,
    render_interval,
)
from core.streaming.intake import ArrayLike, EstimateDepth, Intake
from core.streaming.interval import Interval
from core.streaming.pair_model import KeyInputs, PairModel, configured_size, device_of
from core.streaming.stopwatch import Stopwatch
from core.streaming.survivors import largest_pool
from core.streaming.timeline import Key, Moment, Timeline
from core.types import DynamicGaussians, RenderOutput


class Session:
    """A stream of key frames becomes a scene that can be looked at at any time of its present.

    A pushed frame is a key frame: it passes each network once, and closes the interval since the
    frame before it. No later frame is ever needed. What is kept has a fixed size: the newest key
    frame as encoded, the last two intervals, and the pool of survivors.

    Args:
        model: The network, in evaluation mode, on its device.
        image_size: Height and width that the model takes; by default those of its configuration.
        device: Where the model is; by default where its parameters are.
        fit: How frames of other proportions enter the model: ``stretch``, ``crop`` or ``pad``.
        estimate_depth: Gives the relative inverse depth of frames that are pushed without, from
            RGB in [0, 1] at the frame's size, (1, 3, h, w) to (1, 1, h, w); for example
            :meth:`core.depth.DepthAnythingV2.infer`. None means no depth.
        max_persistent: Size of the pool of Gaussians that outlive their two intervals because they
            have become hidden, see :mod:`core.streaming.survivors`; 0 keeps none, and four for each
            pixel of the image size are the most.
        detect_cuts: Begin a new shot by itself where a pushed frame has nothing to do with the one
            before, see :mod:`core.streaming.cuts`.
        crossfade: Share of an interval, in [0, 1), within which what a new key frame replaces fades
            out; 0 lets it vanish at once.
        backend: The rasteriser's backend.
        stopwatch: Told how long the parts ``upload`` (depth estimation included), ``encode``,
            ``decode`` and ``render`` take.

    Raises:
        ValueError: If the image size is not known, a number is out of range, or there is no such
            fit.
    """

    def __init__(
        self,
        model: PairModel,
        *,
        image_size: tuple[int, int] | None = None,
        device: torch.device | str | None = None,
        fit: FitMode = "stretch",
        estimate_depth: EstimateDepth | None = None,
        max_persistent: int = 0,
        detect_cuts: bool = True,
        crossfade: float = CROSSFADE,
        backend: str = "auto",
        stopwatch: Stopwatch | None = None,
    ) -> None:
        if not 0 <= crossfade < 1:
            raise ValueError(f"Session: crossfade is {crossfade}; expected a number in [0, 1).")
        if fit not in get_args(FitMode):
            raise ValueError(f"Session: fit is {fit!r}; expected one of {get_args(FitMode)}.")
        self._model: PairModel | None = model
        self._image_size = image_size or configured_size(model)
        most = largest_pool(self._image_size)
        if not (isinstance(max_persistent, Integral) and 0 <= max_persistent <= most):
            raise ValueError(
                f"Session: max_persistent is {max_persistent}; expected a whole number from 0 to "
                f"{most}, four for each pixel of the image size."
            )
        self._device = torch.device(device) if device is not None else device_of(model)
        self._intake = Intake(self._image_size, self._device, fit, estimate_depth)
        self._timeline = Timeline(
            self._image_size, max_persistent=max_persistent, backend=backend, timed=self._timed
        )
        self._cuts = CutDetector() if detect_cuts else None
        self._crossfade = crossfade
        self._backend = backend
        self._stopwatch = stopwatch
        self._renderer = SteadyRenderer()
        self.reset()

    def __enter__(self) -> Session:
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
        self._intake.reset()
        if self._cuts is not None:
            self._cuts.reset()
        self._timeline.now = Moment()
        self._count = 0
        self._time: float | None = None

    @property
    def image_size(self) -> tuple[int, int]:
        """Height and width of what the model takes and of what is rendered by default."""
        return self._image_size

    @property
    def fit(self) -> FrameFit | None:
        """How frames enter the model; None before the first one."""
        return self._intake.fit

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """What lives: at most two intervals, in order, and a key frame that has begun a shot."""
        return self._timeline.intervals

    @property
    def window(self) -> tuple[float, float] | None:
        """First and last time that can be rendered; None before the first frame."""
        live = self.intervals
        return (live[0].first_time, live[-1].second_time) if live else None

    def push(
        self, frame: ArrayLike, time: float | None = None, depth: ArrayLike | None = None
    ) -> Interval | None:
        """Take the next key frame.

        Args:
            frame: RGB of shape (h, w, 3) or (3, h, w): uint8, or floating point in [0, 1]. All
                frames of a stream have one size.
            time: When it was taken, in any unit, later than the frame before; by default one more
                than that, from 0.
            depth: Relative inverse depth, large is near, of shape (h, w) in any unit.

        Returns:
            The interval that has become final: from the frame before to this one; a lone frame if
            this one begins a new shot after a shot of a single frame; None for the first of a shot.

        Raises:
            UserError: If frame, time or depth cannot be used. The session is then as before.
        """
        intervals = self.extend(
            [frame],
            times=None if time is None else [time],
            depths=None if depth is None else [depth],
        )
        return intervals[0] if intervals else None

    @torch.inference_mode()
    def extend(
        self,
        frames: Sequence[ArrayLike | KeyInputs],
        *,
        times: Sequence[float] | None = None,
        depths: Sequence[ArrayLike | None] | None = None,
    ) -> list[Interval]:
        """Take several key frames that pass the networks together; see :meth:`push`.

        A frame may also be what an :class:`Intake` has made of one already.

        Returns:
            The intervals that have become final, in order.

        Raises:
            UserError: If one of them cannot be used; then none is taken.
        """
        model = self._opened()
        count = len(frames)
        if depths is not None and len(depths) != count:
            raise ValueError(f"Session: {len(depths)} depth maps came for {count} frames.")
        if not count:
            return []
        stamps = self._stamps(count, times)
        with self._unchanged_on_failure():
            encoded = self._encode(model, frames, depths)
            intervals: list[Interval] = []
            shot: list[Key] = []
            for i, (frame, stamp) in enumerate(zip(frames, stamps, strict=True)):
                if self._begins_shot(frame):
                    intervals += self._timeline.append(model, shot)
                    lone = self._timeline.end_shot()
                    intervals += [] if lone is None else [lone]
                    shot = []
                shot.append(Key(self._count + i, stamp, encoded.element(i)))
            intervals += self._timeline.append(model, shot)
        self._count += count
        self._time = stamps[-1]
        return intervals

    def end_shot(self) -> Interval | None:
        """Make the next frame begin a new shot.

        Returns:
            The static interval of a shot of one key frame, which no pair has shown; else None.
        """
        self._opened()
        return self._timeline.end_shot()

    def close(self) -> Interval | None:
        """End the stream and let its memory go; the session takes and renders nothing more.

        Returns:
            The static interval of a last shot of one key frame; else None.
        """
        if self._model is None:
            return None
        lone = self.end_shot()
        self.reset()
        self._model = None
        return lone

    @torch.inference_mode()
    def render(
        self,
        times: float | Sequence[float] | ArrayLike,
        *,
        image_size: tuple[int, int] | None = None,
        background: Float[Tensor, "3"] | float = 0.5,
    ) -> RenderOutput:
        """Render the scene at times of :attr:`window`.

        Between two shots the last key frame of the first one stands still.

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
        live = self.intervals
        with self._timed("render"):
            parts = [
                render_interval(
                    live[index],
                    [min(live[index].pair_time(wanted[i]), 1.0) for i in places],
                    image_size or self._image_size,
                    crossfade=self._crossfade,
                    background=background,
                    backend=self._backend,
                    renderer=self._renderer,
                )
                for index, places in groups.items()
            ]
            return join(parts, [i for places in groups.values() for i in places])

    @torch.inference_mode()
    def scene(self, time: float) -> DynamicGaussians:
        """Return the Gaussians that live at a time, without those that fade before it.

        Args:
            time: A stream time in :attr:`window`.

        Returns:
            One scene in the pair time of its interval, see :meth:`interval_at`: all that is seen at
            ``time`` or later in that interval. Rendered at ``time`` it is what :meth:`render`
            shows. Beyond the crossfade that holds until the interval's end. Within it opacities
            are those of this one moment, what fades in still faint and what fades out not gone:
            for later times ask again, or take the interval's own Gaussians.

        Raises:
            UserError: If the time is outside of the window.
        """
        interval = self.interval_at(time)
        at = min(interval.pair_time(time), 1.0)
        return living_at(interval, at, self._crossfade)

    def interval_at(self, time: float) -> Interval:
        """Return the live interval that shows a time; a key frame belongs to the one it closes.

        Raises:
            UserError: If the time is outside of the window.
        """
        return self.intervals[self._interval_index(time)]

    def _interval_index(self, time: float) -> int:
        self._opened()
        live, window = self.intervals, self.window
        if window is None:
            raise UserError(f"nothing can be rendered at {time:g}: no frame was pushed yet.")
        if not window[0] <= time <= window[1]:
            raise UserError(
                f"time {time:g} cannot be rendered; the scene lives from {window[0]:g} to "
                f"{window[1]:g}."
            )
        index = next(i for i, interval in enumerate(live) if time <= interval.second_time)
        # Between two shots, the one that has been seen.
        return index - 1 if time < live[index].first_time else index

    def _stamps(self, count: int, times: Sequence[float] | None) -> list[float]:
        if times is None:
            start = 0.0 if self._time is None else self._time + 1
            return [start + i for i in range(count)]
        stamps = _numbers(times)
        if len(stamps) != count:
            raise ValueError(f"Session: {len(stamps)} times came for {count} frames.")
        before = -math.inf if self._time is None else self._time
        for time in stamps:
            if not (math.isfinite(time) and time > before):
                raise UserError(
                    f"the frame's time is {time}; expected a number greater than the time of the "
                    f"frame before it, {before:g}."
                )
            before = time
        return stamps

    def _encode(
        self,
        model: PairModel,
        frames: Sequence[ArrayLike | KeyInputs],
        depths: Sequence[ArrayLike | None] | None,
    ) -> Any:
        with self._timed("upload"):
            inputs = [
                frame
                if isinstance(frame, KeyInputs)
                else self._intake.prepare(frame, None if depths is None else depths[i])
                for i, frame in enumerate(frames)
            ]
            both = KeyInputs.cat(inputs)
        with self._timed("encode"):
            return model.encode(both.image, both.inverse_depth)

    def _begins_shot(self, frame: ArrayLike | KeyInputs) -> bool:
        if self._cuts is None:
            return False
        return self._cuts.is_cut(frame.image if isinstance(frame, KeyInputs) else frame)

    @contextmanager
    def _unchanged_on_failure(self) -> Iterator[None]:
        """Put back everything that a stream is made of if the block fails, however it does."""
        fit, moment = self._intake.fit, self._timeline.now
        seen = None if self._cuts is None else self._cuts.seen
        try:
            yield
        except BaseException:
            self._intake.fit, self._timeline.now = fit, moment
            if self._cuts is not None and seen is not None:
                self._cuts.seen = seen
            raise

    def _timed(self, part: str) -> AbstractContextManager[None]:
        return nullcontext() if self._stopwatch is None else self._stopwatch.part(part)

    def _opened(self) -> PairModel:
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
            "the time is beyond what double precision holds; count from a later moment."
        ) from error
    except (TypeError, ValueError) as error:
        raise UserError(f"the time is {values!r}; expected a number, or several.") from error
