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
from dataclasses import dataclass

import torch
from jaxtyping import Float
from pixel_oracle import PixelOracle, canonical_displacement
from torch import Tensor
from tqdm import tqdm

from configs.options_inference import EMBEDDED_MODEL
from core.checks import UserError, cli_errors
from core.command_line import parse
from core.data.procedural import ProceduralOptions, ProceduralSource
from core.evaluation.scores.tracking import (
    THRESHOLDS_PX,
    TrackGuess,
    TrackTruth,
    chain,
    dense_search,
    follow,
    lucas_kanade,
    make_truth,
    score,
    stand_still,
)
from core.models import load_model
from core.tracking import grid_points

_WINDOWS = {"constant": 0.0, "fading": 12.0}
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


def scene_truth(index: int, size: tuple[int, int], options: Options) -> TrackTruth:
    """Build scene ``index`` and render it."""
    scene_options = ProceduralOptions(
        height=size[0],
        width=size[1],
        object_motion=options.object_motion,
        camera_motion=options.camera_motion,
    )
    scene = ProceduralSource(scene_options, seed=23).sample_scenes([index])
    return make_truth(scene, [i / (options.keys - 1) for i in range(options.keys)], options.columns)


def make_oracle(truth: TrackTruth, slope: float) -> PixelOracle:
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


def columns(guess: TrackGuess, truth: TrackTruth) -> list[float]:
    """Return the columns of the table."""
    scores = score(guess, truth)
    within = [100 * share for share in scores.within.values()]
    right = 100 * scores.visibility
    return [scores.error_px, *within, right, scores.hidden_error_px, 1000 * guess.seconds]


def row(name: str, scores: list[list[float]]) -> str:
    """Return a line of the table: means over scenes."""
    means = torch.tensor(scores).nanmean(0).tolist()
    formats = [".2f", *[".1f"] * (len(THRESHOLDS_PX) + 1), ".2f", ".0f"]
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
        truth = scene_truth(index, size, options)
        hidden, total = hidden + (~truth.visible).sum().item(), total + truth.visible.numel()
        guesses = {"still": stand_still(truth)}
        guesses["LK"] = chain(truth, lucas_kanade)
        guesses["DIS"] = chain(truth, dense_search)
        guesses["network"] = follow(network, truth)
        for window, slope in _WINDOWS.items():
            guesses[f"oracle, {window}"] = follow(make_oracle(truth, slope), truth)
        for name, guess in guesses.items():
            scores.setdefault(name, []).append(columns(guess, truth))
    points = len(grid_points(size, options.columns))
    print(
        f"{datetime.date.today()}, {options.scenes} scenes of {options.keys} key frames, "
        f"{size[0]} x {size[1]}, {points} points, hidden {100 * hidden / total:.1f} % of the time"
    )
    within = " | ".join(f"< {limit} px, %" for limit in THRESHOLDS_PX)
    print(f"\n| | error, px | {within} | visibility right, % | hidden: median, px | ms |")
    print("|---" + "|---:" * (len(THRESHOLDS_PX) + 4) + "|")
    for name, values in scores.items():
        print(row(name, values))


if __name__ == "__main__":
    main()
