import numpy as np
import pytest
import torch

from core.checks import UserError
from core.io.chunks.pickled_depth import PickledDepthChunk, PickleRefusedError

MAPS = {
    key: np.random.default_rng(seed).integers(0, 256, (4, 5, 7), np.uint8)
    for seed, key in enumerate("ab")
}


def _write(path, maps, **changes):
    content = {"key": list(maps), "predicted_depth_norm": list(maps.values()), **changes}
    torch.save(content, path)
    return path


@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_are_read_without_permission(tmp_path, zipped):
    path = tmp_path / "depth_000000.pt"
    maps = {key: torch.from_numpy(values) for key, values in MAPS.items()}
    content = {"key": list(maps), "predicted_depth_norm": list(maps.values())}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    chunk = PickledDepthChunk(path)
    assert chunk.keys == ("a", "b")
    assert chunk.shape("b") == (4, 5, 7)
    np.testing.assert_array_equal(chunk.read("b", [3, 0]), MAPS["b"][[3, 0]])


def test_arrays_are_read_with_permission_only(tmp_path):
    path = _write(tmp_path / "depth_000000.pt", MAPS)
    with pytest.raises(PickleRefusedError, match=r"depth_000000\.pt .*--allow_pickle_depth"):
        PickledDepthChunk(path)
    chunk = PickledDepthChunk(path, allow_pickle=True)
    np.testing.assert_array_equal(chunk.read("a", [1]), MAPS["a"][[1]])


@pytest.mark.parametrize("allow", [True, False])
@pytest.mark.parametrize(
    "damage", ["cut", "other keys", "floats", "fewer maps", "missing", "empty", "text", "web page"]
)
def test_what_is_no_such_file_is_named(tmp_path, damage, allow):
    path = tmp_path / "depth_000000.pt"
    tensors = {key: torch.from_numpy(values) for key, values in MAPS.items()}
    if damage == "cut":
        _write(path, tensors)
        path.write_bytes(path.read_bytes()[:300])
    elif damage == "other keys":
        torch.save({"keys": []}, path)
    elif damage == "floats":
        _write(path, {key: values.float() for key, values in tensors.items()})
    elif damage == "fewer maps":
        _write(path, tensors, key=["a"])
    elif damage != "missing":
        contents = {"empty": b"", "text": b"hello, what is this?", "web page": b"<!DOCTYPE html>"}
        path.write_bytes(contents[damage])
    with pytest.raises(UserError, match=r"cannot read the depth maps in .*depth_000000\.pt"):
        PickledDepthChunk(path, allow_pickle=allow)
