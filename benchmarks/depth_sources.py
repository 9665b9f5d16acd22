"""How good depth is by its source: ``python benchmarks/depth_sources.py FOLDER [FOLDER ...]``.

Folders of clips with measured depth, each with ``JPEGImages/*.jpg`` and ``Depth/*.png`` (16 bits,
millimetres, 0 for none). Every pixel that was measured counts. The baseline is *row*: the best
function of the image row, fitted to the truth of each frame.

* row: see above. It knows the truth.
* network: the network's own depth of each frame alone (``--depth none``).
* motion: ``--depth motion``, causal, from key frames, by the flow of the network's matcher.
* motion, each alone: key frames with the matches and the partners of *motion*, but no depth carried
  on; each aligned by scale and shift to the one before, where flow leads.
* motion, DIS: the same as *motion* by OpenCV's DIS, as for networks without a matcher.
* motion, both ways: ``core.depth.preprocess --source motion``, from all frames of the clip, by DIS
  at full resolution.

Columns, means over key frames:

* frame: share of pixels whose depth is within a factor of 1.25, each frame aligned by itself (scale
  and shift of the inverse depth).
* clip: the same with one scale and shift for all frames of the clip.
* tracks: mean absolute change of the logarithm of depth from key frame to key frame, beyond the
  true change, of points that DIS follows there and back; frames aligned as in *frame*.
* tracks, clip: the same, aligned as in *clip*.
* ms: processor time of a key frame, one thread, without flow and the network; and with them.

``benchmarks/streaming.py`` measures the time on a GPU, which depends on the size of the maps only.
"""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar, cast

import cv2
import numpy as np
import torch
import tyro
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from configs.options_inference import EMBEDDED_MODEL
from core.checks import UserError, cli_errors
from core.command_line import parse
from core.depth.motion.depth_map import DepthMap
from core.depth.motion.offline.clip_depth import clip_depth
from core.depth.motion.picture import working_picture
from core.depth.motion.stream import EstimateFlow, MotionDepth, slope
from core.evaluation.data.clips import Clip, ClipFrame
from core.evaluation.data.open import open_dataset_clips
from core.geometry.fit import FrameFit
from core.geometry.optical_flow import agreement, dis_flow, fine_flow, grey_flow, warp
from core.geometry.resample import resize
from core.metrics.depth import align_inverse_depth, depth_errors, row_means
from core.models import load_model
from core.streaming.depth_from_motion import MatchedMotion
from core.streaming.pair_model import MatchingModel, matching_of, own_inverse_depth

T = TypeVar("T")
Maps = list[Float[Tensor, "h w"]]
_FARTHEST = 100.0
_FORGOTTEN = 1e-6
"""What is left of the certainty of depth that is not to be carried on."""


@dataclass(frozen=True)
class Options:
    """Measure sources of depth on clips with measured depth."""

    clips: tyro.conf.Positional[tuple[Path, ...]]
    """Folders of clips."""
    frame_gap: int = 3
    """Distance between key frames."""
    fov: float | None = None
    """Angle of view along the longer side, degrees; by default motion estimates it."""
    resume: str = str(EMBEDDED_MODEL)
    """The network."""


@dataclass(frozen=True)
class Truth:
    """What is known of the key frames of a clip."""

    inverse: Float[Tensor, "t h w"]
    """Measured; 0 where nothing was."""
    flows: list[tuple[Tensor, Tensor]]
    """Flow from each key frame to the next, and where it can be trusted."""


class Clock:
    """Processor time of this thread, with that of flow and networks apart."""

    def __init__(self) -> None:
        self.flow = self.total = 0.0

    def estimate_flow(
        self, first: np.ndarray, second: np.ndarray, *, by: EstimateFlow = grey_flow
    ) -> np.ndarray:
        """Return DIS flow, and note its time."""
        return self.apart(lambda: by(first, second))

    def apart(self, work: Callable[[], T]) -> T:
        """Do a part of the work whose time is told apart: flow, or a network."""
        begin = time.thread_time()
        result = work()
        self.flow += time.thread_time() - begin
        return result

    def run(self, work: Callable[[], T]) -> T:
        """Do some work and note its time."""
        begin = time.thread_time()
        result = work()
        self.total += time.thread_time() - begin
        return result


def measured(frames: list[ClipFrame]) -> Truth:
    """Return what is known of key frames."""
    depths = [frame.sensor_depth for frame in frames]
    if any(depth is None for depth in depths):
        raise UserError("a frame has no measured depth; expected Depth/<stem>.png for each.")
    depth = torch.from_numpy(np.stack([depth for depth in depths if depth is not None]))
    images = [rearrange(torch.from_numpy(frame.image), "h w c -> c h w") for frame in frames]
    flows = []
    for first, second in pairwise(images):
        there, back = dis_flow(first, second), dis_flow(second, first)
        flows.append((there, agreement(there, back)))
    return Truth(torch.where(depth > 0, 1 / depth.clamp_min(1e-3), 0.0), flows)


def aligned(maps: Float[Tensor, "t h w"], truth: Float[Tensor, "t h w"]) -> Tensor:
    """Return inverse depths by the scale and shift that fit best."""
    valid = truth > 0
    scale, shift = align_inverse_depth(maps[valid], truth[valid])
    return (scale * maps + shift).clamp_min(1 / _FARTHEST)


def within(maps: Float[Tensor, "t h w"], truth: Float[Tensor, "t h w"]) -> float:
    """Return the mean share of good pixels."""
    errors = [
        depth_errors(values[known > 0], known[known > 0])
        for values, known in zip(maps, truth, strict=True)
    ]
    return float(np.mean([error.delta for error in errors]))


def change_along_tracks(maps: Float[Tensor, "t h w"], truth: Truth) -> float:
    """Return the mean change of log depth along the flow beyond the true one."""
    changes = []
    for i, (flow, trusted) in enumerate(truth.flows):
        values = torch.stack((maps[i + 1], truth.inverse[i + 1].clamp_min(1e-3)))[None].log()
        later = warp(values, flow[None])[0]
        nearest = warp((truth.inverse[i + 1] > 0).float()[None, None], flow[None])[0, 0]
        valid = trusted & (truth.inverse[i] > 0) & (nearest > 0.999)
        now, true = maps[i].log(), truth.inverse[i].clamp_min(1e-3).log()
        excess = (later[0] - now) - (later[1] - true)
        changes.append(excess[valid].abs().mean().item())
    return float(np.mean(changes))


def at_size(values: np.ndarray | Tensor, like: ClipFrame) -> Tensor:
    """Return a map at the size of its frame."""
    size = (like.image.shape[0], like.image.shape[1])
    return resize(torch.as_tensor(values)[None, None].float(), size)[0, 0]


def each_alone(
    matched: MatchedMotion, matching: MatchingModel, image: Float[Tensor, "1 3 h w"], fit: FrameFit
) -> Tensor:
    """Return the inverse depth of the next key frame if none is carried on; do not take it."""
    state = matched.state
    if state.found is not None:
        kept = state.found.kept
        forgotten = DepthMap(kept.inverse_depth, _FORGOTTEN * kept.certainty)
        matched.state = replace(state, found=replace(state.found, kept=forgotten))
    depth = matched.see(matching, image, fit).inverse_depth[0, 0]
    matched.state = state
    return depth


def one_after_the_other(maps: Float[Tensor, "t h w"], truth: Truth) -> Float[Tensor, "t h w"]:
    """Return inverse depths, each brought by scale and shift to the one before, along the flow."""
    found = [maps[0]]
    for values, (flow, trusted) in zip(maps[1:], truth.flows, strict=True):
        later = warp(values[None, None], flow[None])[0, 0]
        scale, shift = align_inverse_depth(later[trusted], found[-1][trusted])
        found.append((scale * values + shift).clamp_min(1 / _FARTHEST))
    return torch.stack(found)


class TimedMatching:
    """A network's matcher whose time is told apart."""

    def __init__(self, matching: MatchingModel, clock: Clock) -> None:
        self._matching = matching
        self._clock = clock

    def __getattr__(self, step: str) -> Callable[..., Any]:
        """Return a step that notes its time."""
        function = getattr(self._matching, step)
        return lambda *arguments: self._clock.apart(lambda: function(*arguments))


def sources(clip: Clip, options: Options) -> tuple[Truth, dict[str, tuple[Tensor, Clock]]]:
    """Return the maps of every source."""
    model = load_model(options.resume)
    size = (model.config.image_height, model.config.image_width)
    frames = clip.read(0, clip.num_frames - 1)
    keys = frames[:: options.frame_gap]
    truth = measured(keys)
    pictures = [working_picture(frame.image) for frame in frames]

    def image_of(frame: ClipFrame) -> Tensor:
        image = rearrange(torch.from_numpy(frame.image), "h w c -> 1 c h w").float() / 255
        return resize(image, size)

    def alone(frame: ClipFrame) -> Tensor:
        return own_inverse_depth(model, image_of(frame))

    def first_guess(frame: ClipFrame) -> np.ndarray:
        own = alone(frame).numpy()
        return (own + slope(*own.shape).numpy()) / 2

    names = ("network", "motion", "motion, each alone", "motion, DIS", "motion, both ways")
    clocks = {name: Clock() for name in names}
    found: dict[str, Sequence[np.ndarray | Tensor]] = {}
    with torch.inference_mode():
        own = [clocks["network"].run(lambda f=f: alone(f)) for f in keys]
        found["network"] = own
        matching = matching_of(model)
        if matching is not None:
            clock = clocks["motion"]
            matched = MatchedMotion(options.fov)
            fit = FrameFit((keys[0].image.shape[0], keys[0].image.shape[1]), size)
            timed = cast(MatchingModel, TimedMatching(matching, clock))
            seen, alone_each = [], []
            for f in keys:
                image = image_of(f)
                alone_each.append(each_alone(matched, matching, image, fit))
                seen.append(
                    clock.run(lambda i=image: matched.see(timed, i, fit).inverse_depth[0, 0])
                )
            for name, given in (("motion", seen), ("motion, each alone", alone_each)):
                found[name] = [
                    depth if depth.any() else other for depth, other in zip(given, own, strict=True)
                ]
        clock = clocks["motion, DIS"]
        motion = MotionDepth(fov=options.fov, flow=clock.estimate_flow)
        causal = []
        for frame, picture in zip(keys, pictures[:: options.frame_gap], strict=True):

            def guess(frame: ClipFrame = frame, clock: Clock = clock) -> np.ndarray:
                return clock.apart(lambda: first_guess(frame))

            depth = clock.run(partial(motion.push, picture, guess))
            causal.append(own[len(causal)] if depth is None else depth)
        found["motion, DIS"] = causal
    clock = clocks["motion, both ways"]
    fine = partial(clock.estimate_flow, by=fine_flow)
    both = clock.run(lambda: clip_depth(pictures, fov=options.fov, flow=fine))
    if both is not None:
        found["motion, both ways"] = [d.inverse_depth for d in both[:: options.frame_gap]]
    maps = {
        name: (
            torch.stack([at_size(v, k) for v, k in zip(values, keys, strict=True)]),
            clocks[name],
        )
        for name, values in found.items()
    }
    if "motion, each alone" in maps:
        values, clock = maps["motion, each alone"]
        maps["motion, each alone"] = (one_after_the_other(values, truth), clock)
    rows = torch.cat([row_means(t[None], t[None] > 0) for t in truth.inverse]).float()
    return truth, {"row": (rows, Clock()), **maps}


def report(clip: Clip, options: Options) -> None:
    """Print the table of a clip."""
    truth, found = sources(clip, options)
    count = len(truth.inverse)
    print(f"\n{clip.name}: {count} key frames\n")
    print("| | frame | clip | tracks | tracks, clip | ms | with flow |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, (maps, clock) in found.items():
        if name == "row":
            single = together = maps.clamp_min(1 / _FARTHEST)
        else:
            single = torch.cat(
                [aligned(m[None], t[None]) for m, t in zip(maps, truth.inverse, strict=True)]
            )
            together = aligned(maps, truth.inverse)
        ways = [within(one, truth.inverse) for one in (single, together)]
        ways += [change_along_tracks(one, truth) for one in (single, together)]
        times = [1e3 * seconds / count for seconds in (clock.total - clock.flow, clock.total)]
        numbers = [*(f"{value:.3f}" for value in ways), *(f"{value:.0f}" for value in times)]
        print(f"| {name} | {' | '.join(numbers)} |", flush=True)


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = parse(Options)
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    print(f"{datetime.date.today()}; frame gap {options.frame_gap}")
    for clip in open_dataset_clips("frames", options.clips):
        report(clip, options)


if __name__ == "__main__":
    main()
