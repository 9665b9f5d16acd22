"""Both command lines that write depth maps."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from core.depth import CONFIGS, preprocess
from core.depth.dataset_maps import Share
from core.io import write_png
from core.io.chunks.depth import DepthChunk
from core.io.stills.images import is_whole_png

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]


def _picture(value=0):
    ramp = np.linspace(0, 200, 6 * 8).reshape(6, 8, 1) + value
    return np.repeat(ramp, 3, 2).astype(np.uint8)


def _jpeg_images(root):
    for index in range(4):
        write_png(root / "JPEGImages" / "bear" / f"{index:05d}.png", _picture(index))
    return root


def _co3d(root):
    entries = []
    for index in range(4):
        path = f"apple/s1/images/frame{index:06d}.png"
        write_png(root / path, _picture(index))
        entries.append(["s1", index, path])
    write_png(root / "apple/s2/images/frame000000.png", _picture())
    lists = root / "apple" / "set_lists" / "set_lists_manyview_dev_0.json"
    lists.parent.mkdir()
    lists.write_text(json.dumps({"train": entries[:2], "test": entries[2:]}))
    return root


def _re10k(root):
    images = [torch.from_numpy(cv2.imencode(".jpg", _picture(i))[1]) for i in range(4)]
    (root / "train").mkdir(parents=True)
    torch.save([{"key": "a", "images": images}], root / "train" / "000000.torch")
    return root


@pytest.fixture
def weights(tmp_path, monkeypatch, tiny, tiny_tensors):
    monkeypatch.setitem(CONFIGS, "vits", tiny)
    folder = tmp_path / "weights"
    folder.mkdir()
    torch.save(tiny_tensors, folder / "depth_anything_v2_vits.pth")
    return folder


@pytest.fixture
def davis_program(monkeypatch):
    monkeypatch.syspath_prepend(ROOT)
    return importlib.import_module("preprocess_depth_davis")


def _call(program, monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", [program.__name__, *map(str, arguments)])
    with pytest.raises(SystemExit) as caught:
        program.main()
    return caught.value.code


def _maps(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*_pred.png"))


@pytest.mark.parametrize("layout", ["davis", "vos", "frames"])
def test_images_below_jpeg_images(layout, tmp_path, monkeypatch, weights):
    roots = [_jpeg_images(tmp_path / "one"), _jpeg_images(tmp_path / "two")]
    arguments = (layout, *roots, "--checkpoint", weights, "--device", "cpu", "--batch_size", 3)
    assert _call(preprocess, monkeypatch, *arguments) == 0
    for root in roots:
        assert _maps(root) == [f"depthImages/bear/{index:05d}_pred.png" for index in range(4)]


def test_co3d_images_are_those_of_its_set_lists(tmp_path, monkeypatch, weights, capfd):
    root = _co3d(tmp_path / "co3d")
    (root / "apple/s1/images/frame000003.png").unlink()
    arguments = ("co3d", root, "--checkpoint", weights, "--device", "cpu")
    assert _call(preprocess, monkeypatch, *arguments) == 0
    assert _maps(root) == [f"apple/s1/predict_depths/frame{i:06d}_pred.png" for i in range(3)]
    assert "1 of the 4 images in the set lists are not there" in capfd.readouterr().err


def test_re10k_chunks_get_chunks_of_maps(tmp_path, monkeypatch, weights):
    root = _re10k(tmp_path / "re10k")
    assert _call(preprocess, monkeypatch, "re10k", root, "--checkpoint", weights) == 0
    assert DepthChunk(root / "train" / "depth_000000.safetensors").shape("a") == (4, 6, 8)


def test_the_published_command_line(davis_program, tmp_path, monkeypatch, weights, capfd):
    root = _jpeg_images(tmp_path / "davis")
    arguments = ("--root_path", root, "--device", "cpu", "--checkpoint")
    assert _call(davis_program, monkeypatch, *arguments, tmp_path) == 2
    message = capfd.readouterr().err
    assert "depth_anything_v2_vits.pth" in message
    assert str(tmp_path) in message

    assert _call(davis_program, monkeypatch, *arguments, weights, "--batch_size", 2) == 0
    assert len(_maps(root)) == 4
    assert "depth written for 4 image(s); 0 had it already" in capfd.readouterr().err

    (root / "JPEGImages" / "bear" / "00004.png").write_bytes(b"broken")
    assert _call(davis_program, monkeypatch, *arguments, weights) == 0
    message = capfd.readouterr().err
    assert "depth written for 0 image(s); 4 had it already" in message
    assert "without depth" in message
    assert "00004.png" in message


def test_maps_that_are_whole_are_left_alone(tmp_path, monkeypatch, weights, capfd):
    root = _jpeg_images(tmp_path / "davis")
    arguments = ("davis", root, "--checkpoint", weights, "--device", "cpu")
    assert _call(preprocess, monkeypatch, *arguments) == 0
    whole, cut, empty, absent = (root / name for name in _maps(root))
    cut.write_bytes(cut.read_bytes()[:-20])
    empty.write_bytes(b"")
    absent.unlink()
    before = whole.stat().st_mtime_ns
    capfd.readouterr()
    assert _call(preprocess, monkeypatch, *arguments) == 0
    assert "written for 3 image(s); 1 had it already" in capfd.readouterr().err
    assert whole.stat().st_mtime_ns == before
    assert all(is_whole_png(path) for path in (whole, cut, empty, absent))
    assert _call(preprocess, monkeypatch, *arguments, "--overwrite") == 0
    assert whole.stat().st_mtime_ns > before


def test_chunks_whose_maps_are_whole_are_left_alone(tmp_path, monkeypatch, weights, capfd):
    root = _re10k(tmp_path / "re10k")
    arguments = ("re10k", root, "--checkpoint", weights, "--device", "cpu")
    assert _call(preprocess, monkeypatch, *arguments) == 0
    assert _call(preprocess, monkeypatch, *arguments) == 0
    assert "written for 0 chunk(s); 1 had it already" in capfd.readouterr().err
    maps = root / "train" / "depth_000000.safetensors"
    maps.write_bytes(maps.read_bytes()[:-1])
    assert _call(preprocess, monkeypatch, *arguments) == 0
    assert "written for 1 chunk(s); 0 had it already" in capfd.readouterr().err
    assert DepthChunk(maps).keys == ("a",)


def test_only_a_run_that_could_read_nothing_fails(tmp_path, monkeypatch, weights):
    folder = tmp_path / "JPEGImages" / "bear"
    folder.mkdir(parents=True)
    (folder / "00000.png").write_bytes(b"broken")
    assert _call(preprocess, monkeypatch, "davis", tmp_path, "--checkpoint", weights) == 1
    # One of several processes must not have the launcher end the others.
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert _call(preprocess, monkeypatch, "davis", tmp_path, "--checkpoint", weights) == 0


def test_what_cannot_be_done_is_one_line(tmp_path, monkeypatch, capfd):
    root = _jpeg_images(tmp_path / "davis")
    monkeypatch.chdir(tmp_path)
    for arguments, message in {
        ("davis", root, "--batch_size", "0"): "--batch_size is 0",
        ("davis", root, "--threads", "0"): "--threads is 0",
        ("davis", root, "--autocast", "--device", "cpu"): "--autocast needs a CUDA device",
        ("davis", root, "--device", "abacus"): "--device abacus",
        ("davis", root): "no weights in checkpoints",
        ("vos",): "no path is given",
    }.items():
        assert _call(preprocess, monkeypatch, *arguments) == 2
        error = capfd.readouterr().err
        assert message in error
        assert error.startswith("error: ")
        assert error.count("\n") == 1


def test_roots_without_images_are_one_line(tmp_path, monkeypatch, weights, capfd):
    root = _jpeg_images(tmp_path / "davis")
    for arguments, message in {
        ("davis", tmp_path / "none"): "is no folder",
        ("co3d", root): "holds no set lists",
        ("re10k", root): "holds no image chunks",
    }.items():
        assert _call(preprocess, monkeypatch, *arguments, "--checkpoint", weights) == 2
        error = capfd.readouterr().err
        assert error.startswith("error: ")
        assert message in error


def test_shares_are_disjoint_and_complete(monkeypatch):
    items = list(range(11))
    shares = [Share(index, 3).of(items) for index in range(3)]
    assert sorted(item for share in shares for item in share) == items
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert Share.from_environment() == Share(0, 1)
    monkeypatch.setenv("RANK", "2")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert Share.from_environment() == Share(2, 3)


def test_processes_of_the_launcher_share_the_work(tmp_path):
    """``accelerate launch`` starts several processes of a machine by ``torch.distributed.run``."""
    script = tmp_path / "script.py"
    script.write_text(
        "from core.depth.dataset_maps import Share\n"
        "share = Share.from_environment()\n"
        f"open(r'{tmp_path}' + f'/{{share.index}}', 'w').write(str(share.of(range(5))))\n"
    )
    launch = ("-m", "torch.distributed.run", "--nproc_per_node", "2", str(script))
    subprocess.run(
        [sys.executable, *launch],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
        timeout=120,
    )
    assert [(tmp_path / rank).read_text() for rank in "01"] == ["range(0, 5, 2)", "range(1, 5, 2)"]
