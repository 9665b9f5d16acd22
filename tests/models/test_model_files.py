from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from core.checks import UserError
from core.models import (
    StaticModel,
    StreamSplat,
    StreamSplatConfig,
    build_model,
    build_static_model,
    load_model,
    load_static_weights,
    load_weights,
    model_files,
    save_model,
)
from core.models.config import read_config

Pair = tuple[Tensor, Tensor]
_DOWNLOAD = "huggingface_hub.hf_hub_download"


def assert_same_weights(first: torch.nn.Module, second: torch.nn.Module) -> None:
    expected = second.state_dict()
    assert set(first.state_dict()) == set(expected)
    for name, value in first.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_saved_networks_load_again(model: StreamSplat, tmp_path: Path, frames: Pair) -> None:
    save_model(model, tmp_path)
    assert (tmp_path / "config.json").is_file()
    for loaded in (
        load_model(tmp_path),
        load_model(str(tmp_path / "model.safetensors")),
    ):
        assert loaded.config == model.config
        assert not loaded.training
        assert_same_weights(loaded, model)
    assert torch.equal(loaded(*frames).motion, model(*frames).motion)


def test_half_precision_file_keeps_coordinates_exact(model: StreamSplat, tmp_path: Path) -> None:
    save_model(model, tmp_path / "exact")
    save_model(model, tmp_path / "half", dtype=torch.float16)
    stored = load_file(tmp_path / "half" / "model.safetensors")
    assert stored["static.heads.color.weight"].dtype == torch.float16
    assert stored["static.heads.x_map"].dtype == torch.float32
    loaded = load_model(tmp_path / "half")
    assert {value.dtype for value in loaded.state_dict().values()} == {torch.float32}
    for name, value in loaded.state_dict().items():
        torch.testing.assert_close(value, model.state_dict()[name], rtol=1e-3, atol=1e-6)


def test_stage_one_goes_into_the_whole_network(
    static_model: StaticModel, config: StreamSplatConfig, tmp_path: Path, frames: Pair
) -> None:
    save_model(static_model, tmp_path)
    again = build_static_model(config)
    load_weights(again, tmp_path)
    assert_same_weights(again, static_model)
    for path in (tmp_path, tmp_path / "model.safetensors"):
        whole = build_model(config)
        load_static_weights(whole, path)
        assert whole.static_is_frozen
        assert not any(p.requires_grad for p in whole.static.parameters())
        ours = whole.encode(frames[0][:, 0], frames[1][:, 0])
        encoded = static_model.encode(frames[0][:, 0], frames[1][:, 0])
        assert torch.equal(ours.features, encoded.features)
        # tanh in the whole network, 0.999 tanh in stage 1
        expected = static_model.gaussians(encoded).means[..., 1]
        torch.testing.assert_close((ours.gaussians.means[..., 1] - 0.5) * 0.999 + 0.5, expected)
    with pytest.raises(UserError, match="static network of stage 1"):
        load_model(tmp_path)


def test_a_whole_network_is_no_stage_one(
    model: StreamSplat, config: StreamSplatConfig, tmp_path: Path
) -> None:
    save_model(model, tmp_path)
    with pytest.raises(UserError, match=r"whole network.*train\.py"):
        load_static_weights(build_model(config), tmp_path)
    with pytest.raises(UserError, match=r"whole network.*train\.py"):
        load_weights(build_static_model(config), tmp_path)


def test_stage_one_of_another_size_is_refused(
    static_model: StaticModel, config: StreamSplatConfig, tmp_path: Path
) -> None:
    save_model(static_model, tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    values["encoder_layers"] = 3
    whole = build_model(read_config(values, "test"))
    with pytest.raises(UserError, match=r"missing: encoder\.blocks\.2"):
        load_static_weights(whole, tmp_path)
    assert not whole.static_is_frozen


def break_weights(folder: Path) -> str:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return r"model\.safetensors.*cut short"


def break_format(folder: Path) -> str:
    (folder / "model.safetensors").write_bytes(b"<html>not found</html>")
    return r"model\.safetensors.*damaged"


def drop_weights(folder: Path) -> str:
    (folder / "model.safetensors").unlink()
    return r"holds no model\.safetensors"


def drop_config(folder: Path) -> str:
    (folder / "config.json").unlink()
    return r"holds no config\.json"


def break_config(folder: Path) -> str:
    (folder / "config.json").write_text("{")
    return r"config\.json is not readable JSON"


def list_config(folder: Path) -> str:
    (folder / "config.json").write_text("[]")
    return r"config\.json: expected a JSON object"


def rename_a_weight(folder: Path) -> str:
    path = folder / "model.safetensors"
    weights = load_file(path)
    weights["surprise"] = weights.pop("static.heads.color.bias")
    save_file(weights, path)
    return r"missing: static\.heads\.color\.bias.*unexpected: surprise"


@pytest.mark.parametrize(
    "damage",
    [
        *(break_weights, break_format, drop_weights, drop_config, break_config, list_config),
        rename_a_weight,
    ],
)
def test_damaged_folders_say_what_is_wrong(damage, model: StreamSplat, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    message = damage(tmp_path)
    with pytest.raises(UserError, match=message) as caught:
        load_model(tmp_path)
    assert "\n" not in str(caught.value)


def test_published_naming_beside_a_config_is_explained(model: StreamSplat, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    save_file({"model.encoder_proj.weight": torch.zeros(2)}, tmp_path / "model.safetensors")
    with pytest.raises(UserError, match=r"published checkpoint.* folder of its own"):
        load_model(tmp_path)


def test_other_configuration_is_refused(model: StreamSplat, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    values = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**values, "motion_degree": 1}))
    with pytest.raises(
        UserError, match=r"motion\.log_scale\.weight \(6, 32\) instead of \(3, 32\)"
    ):
        load_model(tmp_path)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        (
            "checkpoints/absent/streamsplat.safetensors",
            "from the StreamSplat project .*checkpoints/",
        ),
        ("absent.safetensors", "no such file or folder; expected weights"),
        ("absent/model.safetensors", "no such file or folder; expected weights"),
        ("../absent", "no such file or folder; expected weights"),
    ],
)
def test_nothing_there_is_said_without_asking_the_hub(
    reference: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_DOWNLOAD, lambda *_, **__: pytest.fail("asked the hub"))
    with pytest.raises(UserError, match=message):
        load_model(reference)


def test_unreachable_hub_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(*_: str, **__: str) -> str:
        raise OSError("no route to host\nmore\nlines")

    monkeypatch.setattr(_DOWNLOAD, unreachable)
    with pytest.raises(UserError, match=r"owner/name.*hub did not give.*no route") as caught:
        load_model("owner/name")
    assert "\n" not in str(caught.value)


def test_hub_repositories_load(
    model: StreamSplat, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_model(model, tmp_path)
    monkeypatch.setattr(_DOWNLOAD, lambda _, name, **__: str(tmp_path / name))
    assert_same_weights(load_model("owner/name"), model)


def test_other_suffixes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "model.ckpt").write_bytes(b"x")
    with pytest.raises(UserError, match=r"expected a \.safetensors file"):
        load_model(tmp_path / "model.ckpt")


def test_our_weights_without_their_config_are_explained(model: StreamSplat, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    (tmp_path / "config.json").unlink()
    with pytest.raises(UserError, match=r"no config\.json lies beside it") as caught:
        load_model(tmp_path / "model.safetensors")
    assert len(str(caught.value)) < 300 + len(str(tmp_path)), "no list of all weights"


def test_dinov2_weights_that_have_no_use_are_refused(model: StreamSplat, tmp_path: Path) -> None:
    save_model(model, tmp_path)
    with pytest.raises(UserError, match="use_dino = false"):
        load_model(tmp_path, dinov2_path=tmp_path / "dinov2.pth")


@pytest.fixture
def saved(model: StreamSplat, tmp_path: Path) -> Path:
    """Folder of a network."""
    save_model(model, tmp_path / "saved")
    return tmp_path / "saved"


def _change_weights(folder: Path, change: Callable[[dict[str, Tensor]], dict[str, Tensor]]) -> None:
    path = folder / "model.safetensors"
    save_file(change(load_file(path)), path)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weights_that_are_not_finite_are_refused(saved: Path, value: float) -> None:
    def spoil(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        weights["static.heads.color.bias"][1] = value
        return weights

    _change_weights(saved, spoil)
    with pytest.raises(UserError, match=r"static\.heads\.color\.bias .* not finite"):
        load_model(saved)


def test_finite_weights_whose_sum_is_not_load(saved: Path) -> None:
    def enlarge(weights: dict[str, Tensor]) -> dict[str, Tensor]:
        weights["static.heads.color.bias"][:] = 3e38
        return weights

    _change_weights(saved, enlarge)
    load_model(saved)


def test_weights_of_whole_numbers_are_refused(saved: Path) -> None:
    name = "static.heads.color.bias"
    _change_weights(saved, lambda weights: {**weights, name: weights[name].to(torch.int8)})
    with pytest.raises(UserError, match=r"is of type torch\.int8"):
        load_model(saved)


@pytest.mark.parametrize("prefix", ["_orig_mod.", "module.", "module._orig_mod."])
def test_weights_of_a_wrapped_model_load(model: StreamSplat, saved: Path, prefix: str) -> None:
    _change_weights(saved, lambda weights: {prefix + k: v for k, v in weights.items()})
    assert_same_weights(load_model(saved), model)


def test_weights_of_compiled_blocks_load(model: StreamSplat, saved: Path) -> None:
    block = "static.encoder.blocks.0."
    _change_weights(
        saved,
        lambda weights: {k.replace(block, block + "_orig_mod."): v for k, v in weights.items()},
    )
    assert_same_weights(load_model(saved), model)


def test_shapes_are_compared_before_a_network_is_built(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_files, "build_model", None)
    config = json.loads((saved / "config.json").read_text())
    (saved / "config.json").write_text(json.dumps({**config, "motion_degree": 65_536}))
    with pytest.raises(UserError, match="of the wrong shape"):
        load_model(saved)
    (saved / "config.json").write_text(
        json.dumps({**config, "encoder_layers": 60_000, "decoder_layers": 1})
    )
    with pytest.raises(UserError, match="smaller than 60001 layers"):
        load_model(saved)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000,
        '{"width": ' * 200_000,
        '{"width": 1e9}',
        '{"width": 1000000000}',
        '{"encoder_layers": 100000}',
        '{"upsampler_widths": [1000000000]}',
        '{"width": 1e999}',
        '{"width": 1' + "0" * 400 + "}",
        '{"width": NaN}',
    ],
)
def test_configurations_that_cannot_be_are_one_line(saved: Path, text: str) -> None:
    (saved / "config.json").write_text(text)
    with pytest.raises(UserError) as failure:
        load_model(saved)
    assert len(str(failure.value)) < 500
