"""Key frames in, intervals out: what lives of a stream, and how one interval follows another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from core.streaming.interval import Interval, stand_still
from core.streaming.pair_model import PairModel
from core.streaming.survivors import Survivors, empty_pool, succeed
from core.types import DynamicGaussians

_LIVE_INTERVALS = 2
"""A key frame's Gaussians live from the key frame before it to the one after."""


@dataclass(frozen=True)
class Key:
    """A key frame that the next one will form a pair with."""

    number: int
    """Counted from 0 since the stream began."""
    time: float
    """Stream time."""
    encoded: Any
    """What the model made of it."""


@dataclass(frozen=True)
class Moment:
    """All that a timeline holds, as it is at some moment."""

    key: Key | None = None
    """The newest key frame; None where the next one begins a shot."""
    live: tuple[Interval, ...] = ()
    """The last two intervals."""
    alone: Interval | None = None
    """The newest key frame by itself, where it has begun a shot."""
    pool: Survivors | None = None
    """What outlives its two intervals."""


class Timeline:
    """Decodes pairs of key frames and keeps what lives of them, which has a fixed size.

    Args:
        image_size: Height and width of what the model takes.
        max_persistent: Size of the pool of survivors.
        backend: The rasteriser's backend.
        timed: Called with the name of a part, ``decode``, times what happens inside.
    """

    def __init__(
        self,
        image_size: tuple[int, int],
        *,
        max_persistent: int,
        backend: str,
        timed: Callable[[str], AbstractContextManager[None]],
    ) -> None:
        self._image_size = image_size
        self._max_persistent = max_persistent
        self._backend = backend
        self._timed = timed
        self.now = Moment()
        """What is kept; may be set to what it was before."""

    @property
    def intervals(self) -> tuple[Interval, ...]:
        """What lives: at most two intervals, in order, and a key frame that has begun a shot."""
        alone = self.now.alone
        return (*self.now.live, *([] if alone is None else [alone]))

    def end_shot(self) -> Interval | None:
        """Make the next key frame begin a new shot.

        Returns:
            The static interval of a shot of one key frame, which no pair has shown; else None.
        """
        alone = self.now.alone
        self.now = Moment(live=self.now.live)
        if alone is not None:
            self._keep(alone)
        return alone

    def append(self, model: PairModel, keys: Sequence[Key]) -> list[Interval]:
        """Take key frames of one shot, and decode the pairs that they complete, together.

        Returns:
            Their intervals, in order.
        """
        if not keys:
            return []
        before = self.now.key
        chain = list(keys) if before is None else [before, *keys]
        opens = before is None or self.now.alone is not None
        newest = chain[-1]
        if len(chain) == 1:
            still = model.static_gaussians(newest.encoded)
            alone = Interval(
                newest.number, newest.number, newest.time, newest.time, still, opens=True
            )
            self.now = replace(self.now, key=newest, alone=alone)
            return []
        with self._timed("decode"):
            encoded = [key.encoded for key in chain]
            cat = type(encoded[0]).cat
            decoded = model.decode(cat(encoded[:-1]), cat(encoded[1:]))
        intervals: list[Interval] = []
        for i, (first, second) in enumerate(pairwise(chain)):
            interval = Interval(
                first.number,
                second.number,
                first.time,
                second.time,
                decoded.element(i),
                opens=opens and i == 0,
            )
            if not interval.opens:
                interval = self._follow(interval, model.static_gaussians(first.encoded))
            intervals.append(interval)
            self._keep(interval)
        self.now = replace(self.now, key=newest, alone=None)
        return intervals

    def _follow(self, interval: Interval, surface: DynamicGaussians) -> Interval:
        """Unite a decoded pair with what the last interval hands on.

        Args:
            interval: The pair by itself.
            surface: Its first key frame's own Gaussians.
        """
        last = self.now.live[-1]
        ending = last.gaussians.select(slice(last.num_first), dim=1)
        if not self._max_persistent:
            return replace(interval, ended=ending)
        still = stand_still(ending, 1.0)
        succession = succeed(
            still,
            self.now.pool or empty_pool(self._max_persistent, still),
            surface,
            self._image_size,
            backend=self._backend,
        )
        pool = succession.survivors
        self.now = replace(self.now, pool=pool)
        return replace(
            interval,
            gaussians=DynamicGaussians.cat([interval.gaussians, pool.gaussians], dim=1),
            num_survivors=self._max_persistent,
            ended=succession.leaving,
        )

    def _keep(self, interval: Interval) -> None:
        live = (*self.now.live, interval)[-_LIVE_INTERVALS:]
        self.now = replace(self.now, live=live)
