"""What a pool of survivors gains: ``python benchmarks/persistence.py``.

Sessions on procedural scenes, whose moving objects hide and reveal what is behind them, with pools
of several sizes; the first, 0, is the baseline. Everything is known exactly, so that the rule is
measured apart from any network: an oracle makes one Gaussian of each pixel of a key frame, at its
true depth and with its true motion. Its opacity windows are either *constant* (what is hidden
stays, covered by what is nearer) or *fading* (the Gaussians of a key frame give way to those of the
other). ``--resume`` adds a network, from which the same is asked.

Columns, means over scenes:

* hidden: of the pixels that a moving object covers at a key frame and whose background an earlier
  key frame has seen, the share at which the scene behind the object's surface has the background's
  colour (error below 0.1) and covers it (opacity above 0.5).
* revealed: PSNR between key frames, over the pixels that the key frame before does not show.
* PSNR: between key frames, all pixels, dB.
* Gaussians: how many there are between key frames, faded ones left out.
* ms: time of a key frame, with three rendered times, the oracle or network included.
"""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Generic

import torch
from jaxtyping import Bool, Float
from pixel_oracle import PixelOracle, canonical_displacement
from torch import Tensor
from tqdm import tqdm

from core.checks import UserError, cli_errors
from core.command_line import parse
from core.data.procedural import ProceduralOptions, ProceduralScenes, ProceduralSource
from core.models import load_model
from core.rendering import render
from core.streaming import PairModel, Session
from core.streaming.interval import stand_still
from core.streaming.pair_model import EncodedT
from core.streaming.survivors import MARGIN, surface_of

INSIDE = (0.25, 0.5, 0.75)
RECOVERED_ERROR = 0.1
_WINDOWS = {"constant": 0.0, "fading": 12.0}


@dataclass(frozen=True)
class Options:
    """Measure the pool of survivors on scenes with known occlusion."""

    pools: tuple[int, ...] = (0, 1024, 4096, 16384)
    """Sizes of the pool; the first is the baseline."""
    scenes: int = 4
    """How many scenes."""
    keys: int = 12
    """Key frames of a scene."""
    height: int = 144
    """Height of the oracle's frames in pixels."""
    width: int = 256
    """Width of the oracle's frames in pixels."""
    resume: str | None = None
    """Weights of a network to measure beside the oracle, at its own size."""

    def __post_init__(self) -> None:
        if not self.pools or min(self.pools) < 0:
            raise UserError("--pools: give sizes of at least 0, for example 0 4096.")
        if self.scenes < 1 or self.keys < 3:
            raise UserError("give at least 1 for --scenes and at least 3 for --keys.")


@dataclass(frozen=True)
class TrueFrame:
    """A frame between two key frames."""

    time: float
    image: Float[Tensor, "3 h w"]
    revealed: Bool[Tensor, "h w"]
    """What the key frame before does not show."""


@dataclass(frozen=True)
class Truth:
    """What is known of a scene; lists run over its key frames."""

    times: list[float]
    frames: list[Float[Tensor, "1 3 h w"]]
    inverse_depths: list[Float[Tensor, "1 1 h w"]]
    """Normalised over the whole clip, so that one scale holds for all."""
    inside: list[list[TrueFrame]]
    """Between the key frame before and this one; none for the first."""
    forward: list[Float[Tensor, "1 n 3"]]
    """Canonical displacement of each pixel until the next key frame; zeros for the last."""
    backward: list[Float[Tensor, "1 n 3"]]
    """Displacement until the key frame before; zeros for the first."""
    backgrounds: list[Float[Tensor, "3 h w"]]
    """The scene without what moves on its own."""
    hidden: list[Bool[Tensor, "h w"]]
    """What a moving object covers, and an earlier key frame has seen the background of."""


@torch.inference_mode()
def make_truth(index: int, options: ProceduralOptions, keys: int) -> Truth:
    """Build scene ``index`` and render it."""
    scene = ProceduralSource(options, seed=11).sample_scenes([index])
    background = without_moving(scene)
    times = [i / (keys - 1) for i in range(keys)]
    views = scene.render(torch.tensor([times]))
    low, high = views.inverse_depths.aminmax()
    depths = (views.inverse_depths - low) / (high - low)

    def flow(start: float, end: float) -> tuple[Tensor, Tensor]:
        moved, visible = scene.flow(torch.tensor([start]), torch.tensor([end]))
        return canonical_displacement(moved, torch.zeros_like(moved[..., 0])), visible[0]

    inside: list[list[TrueFrame]] = [[]]
    for first, second in pairwise(times):
        between = [first + t * (second - first) for t in INSIDE]
        images = scene.render(torch.tensor([between])).frames[0]
        inside.append(
            [
                TrueFrame(t, image, ~flow(t, first)[1])
                for t, image in zip(between, images, strict=True)
            ]
        )
    forward = [flow(first, second)[0] for first, second in pairwise(times)]
    backward = [flow(second, first)[0] for first, second in pairwise(times)]
    return Truth(
        times=times,
        frames=[views.frames[:, i] for i in range(keys)],
        inverse_depths=[depths[:, i] for i in range(keys)],
        inside=inside,
        forward=[*forward, torch.zeros_like(forward[0])],
        backward=[torch.zeros_like(forward[0]), *backward],
        backgrounds=list(background.render(torch.tensor([times])).frames[0]),
        hidden=[known_behind(background, views.masks[0, :, 0], times, i) for i in range(keys)],
    )


def without_moving(scene: ProceduralScenes) -> ProceduralScenes:
    """Return the scene with nothing in it that moves on its own."""
    stack, bodies = scene.stack, scene.bodies
    still = [i for i, moves in enumerate(stack.moving[0].tolist()) if not moves]
    kept = {
        name: value[:, still] for name, value in vars(stack).items() if isinstance(value, Tensor)
    }
    textures = tuple(stack.textures[i] for i in still)
    return replace(
        scene,
        stack=replace(stack, textures=textures, **kept),
        bodies=type(bodies)(*(value[:, still] for value in vars(bodies).values())),
    )


def known_behind(
    background: ProceduralScenes, masks: Float[Tensor, "keys h w"], times: list[float], key: int
) -> Bool[Tensor, "h w"]:
    """Return the pixels that a moving object covers, but whose background was seen before."""
    covered = masks[key] > 0.5
    if key == 0:
        return torch.zeros_like(covered)
    height, width = covered.shape
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    points = torch.stack([u, v], dim=-1).reshape(1, -1, 2).float()
    tracks = background.track(points, torch.tensor([times[key]]), torch.tensor([times[:key]]))
    u, v = tracks.points[0].round().long().unbind(-1)
    before = torch.arange(key)[:, None]
    free = masks[before, v.clamp(0, height - 1), u.clamp(0, width - 1)] < 0.5
    return covered & (tracks.visible[0] & free).any(0).view_as(covered)


def oracle(truth: Truth, slope: float) -> PixelOracle:
    """Return a model that knows the scene."""
    return PixelOracle(truth.forward, truth.backward, slope)


class KnownDepth(Generic[EncodedT]):
    """A model that gets the true depth of a scene's key frames, which come one by one in order."""

    def __init__(self, model: PairModel[EncodedT], inverse_depths: list[Tensor]) -> None:
        self._depths = iter(inverse_depths)
        self._model = model
        self.decode, self.static_gaussians = model.decode, model.static_gaussians
        self.bend_motion = model.bend_motion

    def encode(self, images: Tensor, inverse_depths: Tensor) -> EncodedT:
        """Encode a frame with its true depth."""
        return self._model.encode(images, next(self._depths))


@dataclass
class Tally:
    """Sums over the key frames of a scene."""

    hidden: float = 0.0
    recovered: float = 0.0
    revealed_error: float = 0.0
    revealed: float = 0.0
    error: float = 0.0
    pictures: int = 0
    gaussians: float = 0.0
    seconds: float = 0.0
    keys: int = 0


def score_hidden(session: Session, truth: Truth, key: int, tally: Tally) -> None:
    """Count the hidden pixels whose background the session still has, at the newest key frame."""
    interval, size = session.intervals[-1], session.image_size
    n = interval.num_first
    surface = surface_of(interval.gaussians.select(slice(n, 2 * n), dim=1), size)
    scene = stand_still(session.scene(truth.times[key]), 1.0)
    x, depth, z = scene.means[0].unbind(-1)
    row = ((1 - z) * size[0] / 2).long().clamp(0, size[0] - 1)
    column = ((x + 1) * size[1] / 2).long().clamp(0, size[1] - 1)
    seen = render(
        scene.select(depth < surface[row, column] - MARGIN, dim=1), torch.ones(1, 1), size
    )
    right = (seen.rgb[0, 0] - truth.backgrounds[key]).abs().mean(0) < RECOVERED_ERROR
    tally.hidden += truth.hidden[key].sum().item()
    tally.recovered += (truth.hidden[key] & right & (seen.alpha[0, 0, 0] > 0.5)).sum().item()


def score_between(session: Session, truth: Truth, key: int, tally: Tally) -> None:
    """Compare the last interval with the truth inside it."""
    begin = time.perf_counter()
    pictures = session.render([frame.time for frame in truth.inside[key]]).rgb[0]
    tally.seconds += time.perf_counter() - begin
    for frame, picture in zip(truth.inside[key], pictures, strict=True):
        error = (picture - frame.image).square().mean(0)
        tally.error += error.mean().item()
        tally.revealed_error += error[frame.revealed].sum().item()
        tally.revealed += frame.revealed.sum().item()
        tally.pictures += 1
    tally.gaussians += session.scene(truth.inside[key][1].time).num_gaussians


@torch.inference_mode()
def run(model: PairModel, truth: Truth, pool: int) -> Tally:
    """Push a scene through a session."""
    tally = Tally()
    size = (truth.backgrounds[0].shape[1], truth.backgrounds[0].shape[2])
    known = KnownDepth(model, truth.inverse_depths)
    with Session(known, image_size=size, max_persistent=pool, detect_cuts=False) as session:
        for key, frame in enumerate(truth.frames):
            begin = time.perf_counter()
            session.push(frame, truth.times[key])
            tally.seconds += time.perf_counter() - begin
            if key:
                score_between(session, truth, key, tally)
                score_hidden(session, truth, key, tally)
                tally.keys += 1
    return tally


def row(name: str, tallies: list[Tally]) -> str:
    """Return a line of the table."""

    def mean(values: Iterator[float]) -> float:
        numbers = [value for value in values if math.isfinite(value)]
        return sum(numbers) / len(numbers) if numbers else math.nan

    def decibels(error: float) -> float:
        return -10 * math.log10(error)

    hidden = mean(t.recovered / t.hidden if t.hidden else math.nan for t in tallies)
    revealed = mean(
        decibels(t.revealed_error / t.revealed) if t.revealed else math.nan for t in tallies
    )
    psnr = mean(decibels(t.error / t.pictures) for t in tallies)
    gaussians = mean(t.gaussians / t.keys for t in tallies)
    milliseconds = 1000 * mean(t.seconds / t.keys for t in tallies)
    return (
        f"| {name} | {100 * hidden:.1f} % | {revealed:.2f} | {psnr:.2f} | {gaussians:,.0f} | "
        f"{milliseconds:.0f} |"
    )


def build(options: Options, scene_options: ProceduralOptions) -> list[Truth]:
    """Make the scenes."""
    indices = tqdm(range(options.scenes), unit="scene", leave=False, disable=None)
    return [make_truth(i, scene_options, options.keys) for i in indices]


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = parse(Options)
    print(f"{datetime.date.today()}, {options.scenes} scenes of {options.keys} key frames")
    network = None if options.resume is None else load_model(options.resume)
    for camera in (0.0, 0.05):
        print(f"\ncamera motion {camera:g}\n\n| scene, pool | hidden | revealed | PSNR | ", end="")
        print("Gaussians | ms |\n|---|---:|---:|---:|---:|---:|")
        scene_options = ProceduralOptions(
            height=options.height,
            width=options.width,
            object_motion=0.25,
            camera_motion=camera,
            sensor_noise=0.0,
            shadow_opacity=0.0,
        )
        truths = build(options, scene_options)
        run(oracle(truths[0], 0.0), truths[0], 0)  # compiles the rasteriser
        for window, slope in _WINDOWS.items():
            for pool in options.pools:
                tallies = [run(oracle(truth, slope), truth, pool) for truth in truths]
                print(row(f"oracle, {window}, {pool}", tallies), flush=True)
        if network is not None:
            height, width = network.config.image_height, network.config.image_width
            truths = build(options, replace(scene_options, height=height, width=width))
            for pool in options.pools:
                print(row(f"network, {pool}", [run(network, t, pool) for t in truths]), flush=True)


if __name__ == "__main__":
    main()
