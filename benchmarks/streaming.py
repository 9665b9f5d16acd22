"""How fast a session is: ``python benchmarks/streaming.py [--device cuda --preset full]``.

The time of a new key frame in the steady state: pushed from host memory as uint8, then rendered at
several times of the interval that it closes. Weights are random, which costs the same as trained
ones; Gaussians have the size of their pixels, as those of trained networks do. Rows of the table:

* pairs: the baseline, as one works without a session: both frames of each pair are uploaded and
  encoded, whatever was known before;
* session: each frame once, the network as it is;
* session, fast: the same with ``--acceleration``; this is what is aimed at;
* with depth: the last of them, with Depth Anything V2 (vits) in the stream;
* with motion: the same with depth from motion, by the network's own matcher if it has one.

Times are from the call to the end of the device's work, frame by frame; the rows take turns, so
that a busy machine slows all of them alike. The breakdown is of the fastest session without depth,
in frames of its own, from events on the device (from the clock on the CPU). ``condition`` (DINOv2
and its projection) is a part of ``encode`` and runs beside the rest of it where networks are
recorded; it is timed by itself, and so is ``motion``: what finds depth beside the matcher.
"""

from __future__ import annotations

import copy
import datetime
import platform
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from configs.options_inference import EMBEDDED_MODEL
from core.checks import UserError, cli_errors
from core.command_line import parse
from core.depth import CONFIGS, DepthAnythingV2
from core.depth.motion import MotionDepth
from core.depth.motion.camera.field_of_view import USUAL_FOV
from core.depth.motion.camera.focal_length import FocalEstimate
from core.depth.motion.frame_depth import begin
from core.devices import choose_device
from core.geometry.fit import FrameFit
from core.models import PRESETS, Network, StreamSplat, build_model, load_model
from core.models.fast.acceleration import Acceleration, FastDepth, FastModel, Precision
from core.models.transformer.dino import build_dino
from core.recording import Recorded
from core.rendering import render
from core.streaming import Session, StageTimer
from core.streaming.depth_from_motion import motion_steps
from core.streaming.intake import Intake

_PICTURES = 16
"""Different frames that are pushed in turn."""
_RUN = 50
"""Frames that a row takes at a time."""
_SETTLE = 10
"""Frames before each run that do not count, on CUDA: the row before has left other things in the
caches."""
_OPACITY_LOGIT, _SCALE_LOGITS = 2.14, (-3.04, -2.44)
"""Biases of heads of the published network with which its Gaussians have an opacity of 0.9 and a
deviation of 0.6 pitches of their grid along either axis."""


@dataclass(frozen=True)
class Options:
    """Measure the steady state of a session beside working pair by pair."""

    preset: Literal["full", "small", "tiny"] = "tiny"
    """The network."""
    device: str = "auto"
    """cpu, cuda, or auto."""
    precision: Precision | None = None
    """By default bfloat16 on CUDA, float32 on the CPU."""
    acceleration: Acceleration | None = None
    """By default compile on CUDA, none on the CPU."""
    keys: int | None = None
    """Key frames that are timed; by default 300 on CUDA, 12 on the CPU."""
    times: int = 4
    """Rendered times per key frame."""
    depth: bool = True
    """Measure with depth estimation too."""

    def __post_init__(self) -> None:
        if (self.keys is not None and self.keys < 2) or self.times < 1:
            raise UserError("give at least 2 for --keys and at least 1 for --times.")


Step = Callable[[np.ndarray], object]


def build(preset: str, device: torch.device) -> Network:
    """Return a network whose Gaussians have the size of their pixels."""
    torch.manual_seed(0)
    if preset == "tiny":
        return load_model(EMBEDDED_MODEL).to(device)
    model = build_model(PRESETS[preset]).eval()
    if isinstance(model, StreamSplat):
        with torch.no_grad():
            model.static.heads.opacity.bias.fill_(_OPACITY_LOGIT)
            model.static.heads.scale.bias.copy_(torch.tensor(_SCALE_LOGITS))
        if model.dino is not None:
            model.dino.attach(build_dino(model.dino.image_size))
    return model.to(device)


def make_frames(size: tuple[int, int]) -> list[np.ndarray]:
    """Draw a texture that drifts."""
    blocks = np.random.default_rng(0).integers(0, 255, (size[0] // 8, size[1] // 8, 3), np.uint8)
    base = blocks.repeat(8, 0).repeat(8, 1)
    return [np.ascontiguousarray(np.roll(base, 3 * i, 1)) for i in range(_PICTURES)]


def measure(
    steps: dict[str, Step], frames: list[np.ndarray], count: int, device: torch.device
) -> tuple[dict[str, float], dict[str, list[float]]]:
    """Call each step with one frame after the other, the steps in turn, a run of frames each.

    Returns:
        For each step the seconds until its first interval was there, and the milliseconds of
        ``count`` frames in the steady state.
    """

    def timed(step: Step, frame: np.ndarray) -> float:
        begin = time.perf_counter()
        step(frame)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - begin

    starts = {name: sum(timed(step, f) for f in frames[:2]) for name, step in steps.items()}
    milliseconds: dict[str, list[float]] = {name: [] for name in steps}
    settle = _SETTLE if device.type == "cuda" else 1
    stream = cycle(frames)
    with tqdm(total=count, unit="key frame", leave=False, disable=None) as bar:
        for begin in range(0, count, _RUN):
            run = min(_RUN, count - begin)
            for name, step in steps.items():
                for frame in islice(stream, settle):
                    timed(step, frame)
                milliseconds[name] += [1000 * timed(step, frame) for frame in islice(stream, run)]
            bar.update(run)
    return starts, milliseconds


def pairwise(
    model: FastModel, size: tuple[int, int], times: list[float]
) -> Callable[[np.ndarray], object]:
    """Return a step that forgets everything but the last frame's pixels."""
    intake = Intake(size, model.device, "stretch", None)
    at = torch.tensor([times], device=model.device)
    before: list[np.ndarray] = []

    @torch.inference_mode()
    def step(frame: np.ndarray) -> Tensor | None:
        before.append(frame)
        if len(before) < 2:
            return None
        keys = []
        for one in before:
            inputs = intake.prepare(one)
            keys.append(model.encode(inputs.image, inputs.inverse_depth()))
        before.pop(0)
        return render(model.decode(*keys), at, size).rgb

    return step


def in_session(session: Session, times: list[float]) -> Callable[[np.ndarray], object]:
    """Return a step that pushes a frame and renders the interval that it closes."""

    def step(frame: np.ndarray) -> Tensor | None:
        for interval in session.push(frame):
            return session.render_interval(interval, times).rgb
        return None

    return step


def time_condition(model: StreamSplat, half: bool, recorded: bool, count: int) -> float:
    """Return the median time of the conditioning network by itself, milliseconds; NaN if none."""
    dino, device = model.dino, next(model.parameters()).device
    if dino is None:
        return float("nan")

    def condition(image: Tensor) -> Tensor:
        with torch.autocast(device.type, torch.bfloat16, enabled=half):
            return model.dino_condition(image)

    function = Recorded(condition) if recorded else condition
    timer = StageTimer(device)
    image = torch.rand(1, 3, model.config.image_height, model.config.image_width, device=device)
    with torch.inference_mode():
        function(image)
        for _ in range(count):
            with timer.stage("condition"):
                function(image)
    return 1000 * float(np.median(timer.seconds()["condition"]))


def time_motion(model: FastModel, frame: np.ndarray, count: int, *, estimates_angle: bool) -> float:
    """Return the median time of finding depth from matches that are there, milliseconds.

    NaN for a network without a matcher. Frames alternate, so that the camera seems to move.

    Args:
        model: The network.
        frame: What it sees.
        count: Key frames that are timed.
        estimates_angle: Estimate the angle of view, too.
    """
    if model.matching is None:
        return float("nan")
    size = (model.config.image_height, model.config.image_width)
    intake = Intake(size, model.device, "stretch", None)
    timer = StageTimer(model.device)
    with torch.inference_mode():
        images = [intake.prepare(np.roll(frame, 4 * i, 1)).image for i in range(2)]
        features = [model.matching.see(image) for image in images]
        flow = model.matching.match(*features).flow
        own = model.matching.own_inverse_depths(features[1])
        steps = model.matching.accelerate(motion_steps(FrameFit(size, size), USUAL_FOV))
        focal = FocalEstimate.usual(model.device) if estimates_angle else None
        found = begin(own[0, 0].float(), images[0][0], focal)
        steps(found, flow, images[1], own)
        for _ in range(count):
            with timer.stage("motion"):
                steps(found, flow, images[1], own)
    return 1000 * float(np.median(timer.seconds()["motion"]))


def row(name: str, milliseconds: list[float], baseline: list[float], start_s: float) -> str:
    """Return a line of the table."""
    median, late = np.median(milliseconds), np.percentile(milliseconds, 99)
    return (
        f"| {name} | {median:.2f} | {late:.2f} | {late / median:.2f} | {1000 / median:.1f} | "
        f"{np.median(baseline) / median:.2f}x | {start_s:.1f} |"
    )


def describe(device: torch.device) -> str:
    """Name the hardware."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"{platform.processor() or platform.machine()}, {torch.get_num_threads()} threads"


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = parse(Options)
    device = choose_device(options.device)
    on_gpu = device.type == "cuda"
    precision: Precision = options.precision or ("bfloat16" if on_gpu else "float32")
    acceleration: Acceleration = options.acceleration or ("compile" if on_gpu else "none")
    keys = options.keys or (300 if on_gpu else 12)
    times = [(i + 1) / options.times for i in range(options.times)]
    network = build(options.preset, device)
    size = network.config.image_height, network.config.image_width
    frames = make_frames(size)
    plain = FastModel(copy.deepcopy(network), precision=precision)
    fast = FastModel(network, precision=precision, acceleration=acceleration)
    recorded = acceleration != "none" and on_gpu

    def session(model: FastModel, **more: Any) -> Step:
        return in_session(Session(model, image_size=size, device=device, **more), times)

    steps = {"pairs": pairwise(plain, size, times), "session": session(plain)}
    if acceleration != "none":
        steps["session, fast"] = session(fast)
    if options.depth:
        estimator = DepthAnythingV2(CONFIGS["vits"]).eval().to(device)
        depth = FastDepth(estimator, half=on_gpu, acceleration=acceleration)
        steps["with depth"] = session(fast, estimate_depth=depth)
        steps["with motion"] = session(fast, motion_depth=MotionDepth())
    starts, milliseconds = measure(steps, frames, keys, device)

    print(f"{datetime.date.today()}; {describe(device)}; torch {torch.__version__}")
    print(f"{options.preset}, {size[0]} x {size[1]}, {precision}, acceleration {acceleration}, ")
    print(f"{options.times} rendered times per key frame, {keys} key frames; milliseconds\n")
    print("| | median | p99 | p99 / median | key frames / s | ratio | start-up, s |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    for name, values in milliseconds.items():
        print(row(name, values, milliseconds["pairs"], starts[name]))
    timer = StageTimer(device)
    measure({"breakdown": session(fast, timer=timer)}, frames, min(keys, _RUN), device)
    parts = {name: 1000 * float(np.median(v)) for name, v in timer.seconds().items()}
    if isinstance(network, StreamSplat) and network.dino is not None:
        half = precision == "bfloat16"
        parts["condition"] = time_condition(network, half, recorded, min(keys, 50))
    for name, estimates in (("motion", False), ("motion, angle of view estimated", True)):
        parts[name] = time_motion(fast, frames[0], min(keys, 50), estimates_angle=estimates)
    print("\n| part | median |\n|---|---:|")
    for name, value in parts.items():
        if np.isfinite(value):
            print(f"| {name} | {value:.2f} |")


if __name__ == "__main__":
    main()
