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
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from core.geometry.canonical import canonical_from_pixels
from core.geometry.fit import FrameFit
from core.scene_file import SceneReader
from core.streaming import StoredScene
from core.tracking import PointTracks, Tracker, grid_points

_POINTS = 220
"""About how many; of frames of 16:9 they are 20 by 11."""
_KEPT_INTERVALS = 8
"""Intervals over which a grid is followed; most of its points stay in the picture as long."""


def write_tracks(reader: SceneReader) -> str:
    """Follow points through a scene; see the module for what the text holds.

    Raises:
        UserError: If the scene file is damaged.
    """
    fit = reader.header.fit
    points = _grid(fit)
    groups = [_group(PointTracks.cat(parts), fit) for parts in _followed(reader, points)]
    return json.dumps({"count": len(points), "groups": groups}, separators=(",", ":"))


def _grid(fit: FrameFit) -> Float[Tensor, "n 2"]:
    """Return points spread over what the model sees of a frame, input pixels."""
    window = fit.source
    columns = max(1, round(math.sqrt(_POINTS * window.width / window.height)))
    grid = grid_points((window.height, window.width), columns)
    return grid + grid.new_tensor([window.left, window.top])


def _followed(reader: SceneReader, points: Float[Tensor, "n 2"]) -> Iterator[list[PointTracks]]:
    """Yield the tracks of each grid."""
    scene = StoredScene(reader)
    tracker: Tracker | None = None
    parts: list[PointTracks] = []
    for number in range(len(reader.intervals)):
        interval = scene.interval(number)
        begin, end = interval.first_time, interval.second_time
        times = {(begin + end) / 2, end}
        if tracker is None or interval.opens or len(parts) == _KEPT_INTERVALS:
            if parts:
                yield parts
            tracker, parts = Tracker(points, begin, reader.header.fit), []
            times.add(begin)
        parts.append(tracker.advance(interval, sorted(times)))
    if parts:
        yield parts


def _group(tracks: PointTracks, fit: FrameFit) -> dict[str, object]:
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
