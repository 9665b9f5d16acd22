import os
from pathlib import Path

import pytest

from core.checks import UserError
from core.io.collisions import refuse_overwriting

NAMES = ("depth.mp4", "overview.png")


@pytest.fixture
def folder(tmp_path):
    """Folder of outputs, among which lies a video."""
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "depth.mp4").write_bytes(b"video")
    (folder / "clip.mp4").write_bytes(b"video")
    return folder


def _aliases(folder: Path):
    file = folder / "depth.mp4"
    (folder.parent / "link.mp4").symlink_to(file)
    (folder.parent / "hard.mp4").hardlink_to(file)
    (folder.parent / "other").symlink_to(folder)
    yield file
    yield str(file)
    yield f"file:{file}"
    yield f"file://{file}"
    yield folder.parent / "link.mp4"
    yield folder.parent / "hard.mp4"
    yield folder.parent / "other" / "depth.mp4"
    yield folder / ".." / "out" / "depth.mp4"
    yield Path(os.path.relpath(file))


def test_an_input_that_would_be_replaced_is_refused_by_any_name(folder):
    for alias in _aliases(folder):
        with pytest.raises(UserError, match=r"--input .*\.mp4 would be replaced"):
            refuse_overwriting(folder, NAMES, [("--input", alias)])


def test_a_folder_of_inputs_is_not_written_to(folder):
    for alias in (folder, folder.parent / "out" / ".", folder / ".." / "out"):
        with pytest.raises(UserError, match="is the folder that is written to"):
            refuse_overwriting(folder, (), [("--input", alias)])


def test_links_in_a_folder_of_inputs_are_followed(folder):
    frames = folder.parent / "frames"
    frames.mkdir()
    (frames / "0.png").symlink_to(folder / "depth.mp4")
    with pytest.raises(UserError, match=r"0\.png would be replaced"):
        refuse_overwriting(folder, NAMES, [("--input", frames)])


def test_a_folder_in_the_place_of_an_output_is_refused(folder):
    (folder / "overview.png").mkdir()
    with pytest.raises(UserError, match=r"overview\.png is a folder"):
        refuse_overwriting(folder, NAMES, [])


def test_other_inputs_may_lie_where_outputs_are_written(folder):
    inputs = [folder / "clip.mp4", folder.parent, None, "0", "rtsp://host/depth.mp4", "missing"]
    refuse_overwriting(folder, NAMES, [("--input", given) for given in inputs])
    refuse_overwriting(folder.parent / "new", NAMES, [("--input", folder / "depth.mp4")])


def test_standard_input_is_looked_at_too(folder, monkeypatch):
    with (folder / "depth.mp4").open("rb") as file:
        monkeypatch.setattr(
            "core.io.collisions._STANDARD_INPUT", {"-": f"/proc/self/fd/{file.fileno()}"}
        )
        with pytest.raises(UserError, match="would be replaced"):
            refuse_overwriting(folder, NAMES, [("--input", "-")])
