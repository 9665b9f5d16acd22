"""Scene files in the formats of other programs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import torch
from tqdm import tqdm

from core.checks import UserError
from core.export.formats import STILL_FORMATS, ExportFormat, SpzVersion, StillFormat
from core.export.four_dgs import TimedScene, write_4dgs
from core.export.gltf import write_glb
from core.export.optional import require
from core.export.placement import Placement
from core.export.ply import write_ply
from core.export.rerun_recording import check_rerun, write_rerun
from core.export.sog import write_sog
from core.export.splat import write_splat
from core.export.splats import Splats
from core.export.spz import write_spz
from core.geometry.cameras import Lens
from core.outputs.options import ExportOptions
from core.outputs.staging import staged_outputs
from core.scene_file import SceneReader
from core.streaming import StoredScene
from core.streaming.fusion import CROSSFADE, scene_at

_FRAME = re.compile(r"scene_\d+\.ply")
_ROUNDING = 1e-6
"""Frames by which a count may differ that means the same."""
_DEFAULT_FPS = 24.0


def check_format(kind: ExportFormat, spz_version: SpzVersion = 3) -> None:
    """Check that the packages of a format are installed.

    Raises:
        UserError: If not.
    """
    if kind == "4dgs":
        require("fourdgs", "export")
    elif kind == "rrd":
        check_rerun()
    elif kind == "spz" and spz_version == 4:
        require("zstandard", "export")


@torch.inference_mode()
def export_scene(
    reader: SceneReader, kind: ExportFormat, path: Path, options: ExportOptions
) -> str:
    """Write a scene in another format, interval by interval.

    Args:
        reader: The open scene file.
        kind: Which format.
        path: The file; or the folder of a sequence, which is replaced.
        options: How it is written.

    Returns:
        What was written, for a person.

    Raises:
        UserError: If the time is outside of the scene, the scene file is damaged, the output cannot
            be written, or a package is missing.
    """
    fit = reader.header.fit
    placement = Placement(Lens(options.fov, fit.aspect), fit.shows, options.scale)
    scene = StoredScene(reader)
    if kind == "4dgs":
        return str(write_4dgs(path, _timed_scenes(reader), placement))
    if kind in STILL_FORMATS:
        seconds = _beginning(reader) if options.time is None else options.time
        splats = _state(scene, seconds, placement)
        _writer(kind, options)(path, splats)
        return f"{len(splats):,} Gaussians at {seconds:g} s"
    fps = options.fps or reader.header.frames_per_second or _DEFAULT_FPS
    times = _frame_times(reader, fps)
    progress = tqdm(times, unit="state", disable=None)
    states = ((seconds, _state(scene, seconds, placement)) for seconds in progress)
    if kind == "rrd":
        write_rerun(path, states)
    else:
        _write_sequence(path, states, len(times))
    return f"{len(times):,} states, {fps:g} a second"


def _writer(kind: StillFormat, options: ExportOptions) -> Callable[[Path, Splats], None]:
    writers: dict[StillFormat, Callable[[Path, Splats], None]] = {
        "ply": write_ply,
        "spz": partial(write_spz, version=options.spz_version),
        "splat": write_splat,
        "sog": write_sog,
        "glb": write_glb,
    }
    return writers[kind]


def _write_sequence(path: Path, states: Iterable[tuple[float, Splats]], count: int) -> None:
    """Write a folder that replaces one of an earlier sequence as a whole."""
    if path.is_dir() and not all(_FRAME.fullmatch(file.name) for file in path.iterdir()):
        raise UserError(f"{path} holds other files than a sequence; name a folder that is new.")
    digits = max(4, len(str(count - 1)))
    with staged_outputs(path.parent) as staging:
        folder = staging.folder / path.name
        folder.mkdir()
        for number, (_, splats) in enumerate(states):
            write_ply(folder / f"scene_{number:0{digits}d}.ply", splats)


def _state(scene: StoredScene, seconds: float, placement: Placement) -> Splats:
    interval, time = scene.at(seconds)
    return placement.splats(scene_at(interval, time, CROSSFADE), time)


def _beginning(reader: SceneReader) -> float:
    """Return the time of the first key frame; 0 where there is none, which ``locate`` refuses."""
    return reader.intervals[0].first_time if reader.intervals else 0.0


def _frame_times(reader: SceneReader, fps: float) -> list[float]:
    first = _beginning(reader)
    last = reader.intervals[-1].second_time if reader.intervals else first
    count = math.floor((last - first) * fps + _ROUNDING) + 1
    return [min(first + number / fps, last) for number in range(count)]


def _timed_scenes(reader: SceneReader) -> Iterator[TimedScene]:
    intervals = reader.intervals
    if not intervals:
        reader.locate(0.0)  # says so
    frame = 1 / (reader.header.frames_per_second or _DEFAULT_FPS)
    untils = [*(part.first_time for part in intervals[1:]), intervals[-1].second_time + frame]
    for number in tqdm(range(len(intervals)), unit="interval", disable=None):
        part = intervals[number]
        yield TimedScene(
            reader.read_interval(number), part.first_time, part.second_time, untils[number]
        )
