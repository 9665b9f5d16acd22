"""Points that are followed through a stream, interval by interval, in constant memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.checks import UserError
from core.geometry.canonical import canonical_from_pixels, pixels_from_canonical
from core.geometry.fit import FrameFit
from core.streaming import Interval
from core.tracking.association import associate
from core.tracking.tracks import PointTracks


class Tracker:
    """Follows points through the intervals of a session; what is kept does not grow.

    Within an interval a point moves by the mean displacement of the Gaussians that it is associated
    with, see :mod:`core.tracking.association`; at each key frame it is associated anew. A point is
    visible where the Gaussians at its depth are at least half of what is blended in its place. A
    cut ends the tracks of its shot: points stay where they were, invisible. A point chosen between
    two shots belongs to the first of them, as in :meth:`core.streaming.Session.interval_at`: it
    stays where it was chosen, invisible, its depth unknown (NaN).

    Args:
        points: Pixel coordinates (u, v) in the input's frames, (0, 0) the centre of the first
            pixel.
        times: The stream time at which each point is chosen, or one for all; a tensor of float32
            counts to its own precision. Points whose time lies before the first interval are never
            found.
        fit: How the input's frames enter the model, as :attr:`core.streaming.Session.fit`.

    Raises:
        UserError: If a point lies outside of what the model sees of the frame, or a number is not
            finite.
    """

    def __init__(
        self, points: Float[Tensor, "n 2"], times: Float[Tensor, " n"] | float, fit: FrameFit
    ) -> None:
        if points.ndim != 2 or points.shape[1] != 2:
            raise ValueError(f"Tracker: points has shape {tuple(points.shape)}; expected (n, 2).")
        self._fit = fit
        self._times = _query_times(times, len(points))
        _check_queries(points, self._times, fit)
        in_model = fit.points_to_model(points.float())
        unknown = in_model.new_full((len(points),), torch.nan)
        self._places = canonical_from_pixels(in_model, unknown, fit.model_size)
        self._followed = torch.zeros(len(points), dtype=torch.bool)
        self._ended = torch.zeros(len(points), dtype=torch.bool)
        self._newest: int | None = None
        self._until = math.inf  # the newest interval's end; before the first there is no gap

    @torch.inference_mode()
    def advance(self, interval: Interval, times: Sequence[float] | None = None) -> PointTracks:
        """Take the next interval of the stream.

        Args:
            interval: As :meth:`core.streaming.Session.push` returns them.
            times: Stream times within the interval at which the points are asked for; by default
                that of its second key frame.

        Raises:
            UserError: If a time lies outside of the interval.
            ValueError: If an interval was left out.
        """
        asked = [interval.second_time] if times is None else list(times)
        self._check_step(interval, asked)
        if interval.opens:
            between = (self._times > self._until) & (self._times < interval.first_time)
            self._ended = self._ended | self._followed | between
            self._followed = torch.zeros_like(self._ended)
        starts = self._begin(interval)
        device = interval.gaussians.means.device
        self._places = self._places.to(device)
        followed = self._followed.to(device)
        associated = associate(
            interval.gaussians,
            starts[self._followed].float().to(device),
            self._places[followed],
            self._fit.model_size,
        )
        parts = [PointTracks.none(len(followed), device)]
        places = {1.0: associated.places_at(1.0)}
        for time in asked:
            at = interval.pair_time(time)
            places[at] = places[at] if at in places else associated.places_at(at)
            visible = associated.is_visible(places[at], at)
            parts.append(self._tracks_at(followed, time, places[at], visible))
        self._places[followed] = places[1.0]
        self._newest, self._until = interval.second, interval.second_time
        return PointTracks.cat(parts)

    def _begin(self, interval: Interval) -> Float[Tensor, " n"]:
        """Follow the points chosen in an interval, too; return the pair times to associate at."""
        inside = (self._times >= interval.first_time) & (self._times <= interval.second_time)
        begins = inside & ~self._followed & ~self._ended
        starts = [min(interval.pair_time(time), 1.0) for time in self._times[begins].tolist()]
        self._followed = self._followed | begins
        return torch.zeros_like(self._times).masked_scatter(
            begins, torch.tensor(starts, dtype=self._times.dtype)
        )

    def _tracks_at(
        self,
        followed: Bool[Tensor, " n"],
        time: float,
        places_followed: Float[Tensor, "f 3"],
        visible_followed: Bool[Tensor, " f"],
    ) -> PointTracks:
        chosen = ((self._times <= time) & (self._followed | self._ended)).to(followed.device)
        places, visible = self._places.clone(), torch.zeros_like(followed)
        places[followed], visible[followed] = places_followed, visible_followed
        visible &= self._fit.shows(places[:, 0], places[:, 2])
        places[~chosen] = torch.nan
        points = self._fit.points_to_input(pixels_from_canonical(places, self._fit.model_size))
        return PointTracks(
            times=torch.tensor([time], dtype=torch.float64, device=followed.device),
            points=points[None],
            inverse_depths=places[None, :, 1],
            visible=(visible & chosen)[None],
        )

    def _check_step(self, interval: Interval, times: Sequence[float]) -> None:
        newest = self._newest
        if newest is not None and not (
            interval.first > newest if interval.opens else interval.first == newest
        ):
            raise ValueError(
                f"Tracker: the interval begins at key frame {interval.first}, the one before it "
                f"ended at {newest}; give every interval once, in order."
            )
        for time in times:
            if not interval.first_time <= time <= interval.second_time:
                raise UserError(
                    f"points are asked for at time {time:g}; the interval lasts from "
                    f"{interval.first_time:g} to {interval.second_time:g}."
                )


def track(
    intervals: Iterable[Interval],
    points: Float[Tensor, "n 2"],
    point_times: Float[Tensor, " n"] | float,
    times: Sequence[float],
    fit: FrameFit,
) -> PointTracks:
    """Follow points through a stream; see :class:`Tracker`.

    Args:
        intervals: All intervals of a stream in order, for example a generator that pushes frames
            into a session; it is walked through once, and none is kept.
        points: Pixel coordinates (u, v) in the input's frames.
        point_times: The stream time at which each point is chosen, or one for all.
        times: Rising stream times at which the points are asked for.
        fit: How the input's frames enter the model.

    Raises:
        UserError: If a time lies in no interval.
    """
    tracker = Tracker(points, point_times, fit)
    parts: list[PointTracks] = []
    done = 0
    for interval in intervals:
        end = done
        while end < len(times) and times[end] <= interval.second_time:
            end += 1
        parts.append(tracker.advance(interval, times[done:end]))
        done = end
    if done < len(times):
        raise UserError(f"points are asked for at time {times[done]:g}, after the stream's end.")
    return PointTracks.cat(parts) if parts else PointTracks.none(len(points), points.device)


def grid_points(frame_size: tuple[int, int], columns: int) -> Float[Tensor, "n 2"]:
    """Return evenly spread pixel coordinates (u, v), about as many to the pixel along both axes.

    Args:
        frame_size: Height and width of the frames.
        columns: Points side by side.
    """
    if columns < 1:
        raise UserError(f"a grid of {columns} columns was asked for; expected at least 1.")
    height, width = frame_size
    rows = max(1, round(columns * height / width))
    u = (torch.arange(columns) + 0.5) * (width / columns) - 0.5
    v = (torch.arange(rows) + 0.5) * (height / rows) - 0.5
    return torch.cartesian_prod(v, u).flip(1)


def _query_times(times: Float[Tensor, " n"] | float, count: int) -> Float[Tensor, " n"]:
    # Numbers are compared with a tensor of float32 as if they were float32 too.
    values = times if isinstance(times, Tensor) else torch.tensor(times, dtype=torch.float64)
    values = values.cpu() if values.is_floating_point() else values.cpu().double()
    if values.shape not in ((), (count,)):
        raise ValueError(
            f"Tracker: times has shape {tuple(values.shape)}; expected one for each of the {count} "
            "points, or one for all."
        )
    return values.expand(count)


def _check_queries(points: Float[Tensor, "n 2"], times: Float[Tensor, " n"], fit: FrameFit) -> None:
    source = fit.source
    low = points.new_tensor([source.left, source.top]) - 0.5
    high = low + points.new_tensor([source.width, source.height])
    outside = (~((points >= low) & (points <= high)).all(1)).nonzero()[:, 0].tolist()
    if outside:
        u, v = points[outside[0]].tolist()
        raise UserError(
            f"point {outside[0]} is ({u:g}, {v:g}); expected pixel coordinates in what the model "
            f"sees of the frame, ({low[0]:g}, {low[1]:g}) to ({high[0]:g}, {high[1]:g})."
        )
    if not times.isfinite().all():
        raise UserError("the time of a point is not finite; expected stream times.")
