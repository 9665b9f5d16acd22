from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core.checks import UserError
from core.data.layered import TextureBank
from core.io.stills.images import read_image, write_png


def write_pictures(folder: Path, count: int, size: tuple[int, int] = (20, 30)) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    for i in range(count):
        write_png(folder / f"{i}.png", rng.integers(0, 256, (*size, 3)).astype(np.uint8))


def bank_of(folder: Path, *, min_side: int = 20, budget_mib: int = 1) -> TextureBank:
    return TextureBank(folder, min_side=min_side, budget_mib=budget_mib, device="cpu")


def test_a_crop_shows_the_texels_and_their_reflection(tmp_path: Path) -> None:
    write_pictures(tmp_path, 4)
    bank = bank_of(tmp_path)
    pictures = [torch.from_numpy(read_image(tmp_path / f"{i}.png")) for i in range(4)]
    flips = torch.tensor([[False, False], [True, True]])
    places = torch.tensor([[0.0, 0.999], [0.0, 0.0]])
    texels = bank.locate(torch.tensor([[0], [0]]), places[:, None], flips[:, None], (10, 12))
    cut = bank.read(texels, 0)
    texels = (cut * 255).round().byte().permute(0, 2, 3, 1)
    (first,) = [p for p in pictures if torch.equal(p[:10, 18:], texels[0])]
    assert torch.equal(texels[1], first[:10, :12].flip(0, 1))
    texels = bank.locate(
        torch.tensor([[0]]), torch.tensor([[[0.0, 0.5]]]), flips[:1, None], (20, 50)
    )
    wide = bank.read(texels, 0)
    row = (wide[0, :, 0] * 255).round().byte().mT
    top = first[0]
    assert torch.equal(row, torch.cat([top[:10].flip(0), top, top[20:].flip(0)]))


def test_sizes_are_bounded_and_large_ones_are_halved(tmp_path: Path) -> None:
    write_pictures(tmp_path / "a" / "b", 2, (10, 15))
    write_pictures(tmp_path / "c", 2, (100, 150))
    sizes = bank_of(tmp_path).sizes.tolist()
    assert sorted(sizes) == [[20, 30]] * 4 + [[40, 60]] * 2


def test_of_clips_only_the_frames_are_textures(tmp_path: Path) -> None:
    write_pictures(tmp_path / "clip" / "JPEGImages", 5)
    write_pictures(tmp_path / "clip" / "Annotations", 5)
    assert len(bank_of(tmp_path)) == 5


def test_scenes_share_the_memory_and_a_clip_counts_as_the_root_of_its_frames(
    tmp_path: Path,
) -> None:
    write_pictures(tmp_path / "long" / "JPEGImages", 300, (40, 60))
    write_pictures(tmp_path / "photos", 6, (40, 120))
    bank = bank_of(tmp_path, min_side=40)
    assert bank.pixels.numel() <= 1 << 20
    assert (bank.sizes[:, 1] == 120).sum() == 6
    assert 100 < len(bank) < 150
    chosen = bank.choose(torch.linspace(0.0, 1.0, 10_000))
    wide = bank.sizes[chosen, 1] == 120
    expected = 6 / (6 + (len(bank) - 6) ** 0.5)
    assert wide.float().mean().item() == pytest.approx(expected, abs=1e-3)
    assert len(chosen.unique()) == len(bank)
    large = bank.choose(torch.linspace(0.0, 0.999, 100), at_least=(40, 100))
    assert (bank.sizes[large, 1] == 120).all()


def test_damaged_files_are_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_pictures(tmp_path, 4)
    (tmp_path / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\nno")
    assert len(bank_of(tmp_path)) == 4
    assert "damaged.png" in caplog.text


def test_too_few_images_are_an_error(tmp_path: Path) -> None:
    write_pictures(tmp_path, 3)
    with pytest.raises(UserError, match="3 images that can be read"):
        bank_of(tmp_path)
    with pytest.raises(UserError, match="no folder"):
        bank_of(tmp_path / "missing")
