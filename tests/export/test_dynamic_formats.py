"""What readers of others make of the files of whole dynamic scenes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import fourdgs
import numpy as np
import pytest
import torch
from export_readers import covars_of, picture, state_of_4dgs
from fourdgs.validate import validate

from core.export.four_dgs import TimedScene, write_4dgs
from core.export.placement import Placement
from core.export.rerun_recording import write_rerun
from core.geometry.cameras import Lens
from core.geometry.motion import freeze_at
from core.metrics.psnr import psnr
from core.rendering import render
from core.types import DynamicGaussians

PLACEMENT = Placement(Lens(60.0, 24 / 40))


def clip(scene: DynamicGaussians) -> Iterator[TimedScene]:
    """Yield two intervals that begin at 2 s, then a shot of one key frame that is shown 0.5 s."""
    yield TimedScene(scene, 2.0, 2.4, 2.4)
    yield TimedScene(scene, 2.4, 2.8, 3.0)
    yield TimedScene(freeze_at(scene, 0.0), 3.0, 3.0, 3.5)


@pytest.mark.slow
def test_a_4dgs_file_is_valid_and_shows_the_scene_at_all_times(
    scene: DynamicGaussians,
    tmp_path: Path,
) -> None:
    path = tmp_path / "scene.4dgs"
    report = write_4dgs(path, clip(scene), PLACEMENT)
    assert list(tmp_path.iterdir()) == [path]
    assert validate(path.read_bytes()).ok
    file = fourdgs.read(str(path))
    assert file.header.duration_sec == pytest.approx(1.5)
    assert file.gaussians.count == report.num_segments == file.header.gaussian_count
    assert report.max_opacity_error < 0.12
    assert report.mean_opacity_error < 0.03
    for seconds, pair_time in ((0.0, 0.0), (0.1, 0.25), (0.3, 0.75), (0.62, 0.55), (1.2, 0.0)):
        ours = render(scene, torch.tensor([[pair_time]]), (48, 80), 0.5).rgb[0]
        assert (
            psnr(picture(state_of_4dgs(file, seconds), PLACEMENT.lens, (48, 80)), ours).item() > 32
        ), seconds


def test_a_4dgs_file_keeps_places_sizes_and_colours(
    scene: DynamicGaussians,
    tmp_path: Path,
) -> None:
    """What stands still and does not fade has no error but that of the format's steps."""
    still = freeze_at(scene, 0.25)
    splats = PLACEMENT.splats(still, 0.0)
    write_4dgs(tmp_path / "scene.4dgs", [TimedScene(still, 0.0, 0.0, 1.0)], PLACEMENT)
    read = state_of_4dgs(fourdgs.read(str(tmp_path / "scene.4dgs")), 0.5)
    assert len(read) == len(splats)
    nearest = np.linalg.norm(read.means[None] - splats.means[:, None], axis=2).argmin(axis=1)
    read = read.select(nearest)
    sizes = np.sqrt(np.linalg.norm(covars_of(splats), axis=(1, 2)))
    assert (np.linalg.norm(read.means - splats.means, axis=1) < 0.1 * sizes).all()
    difference = np.linalg.norm(covars_of(read) - covars_of(splats), axis=(1, 2))
    assert (difference < 0.06 * sizes**2).all()
    np.testing.assert_allclose(read.colors, splats.colors, atol=0.5 / 255 * 3)
    np.testing.assert_allclose(read.opacities, splats.opacities, atol=1.01 / 255)


def test_a_4dgs_file_of_nothing_is_valid(scene: DynamicGaussians, tmp_path: Path) -> None:
    nothing = scene.select(slice(0, 0), dim=1)
    write_4dgs(tmp_path / "scene.4dgs", [TimedScene(nothing, 0.0, 1.0, 1.0)], PLACEMENT)
    assert validate((tmp_path / "scene.4dgs").read_bytes()).ok


def test_a_recording_holds_the_state_of_every_frame(
    scene: DynamicGaussians, tmp_path: Path
) -> None:
    chunks = pytest.importorskip("rerun.chunk", reason='no rerun: pip install -e ".[rerun]"')
    path = tmp_path / "scene.rrd"
    times = (2.0, 2.1, 2.2)
    write_rerun(path, ((time, PLACEMENT.splats(scene, (time - 2) / 0.4)) for time in times))
    assert list(tmp_path.iterdir()) == [path]
    names = ("centers", "scales", "quaternions", "colors")
    states = {}
    for chunk in chunks.RrdReader(path).stream():
        batch = chunk.to_record_batch()
        if "GaussianSplats3D:centers" in batch.schema.names:
            rows = batch.select(["time", *(f"GaussianSplats3D:{name}" for name in names)])
            for time, *values in zip(*rows.to_pydict().values(), strict=True):
                states[round(time.total_seconds(), 6)] = [np.array(value) for value in values]
    assert sorted(states) == list(times)
    means, scales, quats, colors = states[2.1]
    splats = PLACEMENT.splats(scene, 0.25)
    np.testing.assert_allclose(means, splats.means, atol=1e-6)
    np.testing.assert_allclose(scales, splats.scales, rtol=1e-6)
    np.testing.assert_allclose(quats[:, [3, 0, 1, 2]], splats.quats, atol=1e-6)
    rgba = colors[:, None] >> np.array([24, 16, 8, 0]) & 255
    expected = np.column_stack([splats.colors, splats.opacities])
    np.testing.assert_allclose(rgba / 255, expected, atol=0.51 / 255)
