"""Key frames in, intervals out: how one interval follows another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Generic

import torch
from jaxtyping import Float
from torch import Tensor

from core.streaming.interval import Interval, StreamFrame, stand_still
from core.streaming.key_frames import ChosenKeyFrame, Seen
from core.streaming.pair_model import EncodedT, PairModel, matching_of
from core.streaming.survivors import Survivors, empty_pool, update_pool
from core.types import DynamicGaussians, TensorDataclass

_KEPT_INTERVALS = 2
"""A key frame's Gaussians are shown from the key frame before it to the one after."""


@dataclass(frozen=True)
class TimelineKeyFrame(Generic[EncodedT]):
    """A key frame that the next one will form a pair with."""

    number: int
    """Counted from 0 since the stream began."""
    frames: tuple[StreamFrame, ...]
    """As of :class:`ChosenKeyFrame`."""
    encoded: EncodedT
    """The network's encoding."""
    seen: Seen | None = None
    """As of :class:`ChosenKeyFrame`."""

    @property
    def time(self) -> float:
        """Stream time."""
        return self.frames[-1].time


@dataclass(frozen=True)
class _Waiting:
    """An interval that waits for what the next key frame shows of its motion."""

    interval: Interval
    """The decoded pair by itself."""
    surface: DynamicGaussians
    """Its first key frame's own Gaussians."""


@dataclass(frozen=True)
class TimelineState(Generic[EncodedT]):
    """All that a timeline holds."""

    num_key_frames: int = 0
    """Key frames since the stream began."""
    key_frame: TimelineKeyFrame[EncodedT] | None = None
    """The newest key frame; None where the next one begins a shot."""
    closed: tuple[Interval, ...] = ()
    """The last two intervals."""
    waiting: _Waiting | None = None
    """The newest interval, while it is not final."""
    single: Interval | None = None
    """The first key frame of a shot as an interval, until another interval of the shot is final."""
    pool: Survivors | None = None
    """Gaussians kept beyond their two intervals."""


class Timeline(Generic[EncodedT]):
    """Encodes key frames and decodes pairs of them; what it keeps has a fixed size.

    Args:
        image_size: Height and width of what the model takes.
        max_persistent: Size of the pool of survivors.
        lookahead: Whether an interval waits for the next key frame, which shows how its paths bend.
        backend: The rasteriser's backend.
        timed: Called with the name of a stage, ``encode`` or ``decode``; times what happens inside.
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        *,
        max_persistent: int,
        lookahead: bool,
        backend: str,
        timed: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self._image_size = image_size
        self._max_persistent = max_persistent
        self._lookahead = lookahead
        self._backend = backend
        self._timed = timed
        self.state: TimelineState[EncodedT] = TimelineState()
        """May be set to what it was before."""

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """The last two intervals that are final, in order, and a key frame without any as yet."""
        single = self.state.single
        return (*self.state.closed, *([] if single is None else [single]))

    def end_shot(self, model: PairModel[EncodedT]) -> list[Interval]:
        """Make the next key frame begin a new shot.

        Returns:
            What becomes final: the interval that waited for another key frame, or the static one of
            a shot of one key frame.
        """
        waiting, single = self.state.waiting, self.state.single
        final = []
        if waiting is not None:
            final.append(self._finish(model, waiting, None))
        elif single is not None:
            final.append(single)
            self._keep(single)
        self.state = TimelineState(self.state.num_key_frames, closed=self.state.closed)
        return final

    def encode(
        self,
        model: PairModel[EncodedT],
        images: Sequence[Float[Tensor, "1 3 h w"]],
        inverse_depths: Sequence[Float[Tensor, "1 1 h w"]],
    ) -> EncodedT:
        """Return the network's encoding of frames, as one batch."""
        with self._timed("encode"):
            return model.encode(_batch(images), _batch(inverse_depths))

    def append(
        self,
        model: PairModel[EncodedT],
        chosen: Sequence[ChosenKeyFrame],
        encoded: EncodedT | None = None,
    ) -> list[Interval]:
        """Take key frames of one shot; they and the pairs that they complete pass together.

        Args:
            model: The network.
            chosen: The key frames.
            encoded: Their encoding by :meth:`encode`, where it is there already.

        Returns:
            The intervals that become final, in order.
        """
        if not chosen:
            return []
        if encoded is None:
            encoded = self._encode_chosen(model, chosen)
        before = self.state.key_frame
        key_frames = [
            TimelineKeyFrame(
                self.state.num_key_frames + i, key_frame.frames, encoded.element(i), key_frame.seen
            )
            for i, key_frame in enumerate(chosen)
        ]
        chain = key_frames if before is None else [before, *key_frames]
        opens = before is None or (self.state.single is not None and self.state.waiting is None)
        newest = chain[-1]
        self.state = replace(self.state, num_key_frames=newest.number + 1, key_frame=newest)
        if len(chain) == 1:
            static = model.static_gaussians(newest.encoded)
            single = _between(newest, newest, static, opens=True)
            self.state = replace(self.state, single=single)
            return []
        with self._timed("decode"):
            decoded = _decode(model, chain)
        final: list[Interval] = []
        for i, (first, second) in enumerate(pairwise(chain)):
            interval = _between(first, second, decoded.element(i), opens=opens and i == 0)
            newest_pair = _Waiting(interval, model.static_gaussians(first.encoded))
            if self._lookahead:
                waiting = self.state.waiting
                self.state = replace(self.state, waiting=newest_pair)
                if waiting is not None:
                    final.append(self._finish(model, waiting, interval))
            else:
                final.append(self._finish(model, newest_pair, None))
        return final

    def _encode_chosen(
        self, model: PairModel[EncodedT], chosen: Sequence[ChosenKeyFrame]
    ) -> EncodedT:
        images = [key_frame.frames[-1].image for key_frame in chosen]
        inverse_depths = [key_frame.inverse_depth for key_frame in chosen]
        seen = [key_frame.seen.features for key_frame in chosen if key_frame.seen is not None]
        matching = matching_of(model)
        if matching is None or len(seen) < len(chosen):
            return self.encode(model, images, inverse_depths)
        with self._timed("encode"):
            features = type(seen[0]).cat(seen)
            return matching.encode_seen(_batch(images), _batch(inverse_depths), features)

    def _finish(
        self, model: PairModel[EncodedT], pair: _Waiting, after: Interval | None
    ) -> Interval:
        """Make a decoded pair follow the interval before; the pairs beside it bend its paths."""
        interval = pair.interval
        before = None if interval.opens else self.state.closed[-1]
        if before is not None or after is not None:
            with self._timed("decode"):
                interval = _bend(model, interval, before, after)
        if before is not None:
            interval = self._follow(interval, pair.surface)
        self._keep(interval)
        self.state = replace(self.state, single=None)
        return interval

    def _follow(self, interval: Interval, surface: DynamicGaussians) -> Interval:
        """Add to a decoded pair what the interval before hands on.

        Args:
            interval: The pair by itself.
            surface: Its first key frame's own Gaussians.
        """
        last = self.state.closed[-1]
        ending = last.gaussians.select(slice(last.num_first), dim=1)
        if not self._max_persistent:
            return replace(interval, ended=ending)
        still = stand_still(ending, 1.0)
        update = update_pool(
            still,
            self.state.pool or empty_pool(self._max_persistent, still),
            surface,
            self._image_size,
            backend=self._backend,
        )
        self.state = replace(self.state, pool=update.survivors)
        return replace(
            interval,
            gaussians=DynamicGaussians.cat([interval.gaussians, update.survivors.gaussians], dim=1),
            num_survivors=self._max_persistent,
            ended=update.removed,
        )

    def _keep(self, interval: Interval) -> None:
        closed = (*self.state.closed, interval)[-_KEPT_INTERVALS:]
        self.state = replace(self.state, closed=closed)


def _decode(
    model: PairModel[EncodedT], chain: Sequence[TimelineKeyFrame[EncodedT]]
) -> DynamicGaussians:
    """Decode the pairs of a chain, by their matches where all have been matched."""
    encodings = [key_frame.encoded for key_frame in chain]
    cat = type(encodings[0]).cat
    first, second = cat(encodings[:-1]), cat(encodings[1:])
    found = [_matches(one, other) for one, other in pairwise(chain)]
    matches = [each for each in found if each is not None]
    matching = matching_of(model)
    if matching is None or len(matches) < len(found):
        return model.decode(first, second)
    # Each holds both directions of one pair; together all pairs come in one direction first.
    ways = [each.split([1, 1]) for each in matches]
    ordered = matches[0] if len(ways) == 1 else type(matches[0]).cat(
        [there for there, _ in ways] + [back for _, back in ways]
    )  # fmt: skip
    return matching.decode_matched(first, second, ordered)


def _matches(
    first: TimelineKeyFrame[EncodedT], second: TimelineKeyFrame[EncodedT]
) -> TensorDataclass | None:
    """Return the matches of a pair, if it is these two that were matched."""
    if first.seen is None or second.seen is None or second.seen.before is not first.seen.features:
        return None
    return second.seen.matches


def _bend(
    model: PairModel[EncodedT], interval: Interval, before: Interval | None, after: Interval | None
) -> Interval:
    """Bend the paths of a decoded pair by the motion of the intervals beside it."""
    gaussians = interval.gaussians
    lasting = [0.0 if beside is None else beside.duration for beside in (before, after)]
    motion = model.bend_motion(
        gaussians.motion,
        (before or interval).own_gaussians.motion,
        (after or interval).own_gaussians.motion,
        (torch.tensor([lasting]) / interval.duration).to(gaussians.means),
    )
    return replace(interval, gaussians=replace(gaussians, motion=motion))


def _batch(parts: Sequence[Float[Tensor, "1 c h w"]]) -> Float[Tensor, "b c h w"]:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _between(
    first: TimelineKeyFrame[EncodedT],
    second: TimelineKeyFrame[EncodedT],
    gaussians: DynamicGaussians,
    *,
    opens: bool,
) -> Interval:
    """Return the interval from one key frame to the next, or of a single one."""
    frames = second.frames
    if opens and first is not second:
        frames = (*first.frames, *frames)
    return Interval(first.number, second.number, first.time, second.time, gaussians, opens, frames)
