import shutil

import pytest
import torch

from core.data.miniature import write_miniature
from core.training import DataOptions
from core.training.feeding.options import DatasetOptions
from core.training.feeding.sources import open_validation_sets

pytestmark = pytest.mark.slow


def _open(stage, *, name, path, clips=None):
    data = DataOptions(datasets=(DatasetOptions(name=name, path=path),))
    device = torch.device("cpu")
    return open_validation_sets(data, stage, eval_clips_path=clips, num_samples=2, device=device)


@pytest.mark.parametrize("name", ["davis", "vos", "co3d", "re10k"])
def test_datasets_are_validated_on_their_own_part_for_it(make_dynamic_stage, tmp_path, name):
    path = write_miniature(name, tmp_path / "data", sequences=2, frames=4)
    stage = make_dynamic_stage()
    sets, again = (_open(stage, name=name, path=path) for _ in range(2))
    assert list(sets) == ["procedural", name]
    assert all(sample.frames.shape == (1, 3, 3, 32, 64) for sample in sets[name])
    for one, two in zip(sets[name], again[name], strict=True):
        assert torch.equal(one.frames, two.frames)


def test_a_dataset_without_that_part_is_left_out_and_said(make_dynamic_stage, tmp_path, caplog):
    path = write_miniature("davis", tmp_path / "data", sequences=2, frames=4)
    (path / "ImageSets/2017/val.txt").unlink()
    with caplog.at_level("WARNING", "streamsplat"):
        assert list(_open(make_dynamic_stage(), name="davis", path=path)) == ["procedural"]
    assert "davis is left out of validation" in caplog.text
    assert "val.txt" in caplog.text


def test_folders_of_clips_are_validated_on_another_folder(make_dynamic_stage, clips_root, tmp_path):
    shutil.copytree(clips_root, tmp_path / "held_back")
    sets = _open(make_dynamic_stage(), name="frames", path=clips_root, clips=tmp_path / "held_back")
    assert list(sets) == ["procedural", "clips"]
    assert len(sets["clips"]) == 2
