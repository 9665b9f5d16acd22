"""Longer training of the heads that see the pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from core.data.layered import TextureBank
from core.data.randomness.scene_random import SceneRandom
from core.io.stills.images import write_png
from core.models import MatchingConfig, build_model, load_model, save_model
from core.models.matching.network import MatchingNetwork
from core.rendering import render
from tools.train_pixel_heads import draw_batch, main

SIZE = (32, 48)


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):
        coarse = rng.integers(0, 256, (12, 18, 3), np.uint8)
        write_png(folder / f"{i}.png", coarse.repeat(4, 0).repeat(4, 1))
    return folder


def test_training_makes_key_frames_sharper_and_leaves_all_else(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    config = MatchingConfig(image_height=32, image_width=48, pixel_width=8, pixel_blocks=1)
    save_model(build_model(config), tmp_path / "before", dtype=torch.float16)
    sizes = ["--steps", "40", "--batch_size", "4", "--crop", "32", "48", "--lr", "1e-2"]
    files = ["--resume", str(tmp_path / "before"), "--output", str(tmp_path / "after")]
    arguments = ["--pictures", str(pictures), "--device", "cpu"]
    monkeypatch.setattr("sys.argv", ["train_pixel_heads", *files, *arguments, *sizes])
    main()
    monkeypatch.setattr("sys.argv", ["train_pixel_heads", *files[:3], files[1], *arguments])
    with pytest.raises(SystemExit):  # it would replace what it reads
        main()
    before, after = (load_model(tmp_path / name) for name in ("before", "after"))
    assert isinstance(before, MatchingNetwork)
    assert isinstance(after, MatchingNetwork)
    weights = before.state_dict()
    changed = {name for name, value in after.state_dict().items() if value.ne(weights[name]).any()}
    trained = ("static.heads.first.", "static.heads.correction.")
    assert changed == {name for name in weights if name.startswith(trained)}
    assert _error(after, pictures) < 0.8 * _error(before, pictures)


def test_what_was_trained_before_a_stop_is_kept(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(rng: SceneRandom, *arguments: object) -> tuple[torch.Tensor, torch.Tensor]:
        batches.append(draw_batch(rng, *arguments))
        if len(batches) == 3:
            raise KeyboardInterrupt
        return batches[-1]

    batches: list[tuple[torch.Tensor, torch.Tensor]] = []
    torch.manual_seed(0)
    config = MatchingConfig(image_height=32, image_width=48, pixel_width=8, pixel_blocks=1)
    save_model(build_model(config), tmp_path / "before")
    files = ["--resume", str(tmp_path / "before"), "--output", str(tmp_path / "after")]
    options = ["--pictures", str(pictures), "--device", "cpu", "--batch_size", "2"]
    sizes = ["--crop", "32", "48", "--line_share", "0"]
    monkeypatch.setattr("sys.argv", ["train_pixel_heads", *files, *options, *sizes])
    monkeypatch.setattr("tools.train_pixel_heads.draw_batch", stopped)
    with pytest.raises(SystemExit) as status:
        main()
    assert status.value.code == 130
    before, after = (load_model(tmp_path / name).state_dict() for name in ("before", "after"))
    assert any(
        value.ne(before[name]).any() for name, value in after.items() if "correction" in name
    )


@torch.inference_mode()
def _error(model: MatchingNetwork, pictures: Path) -> float:
    bank = TextureBank(pictures, min_side=32, budget_mib=1, device="cpu")
    crops, depths = draw_batch(SceneRandom("apart", range(8)), bank, SIZE, 2)
    found = model.static.heads.at_depths(crops, depths).final
    return (render(found, torch.zeros(8, 1), SIZE).rgb[:, 0] - crops).square().mean().item()


def test_a_batch_holds_pictures_grids_and_depths_in_range(pictures: Path) -> None:
    bank = TextureBank(pictures, min_side=32, budget_mib=1, device="cpu")
    crops, depths = draw_batch(SceneRandom(0, range(64)), bank, SIZE, 16)
    assert crops.shape == (64, 3, *SIZE)
    assert depths.shape == (64, 1, 16, 24)
    assert depths.min() > 0
    assert depths.max() < 1
    spread = depths.flatten(1).std(dim=1)
    assert 1 <= (spread == 0).sum() <= 20  # one in ten is flat
    assert spread.median() > 0.05
