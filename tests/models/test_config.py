from __future__ import annotations

import json
import re
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest
import torch

import core.models
from core.checks import UserError
from core.models import PRESETS, MatchingConfig, StreamSplatConfig, build_model
from core.models.config import read_config, write_config


def test_full_preset_is_the_published_size() -> None:
    full = PRESETS["full"]
    assert full == StreamSplatConfig()
    assert full.token_grid == (36, 64)
    assert full.gaussian_grid == (144, 256)
    assert full.num_condition_tokens == 576
    assert full.dino_image_size == (252, 448)


@pytest.mark.parametrize(("name", "millions"), [("full", 181.7), ("small", 8.9), ("tiny", 3.4)])
def test_presets_have_as_many_parameters_as_documented(name: str, millions: float) -> None:
    with torch.device("meta"):
        model = build_model(PRESETS[name])
    assert round(sum(p.numel() for p in model.parameters()) / 1e6, 1) == millions
    assert PRESETS[name].use_dino is (name == "full")
    assert PRESETS[name].gaussian_grid == (144, 256)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_height": 290}, "image_height is 290; expected a multiple of patch_size 8"),
        ({"patch_size": 2, "use_dino": False}, "patch_size is 2; expected a multiple of 4"),
        ({"width": 100}, "width is 100; expected a number divisible by head_width 64"),
        (
            {"upsampler_widths": (384, 200)},
            r"upsampler_widths is \(384, 200\); expected numbers divisible",
        ),
        ({"upsampler_widths": ()}, r"upsampler_widths is \(\); expected one or more"),
        ({"window": 1000}, "window is 1000; expected an even divisor of .* 9216 tokens"),
        ({"window": 9}, "window is 9; expected an even divisor"),
        ({"motion_degree": 0}, "motion_degree is 0; expected a number from 1 to 65536"),
        ({"image_height": 280, "window": 2240}, "image_height is 280; .*16 when use_dino is set"),
        ({"use_dino": False, "dino_normalize": True}, "dino_normalize is True"),
    ],
)
def test_impossible_values_are_refused_by_name(changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        replace(PRESETS["full"], **changes)


@pytest.mark.parametrize("name", sorted(PRESETS))
def test_json_round_trip(name: str) -> None:
    values = json.loads(json.dumps(write_config(PRESETS[name])))
    assert read_config(values, "config.json") == PRESETS[name]


def test_files_without_an_architecture_are_of_the_published_kind() -> None:
    assert read_config(asdict(StreamSplatConfig()), "config.json") == StreamSplatConfig()
    with pytest.raises(UserError, match=r"architecture is 'diffusion'; expected transformer or"):
        read_config({"architecture": "diffusion"}, "config.json")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_height": 280}, "image_height is 280; expected a multiple of 16"),
        ({"pixel_width": 0}, "pixel_width is 0; expected a number from 1"),
        ({"feature_widths": (64, 96)}, r"feature_widths is \(64, 96\); expected 3 numbers"),
        ({"feature_widths": (64, 96, 100)}, "expected a last width divisible by head_width 32"),
        ({"updates": (0, 2)}, r"updates is \(0, 2\); expected 2 numbers"),
    ],
)
def test_impossible_sizes_of_networks_with_a_matcher_are_refused(
    changes: dict, message: str
) -> None:
    with pytest.raises(UserError, match=message):
        MatchingConfig(**changes)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"depth_head": 1}, "config.json: unknown model option depth_head"),
        ({"width": "768"}, "config.json: model option width is '768'"),
        ({"width": True}, "config.json: model option width is True"),
        ({"use_dino": 1}, "config.json: model option use_dino is 1"),
        ({"upsampler_widths": 3}, "config.json: model option upsampler_widths is 3"),
        ({"upsampler_widths": ["a"]}, "config.json: model option upsampler_widths"),
        ({"width": 768.0}, "config.json: model option width is 768.0"),
        ({"width": 100}, "config.json: model option width is 100; expected a number divisible"),
    ],
)
def test_a_broken_config_file_is_refused(values: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        StreamSplatConfig.from_dict(values, "config.json")


@pytest.mark.parametrize("options", [StreamSplatConfig, MatchingConfig])
def test_every_option_is_read(options: type) -> None:
    folder = Path(core.models.__file__).parent
    described = [folder / kind / "config.py" for kind in ("transformer", "matching")]
    sources = [path.read_text() for path in folder.rglob("*.py") if path not in described]
    # What stands before the properties are fields and their checks, which are no use.
    sources += [path.read_text().partition("@property")[2] for path in described]
    for field in fields(options):
        use = rf"\b(?:config|self|options)\.{field.name}\b"
        assert any(re.search(use, source) for source in sources), f"{field.name} is unused"
