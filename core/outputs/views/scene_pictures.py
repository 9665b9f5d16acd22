"""Pictures and videos of a stored scene as files."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from core.io import write_depth_png16, write_png
from core.io.video import VideoWriter
from core.outputs.pictures import to_8bit
from core.outputs.views.scene import ScenePicture, SceneView
from core.streaming import StoredScene

VIDEO, DEPTH_VIDEO = "video.mp4", "video_depth.mp4"


def write_pictures(
    scene: StoredScene,
    view: SceneView,
    folder: Path,
    times: Sequence[float],
    orbit_seconds: float,
) -> None:
    """Write a PNG, and one of the inverse depth with 16 bits, for each time in seconds.

    Raises:
        UserError: If a time is outside of the scene, or a file cannot be read or written.
    """
    for time in times:
        scene.reader.locate(time)  # before the first picture is rendered
    for time in tqdm(times, unit="picture", disable=None):
        picture = _draw(scene, view, time, orbit_seconds)
        name = f"{time:.6f}".rstrip("0").rstrip(".")
        write_png(folder / f"time_{name}.png", to_8bit(picture.rgb).numpy())
        write_depth_png16(folder / f"depth_{name}.png", picture.inverse_depth[0, 0].cpu())


def write_videos(
    scene: StoredScene,
    view: SceneView,
    folder: Path,
    *,
    fps: float,
    slow: float,
    orbit_seconds: float,
) -> None:
    """Write the scene from its first to its last key frame, and its depth in colours.

    Args:
        scene: The scene.
        view: Draws it.
        folder: Where the files are put.
        fps: Frame rate of the videos, 1/s.
        slow: How many seconds of video show a second of the scene.
        orbit_seconds: Scene time in which the camera ``orbit`` makes one round.

    Raises:
        UserError: If the scene is empty, or a file cannot be read or written.
    """
    start, end = scene.reader.window
    size = view.canvas.shown_size
    with (
        VideoWriter(folder / VIDEO, size, fps) as colors,
        VideoWriter(folder / DEPTH_VIDEO, size, fps) as depth,
    ):
        count = math.floor((end - start) * fps * slow + 1e-6) + 1
        for i in tqdm(range(count), unit="frame", disable=None):
            picture = _draw(scene, view, min(start + i / (fps * slow), end), orbit_seconds)
            colors.write(to_8bit(picture.rgb))
            depth.write(to_8bit(picture.depth_colors))


def _draw(
    scene: StoredScene, view: SceneView, seconds: float, orbit_seconds: float
) -> ScenePicture:
    interval, time = scene.at(seconds)
    return view.draw(interval, time, (seconds - scene.reader.window[0]) / orbit_seconds)
