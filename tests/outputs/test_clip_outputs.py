from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plyfile import PlyData

from core.checks import UserError
from core.geometry.fit import FitMode
from core.io import read_image
from core.io.frame_source import FrameSource
from core.io.video import VideoSource, read_video
from core.outputs import file_names
from core.outputs.clip_outputs import Summary, export_outputs, write_outputs
from core.outputs.options import OutputOptions
from core.outputs.staging import staged_outputs
from core.scene_file import open_scene
from core.streaming.reconstruct import ClipReconstructor, choose_fit

pytestmark = pytest.mark.slow
Build = Callable[..., ClipReconstructor]
OPTIONS = OutputOptions(orbit_frames=4)
FILES = set(file_names.FILES) - {file_names.PLAYER}  # which is written on request


def write(
    reconstructor: ClipReconstructor,
    source: FrameSource,
    output: Path,
    options: OutputOptions = OPTIONS,
    mode: FitMode = "stretch",
) -> Summary:
    fit = choose_fit(source, reconstructor.session.image_size, mode)
    with staged_outputs(output) as staging:
        return write_outputs(reconstructor, source, fit, options, staging)


@pytest.mark.parametrize("count", [1, 3, 5])
def test_all_files_are_there_and_frames_add_up(
    reconstructor: Build, synthetic_source, tmp_path: Path, count: int
) -> None:
    summary = write(reconstructor(batch_size=2), synthetic_source(count), tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == FILES
    for name in ("rendered", "side_by_side", "depth"):
        assert len(read_video(tmp_path / f"{name}.mp4")) == count
    assert len(read_video(tmp_path / "orbit.mp4")) == max(count, 4), "the round is completed"
    assert len(summary.metrics.frames) == count
    assert len(json.loads((tmp_path / "metrics.json").read_text())["frames"]) == count
    vertices = PlyData.read(str(tmp_path / "gaussians.ply"))["vertex"]
    assert len(vertices) == summary.ply.num_gaussians > 0
    assert read_image(tmp_path / "metrics.png").shape[0] > 100
    assert dict(summary.facts())["Frames"] == str(count)


def test_other_processes_write_the_same_files(
    reconstructor: Build, synthetic_source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for beside in (False, True):
        monkeypatch.setattr("core.outputs.clip_outputs.pays_beside", lambda _, to=beside: to)
        summary = write(reconstructor(), synthetic_source(7), tmp_path / str(beside))
        scene = tmp_path / str(beside) / file_names.SCENE
        assert summary.scene_bytes == scene.stat().st_size
    for name in FILES - {file_names.PAGE}:  # which says how long it took
        here, beside = (tmp_path / str(which) / name for which in (False, True))
        if here.suffix == ".mp4":
            # x264 codes the same frames of so few rows a little differently from time to time.
            frames, others = (np.stack(read_video(path)).astype(int) for path in (here, beside))
            assert np.abs(frames - others).mean() < 1, name
        else:
            assert here.read_bytes() == beside.read_bytes(), name


def test_a_process_that_cannot_write_ends_the_clip_in_one_line(
    reconstructor: Build, synthetic_source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.outputs.clip_outputs.pays_beside", lambda _: True)
    source, build = synthetic_source(7), reconstructor()
    fit = choose_fit(source, build.session.image_size, "stretch")

    def write_over_folder() -> None:
        with staged_outputs(tmp_path / "output") as staging:
            (staging.folder / file_names.SCENE).mkdir()
            write_outputs(build, source, fit, OPTIONS, staging)

    with pytest.raises(UserError, match=r"cannot write .*scene\.ssplat"):
        write_over_folder()
    assert not list((tmp_path / "output").glob(".*"))


def test_a_player_that_cannot_be_written_takes_nothing_with_it(
    reconstructor: Build, synthetic_source, tmp_path: Path
) -> None:
    def refuse(page: Path, scene: Path, video: Path | None) -> None:
        raise UserError(f"{scene.name} is too long")

    source, build = synthetic_source(2), reconstructor()
    fit = choose_fit(source, build.session.image_size, "stretch")
    with staged_outputs(tmp_path) as staging:
        write_outputs(build, source, fit, OPTIONS, staging, write_player=refuse)
    assert {file.name for file in tmp_path.iterdir()} == FILES
    assert "<iframe" not in (tmp_path / "index.html").read_text()


@pytest.mark.parametrize("with_frames", [True, False])
def test_the_player_gets_the_input_frames_at_their_times(
    reconstructor: Build, synthetic_source, tmp_path: Path, with_frames: bool
) -> None:
    shown = [0.0, 0.1, 0.9, 1.0, 3.0]

    class Timed(synthetic_source):
        is_timed = True

        def _decode(self) -> Iterator:
            for frame, time in zip(super()._decode(), shown, strict=True):
                yield replace(frame, time=time)

    got: list[float] = []

    def take(page: Path, scene: Path, video: Path | None) -> None:
        assert scene.exists()
        assert (video is not None) == with_frames
        if video is not None:
            got.extend(frame.time or 0.0 for frame in VideoSource(video))

    source, build = Timed(5), reconstructor()
    fit = choose_fit(source, build.session.image_size, "stretch")
    options = replace(OPTIONS, html_frames=with_frames, fps=10.0)
    with staged_outputs(tmp_path) as staging:
        write_outputs(build, source, fit, options, staging, write_player=take)
    assert got == pytest.approx(shown if with_frames else [], abs=1e-3)


@pytest.mark.parametrize("mode", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("size", [(64, 36), (45, 45)])
def test_pictures_have_the_proportions_of_the_input(
    reconstructor: Build, synthetic_source, tmp_path: Path, size: tuple[int, int], mode: FitMode
) -> None:
    source = synthetic_source(2, size)
    write(reconstructor(), source, tmp_path, mode=mode)
    height, width = read_video(tmp_path / "rendered.mp4").shape[1:3]
    expected = 0.5 if mode == "crop" else size[0] / size[1]
    # Sides are even, and small here: a step of two pixels.
    assert height / width == pytest.approx(expected, rel=0.08)
    both = read_video(tmp_path / "side_by_side.mp4")
    assert both.shape[1:3] == (height, 2 * width)
    left, right = both[0, :, :width].astype(float), both[0, :, width:].astype(float)
    assert np.abs(left - right).mean() < 25, "the same picture twice"


def test_without_orbit_there_is_none(
    reconstructor: Build, synthetic_source, tmp_path: Path
) -> None:
    write(reconstructor(), synthetic_source(2), tmp_path, replace(OPTIONS, orbit_frames=0))
    assert {file.name for file in tmp_path.iterdir()} == FILES - {"orbit.mp4"}


def test_the_scene_is_exported_at_the_time_of_the_ply(
    reconstructor: Build, synthetic_source, tmp_path: Path
) -> None:
    exports = ("ply", "spz", "4dgs", "ply_sequence")
    options = replace(OPTIONS, export=exports, ply_time=2.0)
    for _ in range(2):  # a second run replaces what the first one wrote
        summary = write(reconstructor(), synthetic_source(5), tmp_path, options)
        export_outputs(tmp_path, options)
    written = {"scene.ply", "scene.spz", "scene.4dgs", "scene_ply"}
    assert {file.name for file in tmp_path.iterdir()} == FILES | written
    assert len(list((tmp_path / "scene_ply").iterdir())) == 5
    counts = [
        len(PlyData.read(tmp_path / name)["vertex"]) for name in ("scene.ply", file_names.PLY)
    ]
    assert counts[1] == summary.ply.num_gaussians
    assert abs(counts[0] - counts[1]) <= 0.02 * counts[1]  # of the quantised scene


@pytest.mark.parametrize(("time", "written"), [(0.0, 0.0), (2.5, 2.5), (99.0, 4.0)])
def test_the_scene_is_that_of_the_time_asked_for(
    reconstructor: Build, synthetic_source, tmp_path: Path, time: float, written: float
) -> None:
    options = replace(OPTIONS, ply_time=time, orbit_frames=0)
    summary = write(reconstructor(), synthetic_source(5), tmp_path, options)
    assert summary.ply.time == written


@pytest.mark.parametrize(("first", "time", "written"), [(3, 6.0, 6.0), (0, 2.0, 2.0), (30, 0, 30)])
def test_frames_keep_their_numbers_where_others_are_left_out(
    reconstructor: Build, synthetic_source, tmp_path: Path, first: int, time: float, written: float
) -> None:
    class Gaps(synthetic_source):
        def _decode(self) -> Iterator:
            yield from (f for f in super()._decode() if f.index >= first and f.index != 5)

    options = replace(OPTIONS, ply_time=time, orbit_frames=0)
    summary = write(reconstructor(), Gaps(first + 8), tmp_path, options)
    assert (tmp_path / "overview.png").exists()
    assert summary.ply.time == written
    frames = json.loads((tmp_path / "metrics.json").read_text())["frames"]
    assert [frame["index"] for frame in frames] == [
        index for index in range(first, first + 8) if index != 5
    ]
    assert all(frame["index"] == int(frame["name"]) for frame in frames)


@pytest.mark.parametrize(
    ("fps", "shown"), [(None, [0, 0.1, 0.9, 1.0, 3.0]), (10.0, [0, 0.1, 0.2, 0.3, 0.4])]
)
def test_videos_keep_the_times_of_the_source(
    reconstructor: Build, synthetic_source, tmp_path: Path, fps: float | None, shown: list[float]
) -> None:
    class Timed(synthetic_source):
        is_timed = True

        def _decode(self) -> Iterator:
            for frame, time in zip(super()._decode(), [0, 0.1, 0.9, 1.0, 3.0], strict=True):
                yield replace(frame, time=time)

    options = replace(OPTIONS, fps=fps, ply_time=3.5, orbit_frames=7)
    summary = write(reconstructor(), Timed(5), tmp_path, options)
    assert summary.ply.time == 3.5
    for name in ("rendered", "side_by_side", "depth", "orbit"):
        frames = list(VideoSource(tmp_path / f"{name}.mp4"))
        assert [frame.time for frame in frames[:5]] == pytest.approx(shown, abs=1e-3)
        assert len(frames) == (7 if name == "orbit" else 5)


def test_padding_is_no_part_of_the_exported_scene(
    reconstructor: Build, synthetic_source, tmp_path: Path
) -> None:
    options = replace(OPTIONS, orbit_frames=0)
    # A square fills half of the model's picture; the window's edge is included.
    summary = write(reconstructor(), synthetic_source(1, (45, 45)), tmp_path, options, "pad")
    assert summary.ply.num_gaussians == 32 * 32


def test_an_unreadable_frame_keeps_what_came_before_and_what_was_there(
    reconstructor: Build, synthetic_source, tmp_path: Path
) -> None:
    (tmp_path / "rendered.mp4").write_bytes(b"an earlier result")
    for folder in ("incomplete", "incomplete-2"):
        with pytest.raises(UserError, match=f"damaged; the 5 frames before it .*{folder}$"):
            write(reconstructor(), synthetic_source(8, broken=5), tmp_path)
        assert len(read_video(tmp_path / folder / "rendered.mp4")) == 5
        assert {file.name for file in (tmp_path / folder).iterdir()} == FILES - {"index.html"}
    assert (tmp_path / "rendered.mp4").read_bytes() == b"an earlier result"
    assert len(list(tmp_path.iterdir())) == 3


def test_a_clip_that_cannot_be_read_at_all_leaves_nothing(
    reconstructor: Build, synthetic_source, tmp_path: Path
) -> None:
    source = synthetic_source(3, broken=0)
    fit = choose_fit(synthetic_source(1), (32, 64), "stretch")
    with pytest.raises(UserError, match="0000 is damaged"), staged_outputs(tmp_path) as staging:
        write_outputs(reconstructor(), source, fit, OPTIONS, staging)
    assert list(tmp_path.iterdir()) == []


def test_an_error_of_any_kind_in_mid_clip_keeps_what_is_finished(
    reconstructor: Build, synthetic_source, tmp_path: Path
) -> None:
    class Failing(synthetic_source):
        def _decode(self) -> Iterator:
            yield from list(super()._decode())[:5]
            raise MemoryError

    with pytest.raises(MemoryError):
        write(reconstructor(), Failing(8), tmp_path)
    assert len(read_video(tmp_path / "incomplete" / "rendered.mp4")) == 4


@pytest.mark.parametrize(
    ("place", "missing"),
    [
        ("clip_outputs.write_page", "index.html"),
        ("clip_sinks.plot_psnr", "metrics.png"),
        ("clip_sinks.MetricsSink.finish", "metrics.json"),
        ("clip_sinks.PlySink.finish", None),
        ("clip_sinks.OrbitSink.finish", None),
    ],
)
@pytest.mark.parametrize("error", [UserError("no room"), UnicodeEncodeError("x", "", 0, 1, "")])
def test_what_fails_late_discards_nothing_that_is_finished(
    reconstructor: Build,
    synthetic_source,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    place: str,
    missing: str | None,
    error: Exception,
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(f"core.outputs.{place}", fail)
    with pytest.raises(type(error)):
        write(reconstructor(), synthetic_source(2), tmp_path)
    kept = tmp_path / "incomplete"
    assert {file.name for file in kept.iterdir()} == FILES - {missing, "index.html"}
    assert len(read_video(kept / "rendered.mp4")) == 2


@pytest.mark.parametrize("beside", [False, True])
def test_an_interruption_keeps_what_is_finished(
    reconstructor: Build,
    synthetic_source,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    beside: bool,
) -> None:
    monkeypatch.setattr("core.outputs.clip_outputs.pays_beside", lambda _: beside)

    class Interrupted(synthetic_source):
        def _decode(self) -> Iterator:
            for frame in super()._decode():
                if frame.index == 6:
                    raise KeyboardInterrupt
                yield frame

    with pytest.raises(KeyboardInterrupt):
        write(reconstructor(), Interrupted(9), tmp_path)
    assert len(read_video(tmp_path / "incomplete" / "rendered.mp4")) == 6
    with open_scene(tmp_path / "incomplete" / file_names.SCENE) as reader:
        assert reader.is_complete
