"""The contact sheet shows what the network gets, and what it was made of."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from core.checks import UserError
from core.data.augmentation.augment import augment
from core.data.augmentation.contact_sheet import ContactSheetOptions, draw_contact_sheet, main
from core.data.augmentation.options import AugmentationOptions
from core.data.miniature import write_miniature
from core.data.procedural import ProceduralOptions, ProceduralSource
from core.data.sampling.scene_clips import SceneClips
from core.io.stills.png import read_png_values

SMALL = {"samples": 2, "num_frames": 3, "height": 32, "width": 48}
_GAP, _LABEL, _HEIGHT, _WIDTH = 6, 24, 4 * 32, 4 * 48  # enlarged to at least 160 pixels


def _panel(sheet, row, column):
    top, left = _GAP + row * (_LABEL + _HEIGHT + _GAP) + _LABEL, _GAP + column * (_WIDTH + _GAP)
    return sheet[top : top + _HEIGHT : 4, left : left + _WIDTH : 4]


def test_rows_are_frames_before_and_after_depth_mask_and_motion():
    options = ContactSheetOptions(
        "procedural", first=5, augmentation=AugmentationOptions(p=0.5), **SMALL
    )
    sheet = draw_contact_sheet(options)
    assert sheet.shape[:2] == (
        _GAP + 10 * (_LABEL + _HEIGHT + _GAP),
        _GAP + 3 * (_WIDTH + _GAP),
    )
    source = ProceduralSource(ProceduralOptions(height=32, width=48), seed=0)
    scenes = SceneClips(source, num_frames=3, seed=0)
    batch = scenes.batch([5, 6])
    changed = augment(batch, seed=0, positions=[5, 6], options=options.augmentation)

    def image(values):
        return (values * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()

    np.testing.assert_array_equal(_panel(sheet, 5, 2), image(batch.frames[1, 2]))
    np.testing.assert_array_equal(_panel(sheet, 6, 2), image(changed.frames[1, 2]))
    lightness = _panel(sheet, 7, 1).sum(axis=-1, dtype=int).ravel()
    order = changed.inverse_depths[1, 1].flatten().argsort().numpy()
    assert (np.diff(lightness[order]) >= 0).all()
    np.testing.assert_array_equal(_panel(sheet, 8, 1)[..., 0], 255 * changed.masks[1, 1, 0].numpy())


def test_what_a_dataset_lacks_has_no_row(tmp_path, monkeypatch):
    monkeypatch.setenv("STREAMSPLAT_CACHE", str(tmp_path / "cache"))
    root = write_miniature("re10k", tmp_path / "set", image_size=(32, 48), depth=False)
    sheet = draw_contact_sheet(ContactSheetOptions("re10k", root, **SMALL))
    assert sheet.shape[0] == _GAP + 4 * (_LABEL + _HEIGHT + _GAP)


def test_from_the_command_line(tmp_path, monkeypatch, capsys):
    output = tmp_path / "sheet.png"
    arguments = ["procedural", "--output", str(output), "--height", "32", "--width", "48"]
    monkeypatch.setattr(sys, "argv", ["contact_sheet", *arguments, "--augmentation.p", "0.3"])
    main()
    assert read_png_values(output).ndim == 3
    monkeypatch.setattr(sys, "argv", ["contact_sheet", "davis"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "give the folder of a dataset" in capsys.readouterr().err


def test_mistakes_name_the_option():
    for change in ({"samples": 0}, {"num_frames": 0}, {"seed": -1}):
        with pytest.raises(UserError, match=f"--{next(iter(change))} is"):
            ContactSheetOptions("procedural", **change)
