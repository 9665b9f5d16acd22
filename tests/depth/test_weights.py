from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from core.checks import UserError
from core.depth import CONFIGS, find_depth_weights, how_to_get_weights, load_depth_anything
from core.depth.weights import load_weights
from core.logging import warn_once


def _meta(shapes):
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


@pytest.fixture
def published(twin, tmp_path, monkeypatch, tiny, tiny_tensors):
    """A file like the published one, of a network that is small."""
    monkeypatch.setitem(CONFIGS, "vits", tiny)
    path = tmp_path / "depth_anything_v2_vits.pth"
    torch.save(tiny_tensors, path)
    return path


@pytest.mark.parametrize("encoder", ["vits", "vitb", "vitl", "vitg"])
def test_the_published_names_and_shapes_load_strictly(twin, encoder):
    width, blocks, taps, channels, head = twin.SIZES[encoder]
    config = CONFIGS[encoder]
    assert (config.taps, config.num_heads) == (taps, width // 64)
    shapes = twin.published_shapes(width, blocks, channels, head, swiglu=encoder == "vitg")
    if encoder == "vits":
        assert len(shapes) == 239
    network = load_weights(config, _meta(shapes), "test")
    # Not loaded: the mask token, and the weights and biases of two convolutions.
    assert len(network.state_dict()) == len(shapes) - 1 - 4


def test_every_stored_value_finds_its_place(twin, tiny, published, tiny_tensors):
    network = load_depth_anything(published)
    assert not network.training
    assert not any(parameter.requires_grad for parameter in network.parameters())
    pixels = twin.standardize(torch.rand(1, 3, 28, 42, generator=torch.Generator().manual_seed(0)))
    expected = twin.forward(tiny_tensors, pixels, blocks=5, heads=3, taps=tiny.taps)
    torch.testing.assert_close(network(pixels).double(), expected, rtol=1e-4, atol=1e-5)


def test_safetensors_and_half_precision_are_read_too(published, tiny_tensors):
    path = published.with_suffix(".safetensors")
    save_file({key: value.half() for key, value in tiny_tensors.items()}, path)
    network = load_depth_anything(path)
    for parameter, other in zip(
        network.parameters(), load_depth_anything(published).parameters(), strict=True
    ):
        assert parameter.dtype == torch.float32
        torch.testing.assert_close(parameter, other, rtol=1e-3, atol=1e-3)


def test_all_that_does_not_fit_is_listed(published, tiny_tensors):
    tensors = dict(tiny_tensors)
    del tensors["pretrained.blocks.1.ls1.gamma"]
    tensors["depth_head.extra.weight"] = torch.zeros(1)
    tensors["depth_head.projects.0.weight"] = torch.zeros(4, 25, 1, 1)
    torch.save(tensors, published)
    with pytest.raises(UserError) as caught:
        load_depth_anything(published)
    message = str(caught.value)
    assert "1 missing: pretrained.blocks.1.ls1.gamma;" in message
    assert "1 unexpected: depth_head.extra.weight;" in message
    assert "1 of the wrong shape: depth_head.projects.0.weight (4, 25, 1, 1) instead of" in message


def test_a_file_cut_in_half_is_an_error_of_one_line(published):
    data = published.read_bytes()
    published.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="cut short") as caught:
        load_depth_anything(published)
    assert "\n" not in str(caught.value)


def test_other_networks_are_refused(tmp_path):
    torch.save({"backbone.embeddings.cls_token": torch.zeros(1, 1, 384)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"published naming.*cls_token.*vits\.pth"):
        load_depth_anything(tmp_path / "other.pth")
    torch.save({"pretrained.pos_embed": torch.zeros(1, 2, 100)}, tmp_path / "odd.pth")
    with pytest.raises(UserError, match="does not hold Depth Anything V2"):
        load_depth_anything(tmp_path / "odd.pth")
    with pytest.raises(UserError, match="does not exist"):
        load_depth_anything(tmp_path / "none.pth")


def test_the_licence_of_the_larger_ones_is_said_once(twin, tmp_path, monkeypatch, tiny, caplog):
    monkeypatch.setitem(CONFIGS, "vitl", tiny)
    warn_once.cache_clear()
    shapes = twin.published_shapes(24, 5, tiny.tap_channels, 8, swiglu=False)
    torch.save(twin.random_weights(shapes), tmp_path / "depth_anything_v2_vitl.pth")
    with caplog.at_level("WARNING", logger="streamsplat"):
        load_depth_anything(tmp_path / "depth_anything_v2_vitl.pth")
        load_depth_anything(tmp_path / "depth_anything_v2_vitl.pth")
    assert len([m for m in caplog.messages if "CC-BY-NC-4.0" in m]) == 1


def test_the_small_network_is_preferred(tmp_path):
    assert find_depth_weights(tmp_path) is None
    assert find_depth_weights(tmp_path / "none") is None
    large = tmp_path / "depth_anything_v2_vitl.pth"
    large.touch()
    assert find_depth_weights(tmp_path) == large
    assert find_depth_weights(tmp_path, "vits") is None
    small = tmp_path / "depth_anything_v2_vits.safetensors"
    small.touch()
    assert find_depth_weights(tmp_path) == small
    assert find_depth_weights(tmp_path, "vitl") == large


def test_how_to_get_weights_names_file_project_and_folder(tmp_path):
    message = how_to_get_weights(tmp_path)
    for part in ("depth_anything_v2_vits.pth", "Depth Anything V2", str(tmp_path)):
        assert part in message
