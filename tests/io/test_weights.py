from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from core.checks import UserError
from core.io import read_tensors


def _state():
    generator = torch.Generator().manual_seed(0)
    return {
        "a.weight": torch.randn(64, 64, generator=generator),
        "b": torch.randn(3, generator=generator),
    }


def _save(path, state):
    (save_file if path.suffix == ".safetensors" else torch.save)(state, path)
    return path


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_tensors_are_read(tmp_path, name):
    read = read_tensors(_save(tmp_path / name, _state()))
    torch.testing.assert_close(read, _state(), rtol=0, atol=0)


@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.5, 0.99])
def test_a_file_that_is_cut_short_is_an_error_of_one_line(tmp_path, name, share):
    path = _save(tmp_path / name, _state())
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(UserError, match="cut short") as caught:
        read_tensors(path)
    assert "\n" not in str(caught.value)


def test_nothing_is_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the file was unpickled",))

    torch.save({"a": Bomb()}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="more than tensors"):
        read_tensors(tmp_path / "w.pth")


def test_files_of_something_else_are_refused(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        read_tensors(tmp_path / "none.pth")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    with pytest.raises(UserError, match="dictionary of tensors"):
        read_tensors(tmp_path / "list.pth")
