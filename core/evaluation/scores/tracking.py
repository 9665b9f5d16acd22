"""How well points are followed through key frames, where their true places are known."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from core.data.procedural import ProceduralScenes
from core.geometry.canonical import normalize_inverse_depth
from core.geometry.fit import FrameFit
from core.geometry.optical_flow import grey_flow
from core.streaming import PairModel, Session
from core.tracking import PointTracks, Tracker, grid_points

INSIDE = (0.25, 0.5, 0.75)
"""Times between two key frames at which points are asked for, as shares of the interval."""
THRESHOLDS_PX = (1, 2, 4, 8)
_COLUMNS = 16
_ROUND_TRIP_PX = 1.0


@dataclass(frozen=True)
class TrackTruth:
    """What is known of a scene."""

    scene: ProceduralScenes
    keys: list[float]
    """Times of the key frames."""
    times: list[float]
    """Times that are scored: between key frames and at all but the first."""
    frames: Float[Tensor, "k 3 h w"]
    depths: Float[Tensor, "k h w"]
    """Inverse depth of the key frames, each normalised by itself."""
    points: Float[Tensor, "n 2"]
    """Pixel coordinates on a grid over the first key frame."""
    places: Float[Tensor, "t n 2"]
    visible: Bool[Tensor, "t n"]


@dataclass(frozen=True)
class TrackGuess:
    """What a method says."""

    places: Float[Tensor, "t n 2"]
    visible: Bool[Tensor, "t n"]
    seconds: float = math.nan
    """Time that following takes for an interval, without the network."""


@dataclass(frozen=True)
class TrackScores:
    """Position errors where points are truly visible, and how right visibility is."""

    error_px: float
    """Mean position error, pixels."""
    within: dict[int, float]
    """Share of points whose error is below each of ``THRESHOLDS_PX``."""
    visibility: float
    """Share of all points whose visibility is right."""
    hidden_error_px: float
    """Median position error where points are truly hidden; NaN where none is."""


def make_truth(scene: ProceduralScenes, keys: Sequence[float], columns: int) -> TrackTruth:
    """Choose a grid of points in the first key frame, and follow them exactly.

    Args:
        scene: One scene.
        keys: Times of the key frames, rising.
        columns: Points side by side.
    """
    times = [a + t * (b - a) for a, b in pairwise(keys) for t in INSIDE] + list(keys[1:])
    times.sort()
    views = scene.render(torch.tensor([list(keys)]))
    points = grid_points(scene.image_size, columns)
    tracks = scene.track(points[None], torch.tensor([keys[0]]), torch.tensor([times]))
    depths = normalize_inverse_depth(views.inverse_depths)[0, :, 0]
    return TrackTruth(
        scene,
        list(keys),
        times,
        views.frames[0],
        depths,
        points,
        tracks.points[0],
        tracks.visible[0],
    )


def follow(model: PairModel, truth: TrackTruth) -> TrackGuess:
    """Run a session and the tracker on its Gaussians."""
    size = truth.scene.image_size
    tracker = Tracker(truth.points, truth.keys[0], FrameFit(size, size))
    parts, seconds = [], 0.0
    with Session(model, image_size=size, detect_cuts=False) as session:
        for key, frame, depth in zip(truth.keys, truth.frames, truth.depths, strict=True):
            for interval in session.push(frame, key, depth):
                start = time.perf_counter()
                times = [t for t in truth.times if interval.first_time < t <= interval.second_time]
                parts.append(tracker.advance(interval, times))
                seconds += time.perf_counter() - start
    tracks = PointTracks.cat(parts)
    return TrackGuess(tracks.points.cpu(), tracks.visible.cpu(), seconds / len(parts))


def stand_still(truth: TrackTruth) -> TrackGuess:
    """Say that points stay where they are, always visible."""
    return TrackGuess(truth.points.expand_as(truth.places), torch.ones_like(truth.visible))


def chain(
    truth: TrackTruth, step: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
) -> TrackGuess:
    """Follow points from key frame to key frame with ``step(before, after, places)``.

    Linear in between; visible until a step's round trip misses by more than a pixel.
    """
    pictures = (truth.frames * 255).round().byte()
    grey = [
        cv2.cvtColor(rearrange(picture, "c h w -> h w c").numpy(), cv2.COLOR_RGB2GRAY)
        for picture in pictures
    ]
    places, visible = [truth.points.numpy()], [np.ones(len(truth.points), bool)]
    for before, after in pairwise(grey):
        there = step(before, after, places[-1])
        back = step(after, before, there)
        returns = np.linalg.norm(back - places[-1], axis=-1) <= _ROUND_TRIP_PX
        height, width = after.shape
        inside = ((there > -0.5) & (there < np.array([width, height]) - 0.5)).all(-1)
        places.append(there)
        visible.append(visible[-1] & returns & inside)
    moments = np.interp(truth.times, truth.keys, range(len(truth.keys)))
    first = np.minimum(moments.astype(int), len(truth.keys) - 2)
    share = torch.from_numpy(moments - first)[:, None, None]
    at_keys, seen = torch.from_numpy(np.stack(places)), torch.from_numpy(np.stack(visible))
    between = torch.lerp(at_keys[first].double(), at_keys[first + 1].double(), share)
    return TrackGuess(between.float(), seen[first + 1])


def lucas_kanade(before: np.ndarray, after: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Follow points by OpenCV's pyramidal Lucas-Kanade."""
    start = np.ascontiguousarray(places[:, None], dtype=np.float32)
    found, _, _ = cv2.calcOpticalFlowPyrLK(before, after, start, start.copy())
    return found[:, 0]


def dense_search(before: np.ndarray, after: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Follow points by OpenCV's DIS optical flow."""
    flow = torch.from_numpy(grey_flow(before, after))
    height, width = before.shape
    grid = (2 * torch.from_numpy(places) + 1) / torch.tensor([width, height]) - 1
    moved = F.grid_sample(
        rearrange(flow, "h w uv -> 1 uv h w"),
        grid[None, None],
        padding_mode="border",
        align_corners=False,
    )
    return places + moved[0, :, 0].T.numpy()


def score(guess: TrackGuess, truth: TrackTruth) -> TrackScores:
    """Compare with the truth."""
    errors = (guess.places - truth.places).norm(dim=-1)
    seen, hidden = errors[truth.visible], errors[~truth.visible]
    return TrackScores(
        error_px=seen.mean().item(),
        within={limit: (seen < limit).float().mean().item() for limit in THRESHOLDS_PX},
        visibility=(guess.visible == truth.visible).float().mean().item(),
        hidden_error_px=hidden.median().item() if len(hidden) else math.nan,
    )


def score_tracking(
    model: PairModel, network: str, scene: ProceduralScenes, keys: Sequence[float]
) -> dict[str, dict[str, float]]:
    """Follow points through key frames of a scene by the network and by what needs none.

    Args:
        model: The network.
        network: What tables call it.
        scene: One scene.
        keys: Times of the key frames, rising, at least two.

    Returns:
        ``error_px``, ``within_1px`` and so on, and ``visibility`` by method.
    """
    truth = make_truth(scene, keys, _COLUMNS)
    guesses = {
        network: follow(model, truth),
        "still": stand_still(truth),
        "LK": chain(truth, lucas_kanade),
        "DIS": chain(truth, dense_search),
    }
    scores = {name: score(guess, truth) for name, guess in guesses.items()}
    return {
        name: {
            "error_px": value.error_px,
            **{f"within_{limit}px": share for limit, share in value.within.items()},
            "visibility": value.visibility,
        }
        for name, value in scores.items()
    }
