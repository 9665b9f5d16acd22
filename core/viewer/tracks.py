"""Tracks of a grid of points through a stored scene, as the player takes them.

Text of JSON, ``{"count": n, "groups": [{"times": [...], "places": "...", "visible": "..."}]}``,
binary values in base64. A group's points are followed from its first time to its last one, in
seconds; the next group begins there with a new grid, or after a cut. ``places`` are little-endian
uint16 of shape (t, n, 3): x, inverse depth and z, levels of [-2, 2], [0, 1] and [-2, 2].
``visible`` are ``t * n`` bits, the first one the highest of the first byte. Between times places
are interpolated.
"""

from __future__ import annotations

import base64
import json
import math
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.geometry.canonical import canonical_from_pixels
from core.geometry.fit import FrameFit
from core.scene_file import open_scene
from core.streaming import StoredScene
from core.tracking import PointTracks, Tracker, grid_points

GroupTracks = dict[str, object]
"""A group, as the text holds it."""
_POINTS = 220
"""About how many; of frames of 16:9 they are 20 by 11."""
_KEPT_INTERVALS = 8
"""Intervals over which a grid is followed; most of its points stay in the picture as long."""
_THREADS = 4
"""In which groups are followed."""


def write_tracks(scene: Path, device: torch.device | str = "cpu") -> str:
    """Follow points through a scene file; see the module for what the text holds.

    Args:
        scene: The file.
        device: Where to compute; several groups are followed at once.

    Raises:
        UserError: If it is damaged.
    """
    with open_scene(scene) as reader:
        fit = reader.header.fit
        parts = group_intervals([interval.opens for interval in reader.intervals])
    follow = partial(follow_group, scene, device)
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1), "tracks") as threads:
        return tracks_text(threads.map(follow, parts), fit)


def tracks_text(groups: Iterable[GroupTracks], fit: FrameFit) -> str:
    """Return the text of all groups; see the module for what it holds."""
    return json.dumps({"count": len(_grid(fit)), "groups": [*groups]}, separators=(",", ":"))


def _grid(fit: FrameFit) -> Float[Tensor, "n 2"]:
    """Return points spread over what the model sees of a frame, input pixels."""
    window = fit.source
    columns = max(1, round(math.sqrt(_POINTS * window.width / window.height)))
    grid = grid_points((window.height, window.width), columns)
    return grid + grid.new_tensor([window.left, window.top])


def group_intervals(opens: Sequence[bool]) -> list[range]:
    """Return the intervals of each group, from whether each one opens a shot.

    Of a scene that grows, all but the last group stay what they are.
    """
    begins: list[int] = []
    for number, is_opening in enumerate(opens):
        if not begins or is_opening or number - begins[-1] == _KEPT_INTERVALS:
            begins.append(number)
    return [range(*ends) for ends in pairwise([*begins, len(opens)])]


def follow_group(path: Path, device: torch.device | str, numbers: range) -> GroupTracks:
    """Follow a grid of points through some intervals of a file; see the module."""
    with open_scene(path) as reader:  # of this thread
        follower = GroupFollower(StoredScene(reader, device), numbers[0])
        for _ in numbers:
            follower.advance()
        return follower.tracks()


class GroupFollower:
    """Follows a grid of points through the intervals of a group, one after the other.

    Args:
        scene: May grow.
        number: Of the group's first interval.
    """

    def __init__(self, scene: StoredScene, number: int) -> None:
        self._scene = scene
        self._fit = scene.reader.header.fit
        begin = scene.reader.intervals[number].first_time
        self._tracker = Tracker(_grid(self._fit), begin, self._fit)
        self._tracks: list[PointTracks] = []
        self.number = number
        """The interval that is next."""

    def advance(self) -> None:
        """Follow the points through the next interval."""
        interval = self._scene.interval(self.number, with_ended=False)
        begin, end = interval.first_time, interval.second_time
        times = {(begin + end) / 2, end, *([] if self._tracks else [begin])}
        self._tracks.append(self._tracker.advance(interval, sorted(times)))
        self.number += 1

    def tracks(self) -> GroupTracks:
        """Return the tracks so far; at least one interval was followed."""
        return _packed(PointTracks.cat(self._tracks).to("cpu"), self._fit)


def _packed(tracks: PointTracks, fit: FrameFit) -> GroupTracks:
    in_model = fit.points_to_model(tracks.points)
    places = canonical_from_pixels(in_model, tracks.inverse_depths, fit.model_size)
    low, span = torch.tensor([-2.0, 0.0, -2.0]), torch.tensor([4.0, 1.0, 4.0])
    levels = ((places - low) / span * 65535).round().clamp(0, 65535).numpy().astype("<u2")
    return {
        "times": [round(time, 6) for time in tracks.times.tolist()],
        "places": _base64(levels),
        "visible": _base64(np.packbits(tracks.visible.numpy())),
    }


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(values.tobytes()).decode()
