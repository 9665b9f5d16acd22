from __future__ import annotations

import pytest
import torch

from core.checks import UserError
from core.io.chunks.images import read_image_chunk

CONTENT = [
    {
        "key": key,
        "images": [torch.arange(start, start + 9, dtype=torch.uint8) for start in starts],
        "cameras": torch.zeros(len(starts), 18),
        "timestamps": torch.arange(len(starts)),
        "url": "https://example.org",
    }
    for key, starts in {"one": (0, 5, 7), "empty": (), "three": (1,)}.items()
]


@pytest.mark.parametrize("zipped", [True, False])
def test_sequences_are_read_in_order(tmp_path, zipped):
    torch.save(CONTENT, tmp_path / "0.torch", _use_new_zipfile_serialization=zipped)
    sequences = read_image_chunk(tmp_path / "0.torch")
    assert [s.key for s in sequences] == ["one", "empty", "three"]
    assert [len(s.images) for s in sequences] == [3, 0, 1]
    assert torch.equal(sequences[0].images[1], torch.arange(5, 14, dtype=torch.uint8))


def test_damaged_and_foreign_chunks_are_explained(tmp_path):
    path = tmp_path / "0.torch"
    with pytest.raises(UserError, match=r"cannot read the image chunk .*0\.torch"):
        read_image_chunk(path)
    torch.save(CONTENT, path)
    data = path.read_bytes()
    for damaged in (data[: len(data) // 2], data[:-1], b"", b"PK", b"\x80", b"hello", b"<html>"):
        path.write_bytes(damaged)
        with pytest.raises(UserError, match="cut short, damaged"):
            read_image_chunk(path)
    floats = [{"key": "a", "images": [torch.zeros(3)]}]
    text = [{"key": "a", "images": ["no tensor"]}]
    for foreign in ({"key": "a"}, [{"key": "a"}], [3], torch.zeros(3), floats, text):
        torch.save(foreign, path)
        with pytest.raises(UserError, match="no list of sequences"):
            read_image_chunk(path)


class _Trap:
    def __reduce__(self):
        return print, ("code from a file was run",)


def test_code_in_a_chunk_is_not_run(tmp_path, capsys):
    torch.save([{"key": "a", "images": [], "url": _Trap()}], tmp_path / "0.torch")
    with pytest.raises(UserError):
        read_image_chunk(tmp_path / "0.torch")
    assert not capsys.readouterr().out
