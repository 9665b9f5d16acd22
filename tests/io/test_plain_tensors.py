import numpy as np
import pytest
import torch

from core.io.plain_tensors import DamagedFileError, NotPlainError, load_plain


@pytest.mark.parametrize("mapped", [True, False])
@pytest.mark.parametrize("zipped", [True, False])
def test_plain_values_are_read_and_others_refused(tmp_path, zipped, mapped):
    path = tmp_path / "a.pt"
    plain = {"name": ["a", 3, 0.5, None], "values": torch.arange(6).reshape(2, 3)}
    torch.save(plain, path, _use_new_zipfile_serialization=zipped)
    loaded = load_plain(path, mapped=mapped)
    assert loaded["name"] == plain["name"]
    assert torch.equal(loaded["values"], plain["values"])
    torch.save({"values": np.arange(3)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(NotPlainError):
        load_plain(path, mapped=mapped)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_no_bytes_at_all_lead_to_another_error(tmp_path):
    path = tmp_path / "a.pt"
    torch.save({"values": torch.arange(6)}, path, _use_new_zipfile_serialization=False)
    whole = path.read_bytes()
    generator = np.random.default_rng(0)
    for _ in range(300):
        damaged = bytearray(whole[: generator.integers(len(whole))])
        for place in generator.integers(max(len(damaged), 1), size=4)[: len(damaged)]:
            damaged[place] = generator.integers(256)
        path.write_bytes(damaged)
        with pytest.raises((DamagedFileError, NotPlainError)):
            load_plain(path, mapped=True)
    with pytest.raises(DamagedFileError):
        load_plain(tmp_path / "absent.pt", mapped=True)
