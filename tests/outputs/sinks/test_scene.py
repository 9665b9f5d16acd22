from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
import torch

from core.checks import UserError
from core.geometry.fit import FrameFit
from core.io import Frame
from core.outputs.sinks.scene import SceneSink
from core.scene_file import GRADES, open_scene
from core.streaming import StoredScene, render_interval
from core.streaming.reconstruct import ClipReconstructor, RenderedFrame

Build = Callable[..., ClipReconstructor]
FPS = 12.5


def write(reconstructor: ClipReconstructor, source, path: Path) -> list[RenderedFrame]:
    """Reconstruct a clip into a scene file; return its frames."""
    fit = FrameFit((36, 64), reconstructor.session.image_size)
    with SceneSink(
        path, fit, source="clip", frames_per_second=FPS, timed=False, grade="fine"
    ) as sink:
        frames = []
        for together in reconstructor.frames(source):
            sink.write(together)
            frames += together
        sink.finish()
    assert sink.num_bytes == path.stat().st_size
    return frames


def shots(source):
    """Return a source of three shots: frames 0 to 6, 7, and 8 to 11."""
    noise = np.random.default_rng(0).integers(150, 255, (36, 64, 3), np.uint8)

    class Shots(source):
        def _decode(self):
            for frame in super()._decode():
                shot = int(frame.index >= 7) + int(frame.index >= 8)
                image = (frame.image, noise, 0 * noise)[shot]
                yield Frame(frame.index, frame.name, image)

    return Shots(12)


def test_the_file_renders_what_the_session_rendered(
    reconstructor: Build, synthetic_source, tmp_path: Path
) -> None:
    """At every frame, within crossfades and on both sides of cuts, too."""
    frames = write(reconstructor(), shots(synthetic_source), tmp_path / "scene.ssplat")
    with open_scene(tmp_path / "scene.ssplat") as reader:
        assert reader.is_complete
        assert reader.header.source == "clip"
        assert reader.header.fit == FrameFit((36, 64), (32, 64))
        assert [part.shot for part in reader.intervals] == [0, 0, 1, 2]
        assert reader.window == (0, 11 / FPS)
        scene = StoredScene(reader)
        for frame in frames:
            interval, time = scene.at(frame.index / FPS)
            found = render_interval(interval, [time], (32, 64)).rgb[0]
            assert (found - frame.rgb).square().mean() < 10**-4.5, frame.index
        for frame in (frames[2], frames[5]):  # the first interval of a shot, and the second one
            stored, _ = scene.at(frame.index / FPS)
            if frame.interval.ended is None:
                assert stored.ended is None
            else:
                error = (stored.ended.colors - frame.interval.ended.colors).abs()
                assert error.max() <= GRADES["fine"].color, "what fades out is the same"


def test_survivors_are_left_out_and_said(
    reconstructor: Build, synthetic_source, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "scene.ssplat"
    with caplog.at_level("WARNING", "streamsplat"):
        frames = write(reconstructor(max_persistent=50), synthetic_source(8), path)
    assert "scene.ssplat leaves out the survivors" in caplog.text
    assert frames[-1].interval.num_survivors == 50
    with open_scene(path) as reader:
        assert reader.read_interval(1).num_gaussians == 2 * 32 * 64


def test_an_interval_that_cannot_be_written_ends_the_clip(
    reconstructor: Build, synthetic_source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise UserError("cannot write scene.ssplat: No space left on device")

    monkeypatch.setattr("core.scene_file.SceneWriter.start", lambda *_, **__: full)
    with pytest.raises(UserError, match="No space left"):
        write(reconstructor(), synthetic_source(8), tmp_path / "scene.ssplat")


def test_what_was_appended_is_there_after_an_error(
    reconstructor: Build, synthetic_source, tmp_path: Path
) -> None:
    path = tmp_path / "scene.ssplat"
    fit = FrameFit((36, 64), (32, 64))
    with ExitStack() as stack:
        stack.enter_context(pytest.raises(KeyboardInterrupt))
        sink = stack.enter_context(
            SceneSink(path, fit, source="", frames_per_second=FPS, timed=False, grade="small")
        )
        for frames in reconstructor().frames(synthetic_source(9)):
            sink.write(frames)
        raise KeyboardInterrupt
    with open_scene(path) as reader:
        assert not reader.is_complete
        assert len(reader.intervals) == 3
        assert torch.isfinite(reader.read_interval(2).means).all()
