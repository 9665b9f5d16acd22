from __future__ import annotations

import importlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from core.checks import UserError
from core.depth import CONFIGS
from core.depth.preprocess import davis_jobs, write_depths
from core.io import read_depth, write_png


def _image(path, value=0, size=(6, 8)):
    ramp = np.linspace(0, 200, size[0] * size[1]).reshape(*size, 1) + value
    write_png(path, np.repeat(ramp, 3, 2).astype(np.uint8))


@pytest.fixture
def davis(tmp_path):
    folder = tmp_path / "JPEGImages" / "Full-Resolution"
    for sequence in ("bear", "camel"):
        for index in range(3):
            _image(folder / sequence / f"{index:05d}.png", 10 * index)
    return tmp_path


def _red_channel(images):
    return images[:, :1] * 7 + 3


def _maps(root):
    return sorted(path for path in root.rglob("*.png") if "depthImages" in path.parts)


def test_maps_lie_where_the_data_sets_expect_them(davis):
    jobs = davis_jobs(davis)
    assert len(jobs) == 6
    assert jobs[1].image == davis / "JPEGImages/Full-Resolution/bear/00001.png"
    assert jobs[1].depth == davis / "depthImages/Full-Resolution/bear/00001_pred.png"
    assert davis_jobs(davis / "JPEGImages" / "Full-Resolution" / "bear") == jobs[:3]


def test_clips_with_their_own_folders_and_nested_names_are_found(tmp_path):
    for clip in ("b10", "b2"):
        _image(tmp_path / clip / "JPEGImages" / "0.jpg.png")
        _image(tmp_path / clip / "Annotations" / "0.png")
    _image(tmp_path / "JPEGImages" / "b3" / "JPEGImages" / "0.png")
    (tmp_path / "b2" / "loop").symlink_to(tmp_path)
    depths = [str(job.depth.relative_to(tmp_path)) for job in davis_jobs(tmp_path)]
    assert depths == [
        "b2/depthImages/0.jpg_pred.png",
        "b10/depthImages/0.jpg_pred.png",
        "JPEGImages/b3/depthImages/0_pred.png",
    ]


def test_roots_without_images_are_explained(tmp_path):
    with pytest.raises(UserError, match="no folder"):
        davis_jobs(tmp_path / "none")
    _image(tmp_path / "images" / "0.png")
    with pytest.raises(UserError, match="no images below a folder JPEGImages"):
        davis_jobs(tmp_path)


def test_each_map_is_normalised_by_itself_in_16_bits(davis):
    report = write_depths(davis_jobs(davis), _red_channel, batch_size=4)
    assert (report.written, report.existing, report.failures) == (6, 0, ())
    for job in davis_jobs(davis):
        stored = cv2.imread(str(job.depth), cv2.IMREAD_UNCHANGED)
        assert stored.dtype == np.uint16
        assert (stored.min(), stored.max()) == (0, 65535)
        red = cv2.imread(str(job.image))[..., 2].astype(float)
        expected = (red - red.min()) / (red.max() - red.min())
        np.testing.assert_allclose(read_depth(job.depth), expected, atol=1e-5)


def test_a_constant_map_becomes_zero(davis):
    write_depths(davis_jobs(davis)[:1], lambda images: torch.full_like(images[:, :1], 5))
    np.testing.assert_array_equal(read_depth(davis_jobs(davis)[0].depth), np.zeros((6, 8)))


def test_neighbours_of_one_size_go_together(davis):
    _image(davis / "JPEGImages/Full-Resolution/bear/00001.png", size=(4, 4))
    shapes = []

    def estimate(images):
        shapes.append(tuple(images.shape))
        return images[:, :1]

    settled = []
    write_depths(davis_jobs(davis), estimate, batch_size=3, on_progress=settled.append)
    assert shapes == [(1, 3, 6, 8), (1, 3, 4, 4), (3, 3, 6, 8), (1, 3, 6, 8)]
    assert sum(settled) == 6


def test_a_run_that_broke_off_goes_on_where_it_stopped(davis):
    jobs = davis_jobs(davis)
    calls = []

    def estimate(images):
        calls.append(len(images))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return images[:, :1]

    with pytest.raises(KeyboardInterrupt):
        write_depths(jobs, estimate)
    done = _maps(davis)
    assert len(done) == 2
    before = jobs[0].depth.stat().st_mtime_ns
    report = write_depths(jobs, _red_channel)
    assert (report.written, report.existing) == (4, 2)
    assert jobs[0].depth.stat().st_mtime_ns == before
    report = write_depths(jobs, _red_channel, overwrite=True)
    assert (report.written, report.existing) == (6, 0)
    assert jobs[0].depth.stat().st_mtime_ns > before


def test_an_unreadable_image_does_not_stop_the_run(davis):
    broken = davis / "JPEGImages/Full-Resolution/bear/00001.png"
    broken.write_bytes(b"broken")
    report = write_depths(davis_jobs(davis), _red_channel, batch_size=2)
    assert report.written == 5
    assert [failure.image for failure in report.failures] == [broken]
    assert "00001.png" in report.failures[0].reason
    assert len(_maps(davis)) == 5


def test_a_map_that_cannot_be_written_stops_the_run(davis):
    (davis / "depthImages").write_bytes(b"a file in the way")
    with pytest.raises(UserError, match="cannot write"):
        write_depths(davis_jobs(davis), _red_channel)


@pytest.fixture
def program(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2])
    return importlib.import_module("preprocess_depth_davis")


def _call(program, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["preprocess_depth_davis.py", *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        program.main()
    return caught.value.code


def test_the_program_from_end_to_end(
    program, monkeypatch, davis, tmp_path, tiny, tiny_tensors, capfd
):
    monkeypatch.setitem(CONFIGS, "vits", tiny)
    weights = tmp_path / "weights"
    arguments = ("--root_path", davis, "--checkpoint", weights, "--device", "cpu")
    assert _call(program, monkeypatch, *arguments) == 2
    message = capfd.readouterr().err
    assert "depth_anything_v2_vits.pth" in message
    assert str(weights) in message

    weights.mkdir()
    torch.save(tiny_tensors, weights / "depth_anything_v2_vits.pth")
    assert _call(program, monkeypatch, *arguments, "--batch_size", 2) == 0
    assert len(_maps(davis)) == 6

    broken = davis / "JPEGImages/Full-Resolution/camel/00003.png"
    broken.write_bytes(b"broken")
    assert _call(program, monkeypatch, *arguments) == 1
    assert "00003.png" in capfd.readouterr().err
    assert len(_maps(davis)) == 6


def test_the_program_refuses_what_it_cannot_do(program, monkeypatch, davis, capfd):
    for arguments, message in {
        ("--batch_size", "0"): "--batch_size is 0",
        ("--autocast", "--device", "cpu"): "--autocast needs a CUDA device",
        ("--device", "abacus"): "--device abacus",
    }.items():
        assert _call(program, monkeypatch, "--root_path", davis, *arguments) == 2
        assert message in capfd.readouterr().err
