"""Dynamic scenes as .4dgs files (https://4dgs.dev): moving, fading Gaussians on one clock.

The package's own ``write`` takes a whole scene at once; here its parts are written interval by
interval, in the memory of one.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch

from core.export.optional import require
from core.export.placement import Placement
from core.export.splats import FAINTEST, principal_axes
from core.export.temporal_fit import SAMPLES, TIMES, Segments, fit_segments
from core.geometry.lift import lift, lift_means
from core.geometry.motion import freeze_at
from core.io.atomic import atomic_path
from core.types import DynamicGaussians

_EXTRA = "export"
_BLOCK = 1 << 17
"""Gaussians that are fitted at a time, and make up a chunk: what a player reads at a time."""
_LEVEL = 3
"""Of deflate: a higher one takes twice the time for 2 % less."""


@dataclass(frozen=True)
class TimedScene:
    """The scene from one key frame to the next, or of a shot of one key frame."""

    gaussians: DynamicGaussians
    """One scene over pair times in [0, 1]."""
    start: float
    """When its first key frame is, seconds."""
    end: float
    """When its second key frame is; ``start`` for a shot of one key frame."""
    until: float
    """How long its last state is shown: until the next interval starts, seconds."""


@dataclass
class FitReport:
    """How well the format's linear motion and Gaussian windows fit a scene."""

    num_gaussians: int = 0
    """Of all intervals together."""
    num_segments: int = 0
    """Gaussians of the file."""
    mean_opacity_error: float = 0.0
    """Mean over segments of the largest error at a sample."""
    max_opacity_error: float = 0.0
    """Largest error of opacity at a sample."""
    max_position_error: float = 0.0
    """Largest distance from the true path times the opacity there, relative to the depth."""

    def __str__(self) -> str:
        return (
            f"{self.num_segments:,} Gaussians for {self.num_gaussians:,} of all intervals; opacity "
            f"is off by {self.mean_opacity_error:.1%} where a Gaussian is fitted worst, at most "
            f"{self.max_opacity_error:.1%}, places by {self.max_position_error:.2%} of the depth"
        )

    def add(self, count: int, segments: Segments, depths: np.ndarray) -> None:
        """Take what was fitted to one interval."""
        self.num_gaussians += count
        total = self.num_segments + len(segments)
        if not len(segments):
            return
        sums = self.mean_opacity_error * self.num_segments + segments.opacity_error.sum()
        self.mean_opacity_error = float(sums / total)
        self.num_segments = total
        relative = segments.position_error / depths
        self.max_opacity_error = max(self.max_opacity_error, float(segments.opacity_error.max()))
        self.max_position_error = max(self.max_position_error, float(relative.max()))


def write_4dgs(path: str | Path, scenes: Iterable[TimedScene], placement: Placement) -> FitReport:
    """Write a dynamic scene: axes right, up, backward.

    Args:
        path: The file; it appears whole or not at all.
        scenes: Intervals in order of time; each is read once. The file's clock begins with them.
        placement: The way out of canonical space.

    Returns:
        What was lost by the format's simpler motion and opacity.

    Raises:
        UserError: If the file cannot be written, or fourdgs is not installed.
    """
    require("fourdgs", _EXTRA)
    report = FitReport()
    with atomic_path(path) as partial, tempfile.TemporaryFile(dir=partial.parent) as body:
        chunks = _Chunks(body)
        begin, end = None, 0.0
        for scene in scenes:
            begin = scene.start if begin is None else begin
            for block in _blocks(scene.gaussians, placement):
                moving = _fit(block, scene, begin, placement, report)
                if len(moving):
                    chunks.add(moving)
            end = scene.until - begin
        with partial.open("wb") as file:
            chunks.assemble(file, duration=end, placement=placement)
    return report


@dataclass(frozen=True)
class _Moving:
    """Gaussians as the format has them, seconds since the file's beginning."""

    means: np.ndarray  # (m, 3) at the centre of the window
    velocities: np.ndarray  # (m, 3) a second
    scales: np.ndarray  # (m, 3)
    quats: np.ndarray  # (m, 4) x, y, z, w
    rgb: np.ndarray  # (m, 3)
    peaks: np.ndarray  # (m,)
    centers: np.ndarray  # (m,)
    widths: np.ndarray  # (m,) infinite where it does not fade
    begins: np.ndarray  # (m,)
    ends: np.ndarray  # (m,)

    def __len__(self) -> int:
        return len(self.means)


def _blocks(gaussians: DynamicGaussians, placement: Placement) -> Iterator[DynamicGaussians]:
    """Yield parts of the Gaussians that show the input, as they are at their anchors."""
    x, _, z = gaussians.means[0].unbind(-1)
    shown = (
        torch.ones_like(x, dtype=torch.bool) if placement.shows is None else placement.shows(x, z)
    )
    for index in shown.nonzero()[:, 0].split(_BLOCK):
        yield gaussians.select(index, dim=1).to("cpu")


def _fit(
    gaussians: DynamicGaussians,
    scene: TimedScene,
    begin: float,
    placement: Placement,
    report: FitReport,
) -> _Moving:
    duration = scene.end - scene.start
    unit = duration if duration > 0 else 1.0
    count = gaussians.num_gaussians
    paths = np.empty((count, SAMPLES, 3), dtype=np.float32)
    opacities = np.empty((count, SAMPLES), dtype=np.float32)
    for sample, time in enumerate(TIMES if duration > 0 else np.zeros(SAMPLES)):
        still = freeze_at(gaussians, float(time))
        means, valid = lift_means(still.means, placement.lens)
        paths[:, sample] = means[0]
        opacities[:, sample] = (still.opacities * valid)[0]
    segments = fit_segments(opacities, paths, FAINTEST)
    anchored = lift(gaussians, placement.lens)
    scales, quats = principal_axes(anchored.covars[0].double())
    # Footprints keep their size in the picture, and so grow with the depth.
    depths = paths[segments.gaussian, (segments.first + segments.last) // 2, 2]
    growth = depths / anchored.means[0, :, 2].numpy()[segments.gaussian]
    report.add(count, segments, depths)
    flip = np.array([1, -1, -1]) * placement.scale
    turn = np.array([1, -1, -1, 1])
    times = scene.start - begin + TIMES * duration
    held = times[segments.last]
    held[segments.last == SAMPLES - 1] = scene.until - begin
    return _Moving(
        means=segments.position * flip,
        velocities=segments.velocity * flip / unit,
        scales=scales.numpy()[segments.gaussian] * growth[:, None] * placement.scale,
        quats=quats.numpy()[segments.gaussian][:, [1, 2, 3, 0]] * turn,
        rgb=gaussians.colors[0].numpy()[segments.gaussian],
        peaks=segments.peak,
        centers=scene.start - begin + segments.center * duration,
        widths=segments.width * unit,
        begins=times[segments.first],
        ends=held,
    )


@dataclass
class _Chunks:
    """Encoded chunks, and what the parts of the file around them need to know."""

    body: BinaryIO
    windows: dict[tuple[float, float], int] = field(default_factory=dict)
    entries: list[tuple[float, float, int, int, int]] = field(default_factory=list)
    """Begin, end, offset, length and number of Gaussians of each chunk."""
    low: np.ndarray = field(default_factory=lambda: np.full(3, np.inf))
    high: np.ndarray = field(default_factory=lambda: np.full(3, -np.inf))
    bounds: Any = None
    """The package's ``Bounds``, by the first chunk: positions depend on the sizes of Gaussians."""

    def add(self, moving: _Moving) -> None:
        """Encode a chunk."""
        quantization = require("fourdgs.quantization", _EXTRA)
        if self.bounds is None:
            # The tenth part, not the median: near Gaussians are small, and as large in the picture.
            size = float(np.quantile(moving.scales, 0.1))
            self.bounds = quantization.Bounds.for_profile("default", median_scale=size)
        order = quantization.morton_order(moving.means)
        streams = self._streams(moving, order)
        begin, end = float(moving.begins.min()), float(moving.ends.max())
        records = require("fourdgs.records", _EXTRA)
        chunk = records.encode_chunk(begin, end, 0, len(moving), streams)
        self.entries.append((begin, end, self.body.tell(), len(chunk), len(moving)))
        self.body.write(chunk)
        self.low = np.minimum(self.low, moving.means.min(axis=0))
        self.high = np.maximum(self.high, moving.means.max(axis=0))

    def _streams(self, moving: _Moving, order: np.ndarray) -> bytes:
        q = require("fourdgs.quantization", _EXTRA)
        op = require("fourdgs.opcode", _EXTRA)
        encode = require("fourdgs.serialization", _EXTRA).encode_stream
        steps = q.Steps.of(self.bounds)
        constant = ~np.isfinite(moving.widths)
        widths = q.quantize(np.log(np.where(constant, 1.0, moving.widths)), steps.sigma_log)
        lengths = moving.ends - moving.begins
        classes = q.life_class(widths, steps.sigma_log, constant, lengths, q.support_k(FAINTEST))
        velocity_steps = q.motion_steps(classes, steps.motion)
        center_steps = q.mu_steps(widths, steps.sigma_log, constant, steps.time)
        largest, others = q.quantize_rotation(moving.quats, steps.rot)
        window = np.array(
            [
                self.windows.setdefault(pair, len(self.windows))
                for pair in zip(moving.begins.tolist(), moving.ends.tolist(), strict=True)
            ]
        )
        values = {
            op.A_POSITION: q.quantize(moving.means, steps.pos),
            op.A_SCALE: q.quantize(np.log(moving.scales), steps.scale_log),
            op.A_ROTATION_INDEX: largest,
            op.A_ROTATION: others,
            op.A_COLOR: q.rct_forward(q.quantize(moving.rgb, steps.rgb)),
            op.A_OPACITY: q.quantize(moving.peaks, steps.alpha),
            op.A_MOTION: np.rint(moving.velocities / velocity_steps[:, None]).astype(np.int64),
            op.A_MU_T: np.rint(moving.centers / center_steps).astype(np.int64),
            op.A_SIGMA_T: widths,
            op.A_FLAGS: constant.astype(np.int64),
            op.A_WINDOW_INDEX: window,
        }
        return b"".join(
            encode(kind, value[order], channels=math.prod(value.shape[1:]), level=_LEVEL)
            for kind, value in values.items()
        )

    def assemble(self, file: BinaryIO, *, duration: float, placement: Placement) -> None:
        """Write the file: what describes the scene, the chunks, their index."""
        records = require("fourdgs.records", _EXTRA)
        serialization = require("fourdgs.serialization", _EXTRA)
        file.write(serialization.MAGIC)
        file.write(self._front(duration, placement))
        start = file.tell()
        self.body.seek(0)
        shutil.copyfileobj(self.body, file)
        summary = b"".join(
            records.ChunkIndexEntry(
                t0=begin,
                t1=end,
                chunk_offset=start + offset,
                chunk_length=length,
                gaussian_count=count,
            ).encode()
            for begin, end, offset, length, count in self.entries
        )
        footer = records.Footer(
            summary_start=file.tell() if summary else 0,
            summary_crc=serialization.crc32(summary) if summary else 0,
        )
        file.write(summary + footer.encode() + serialization.MAGIC)

    def _front(self, duration: float, placement: Placement) -> bytes:
        records = require("fourdgs.records", _EXTRA)
        quantization = require("fourdgs.quantization", _EXTRA)
        bounds = self.bounds or quantization.Bounds.for_profile("default")
        steps = quantization.Steps.of(bounds)
        box = [*self.low.tolist(), *self.high.tolist()] if self.entries else [0.0] * 6
        header = records.Header(
            duration_sec=duration,
            gaussian_count=sum(entry[-1] for entry in self.entries),
            aabb=box,
            library="StreamSplat",
            cutoff=FAINTEST,
            attributes={
                "coordinate_system": "y-up-right-handed",
                "color_space": "srgb-rec709-display",
            },
        )
        grid = records.Quantization(
            scheme="uniform-v1",
            pos_origin=[0.0, 0.0, 0.0],
            step_pos=steps.pos,
            step_scale_log=steps.scale_log,
            step_rot=steps.rot,
            step_rgb=steps.rgb,
            step_alpha=steps.alpha,
            step_motion=steps.motion,
            step_time=steps.time,
            step_sigma_log=steps.sigma_log,
            step_sh=steps.sh,
            bounds=bounds.as_strings(),
        )
        lens = placement.lens
        camera = records.Camera(
            fov_y_deg=math.degrees(2 * math.atan(lens.aspect / lens.focal)),
            position=[0.0, 0.0, 0.0],
            target=[0.0, 0.0, -placement.scale],
            times=[],
            positions=[],
            targets=[],
            interpolation="spline",
            loop=True,
        )
        windows = records.WindowTable(windows=list(self.windows))
        return b"".join(part.encode() for part in (header, grid, windows, camera))
