"""Intervals of a scene file, as the session that wrote it had them."""

from __future__ import annotations

from functools import lru_cache

import torch

from core.scene_file import SceneReader
from core.streaming.interval import Interval
from core.types import DynamicGaussians


class StoredScene:
    """Gives the intervals of an open scene file, ready to be rendered.

    Stream time is in seconds. Intervals hold no frames and no survivors, which the file leaves out.

    Args:
        reader: The open file; its owner closes it.
        device: Where the Gaussians are put.
    """

    def __init__(self, reader: SceneReader, device: torch.device | str = "cpu") -> None:
        self.reader = reader
        """The open file."""
        self._device = torch.device(device)
        # An interval asks for the one before, and several times are often in one interval.
        self._gaussians = lru_cache(maxsize=2)(self._read)

    def interval(self, number: int, *, with_ended: bool = True) -> Interval:
        """Return an interval.

        Args:
            number: Counted from 0.
            with_ended: Whether to read what fades out at its beginning, too.

        Raises:
            UserError: If the file is damaged there.
        """
        entry = self.reader.intervals[number]
        ended = None
        if with_ended and not entry.opens:
            before = self._gaussians(number - 1)
            ended = before.select(slice(before.num_gaussians // 2), dim=1)
        return Interval(
            first=entry.first,
            second=entry.second,
            first_time=entry.first_time,
            second_time=entry.second_time,
            gaussians=self._gaussians(number),
            opens=entry.opens,
            ended=ended,
        )

    def at(self, seconds: float) -> tuple[Interval, float]:
        """Return the interval that shows a time, and the pair time in it.

        Raises:
            UserError: If the time is outside of the scene, or the file is damaged there.
        """
        number, time = self.reader.locate(seconds)
        return self.interval(number), time

    def _read(self, number: int) -> DynamicGaussians:
        return self.reader.read_interval(number).to(self._device)
