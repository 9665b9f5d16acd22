"""How well points are followed: ``python benchmarks/tracking.py``.

Points on a grid over the first frame of procedural scenes, whose motion and occlusion are known
exactly, are followed through key frames that come one by one. Rows:

* network: the tracker on the Gaussians of a network, which gets exact depth.
* oracle: the tracker on one Gaussian for each pixel at its true depth and with its true motion, so
  that the tracker is measured apart from any network. Its opacity windows are *constant* (all
  Gaussians stay opaque) or *fading* (those of a key frame give way to those of the next).
* still: points that stay where they are, and are always visible.
* LK, DIS: OpenCV's sparse pyramidal Lucas-Kanade and dense inverse search, chained over the same
  key frames, linear in between; visible until a step's round trip misses by more than a pixel.

Columns, over key frames and three times between each two, means over scenes: mean position error in
pixels and the share of points within 1, 2, 4 and 8 pixels, both where the point is truly visible;
the share of all points whose visibility is right; the median error where they are hidden; and what
the tracker, without session and network, takes for an interval with its four times.
"""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from pixel_oracle import PixelOracle, canonical_displacement
from torch import Tensor
from tqdm import tqdm

from configs.options_inference import EMBEDDED_MODEL
from core.checks import UserError, cli_errors
from core.command_line import parse
from core.data.procedural import ProceduralOptions, ProceduralScenes, ProceduralSource
from core.geometry.canonical import normalize_inverse_depth
from core.geometry.fit import FrameFit
from core.models import load_model
from core.streaming import PairModel, Session
from core.tracking import PointTracks, Tracker, grid_points

INSIDE = (0.25, 0.5, 0.75)
THRESHOLDS = (1, 2, 4, 8)
_WINDOWS = {"constant": 0.0, "fading": 12.0}
_ROUND_TRIP_PX = 1.0
_SAME_SURFACE = 0.05
"""Change of a pixel's inverse depth beyond which its nearest neighbour is across an edge."""


@dataclass(frozen=True)
class Options:
    """Score tracking on scenes with exact motion."""

    scenes: int = 8
    """How many scenes."""
    keys: int = 12
    """Key frames of a scene."""
    columns: int = 16
    """Points side by side on the grid."""
    object_motion: float = 0.25
    """Longest path of an object within a scene, as a fraction of the width."""
    camera_motion: float = 0.05
    """The same for the camera."""
    resume: str = str(EMBEDDED_MODEL)
    """Weights of the network: a file, a folder or a hub id."""

    def __post_init__(self) -> None:
        if self.scenes < 1 or self.keys < 2:
            raise UserError("give at least 1 for --scenes and at least 2 for --keys.")


@dataclass(frozen=True)
class Truth:
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
    places: Float[Tensor, "t n 2"]
    visible: Bool[Tensor, "t n"]


@dataclass(frozen=True)
class Guess:
    """What a method says."""

    places: Float[Tensor, "t n 2"]
    visible: Bool[Tensor, "t n"]
    seconds: float = math.nan
    """Time of an interval."""


def make_truth(index: int, size: tuple[int, int], options: Options) -> Truth:
    """Build scene ``index`` and render it."""
    scene_options = ProceduralOptions(
        height=size[0],
        width=size[1],
        object_motion=options.object_motion,
        camera_motion=options.camera_motion,
    )
    scene = ProceduralSource(scene_options, seed=23).sample_scenes([index])
    keys = [i / (options.keys - 1) for i in range(options.keys)]
    times = [a + t * (b - a) for a, b in pairwise(keys) for t in INSIDE] + keys[1:]
    times.sort()
    views = scene.render(torch.tensor([keys]))
    points = grid_points(size, options.columns)
    tracks = scene.track(points[None], torch.zeros(1), torch.tensor([times]))
    depths = normalize_inverse_depth(views.inverse_depths)[0, :, 0]
    return Truth(
        scene, keys, times, views.frames[0], depths, points, tracks.points[0], tracks.visible[0]
    )


def make_oracle(truth: Truth, slope: float) -> PixelOracle:
    """Know the scene's motion."""

    def displacement(start: int, end: int) -> Float[Tensor, "1 n 3"]:
        begin, until = (torch.tensor([truth.keys[i]]) for i in (start, end))
        flow, visible = truth.scene.flow(begin, until)
        height, width = visible.shape[1:]
        v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        there = (torch.stack([u, v], dim=-1) + flow).round().long()
        column, row = there[..., 0].clamp(0, width - 1), there[..., 1].clamp(0, height - 1)
        change = truth.depths[end][row, column] - truth.depths[start]
        same = visible & (change.abs() < _SAME_SURFACE)
        return canonical_displacement(flow, torch.where(same, change, 0.0))

    last = len(truth.keys) - 1
    return PixelOracle(
        forward=[displacement(i, i + 1) for i in range(last)],
        backward=[displacement(max(i, 1), max(i, 1) - 1) for i in range(last + 1)],
        slope=slope,
    )


def follow(model: PairModel, truth: Truth) -> Guess:
    """Run a session and the tracker."""
    size = (truth.frames.shape[2], truth.frames.shape[3])
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
    return Guess(tracks.points, tracks.visible, seconds / len(parts))


def chain(truth: Truth, step: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> Guess:
    """Follow points from key frame to key frame with ``step(before, after, places)``."""
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
    return Guess(between.float(), seen[first + 1])


def lucas_kanade(before: np.ndarray, after: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Follow points by OpenCV's pyramidal Lucas-Kanade."""
    start = np.ascontiguousarray(places[:, None], dtype=np.float32)
    found, _, _ = cv2.calcOpticalFlowPyrLK(before, after, start, start.copy())
    return found[:, 0]


def dense_search(before: np.ndarray, after: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Follow points by OpenCV's DIS optical flow."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow = torch.from_numpy(dis.calc(before, after, np.zeros((*before.shape, 2), np.float32)))
    height, width = before.shape
    grid = (2 * torch.from_numpy(places) + 1) / torch.tensor([width, height]) - 1
    moved = F.grid_sample(
        rearrange(flow, "h w uv -> 1 uv h w"),
        grid[None, None],
        padding_mode="border",
        align_corners=False,
    )
    return places + moved[0, :, 0].T.numpy()


def score(guess: Guess, truth: Truth) -> list[float]:
    """Return the columns of the table."""
    errors = (guess.places - truth.places).norm(dim=-1)
    seen, hidden = errors[truth.visible], errors[~truth.visible]
    within = [100 * (seen < limit).float().mean().item() for limit in THRESHOLDS]
    right = 100 * (guess.visible == truth.visible).float().mean().item()
    behind = hidden.median().item() if len(hidden) else math.nan
    return [seen.mean().item(), *within, right, behind, 1000 * guess.seconds]


def row(name: str, scores: list[list[float]]) -> str:
    """Return a line of the table: means over scenes."""
    means = torch.tensor(scores).nanmean(0).tolist()
    formats = [".2f", *[".1f"] * (len(THRESHOLDS) + 1), ".2f", ".0f"]
    cells = ["" if math.isnan(v) else f"{v:{f}}" for v, f in zip(means, formats, strict=True)]
    return f"| {name} | {' | '.join(cells)} |"


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = parse(Options)
    network = load_model(options.resume)
    size = (network.config.image_height, network.config.image_width)
    scores: dict[str, list[list[float]]] = {}
    hidden = total = 0
    for index in tqdm(range(options.scenes), unit="scene", disable=None):
        truth = make_truth(index, size, options)
        hidden, total = hidden + (~truth.visible).sum().item(), total + truth.visible.numel()
        always = torch.ones_like(truth.visible)
        guesses = {"still": Guess(truth.points.expand_as(truth.places), always)}
        guesses["LK"] = chain(truth, lucas_kanade)
        guesses["DIS"] = chain(truth, dense_search)
        guesses["network"] = follow(network, truth)
        for window, slope in _WINDOWS.items():
            guesses[f"oracle, {window}"] = follow(make_oracle(truth, slope), truth)
        for name, guess in guesses.items():
            scores.setdefault(name, []).append(score(guess, truth))
    points = len(grid_points(size, options.columns))
    print(
        f"{datetime.date.today()}, {options.scenes} scenes of {options.keys} key frames, "
        f"{size[0]} x {size[1]}, {points} points, hidden {100 * hidden / total:.1f} % of the time"
    )
    within = " | ".join(f"< {limit} px, %" for limit in THRESHOLDS)
    print(f"\n| | error, px | {within} | visibility right, % | hidden: median, px | ms |")
    print("|---" + "|---:" * (len(THRESHOLDS) + 4) + "|")
    for name, values in scores.items():
        print(row(name, values))


if __name__ == "__main__":
    main()
