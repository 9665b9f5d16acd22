"""DINOv2: the published file's naming, resizing, and a forward pass by hand."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import checkpoint_filter_fn
from torch import Tensor

from core.checks import UserError
from core.models import StreamSplatConfig, build_model, load_dinov2
from core.models.transformer import dino as dino_module
from core.models.transformer.dino import (
    DINO_FILE,
    DinoEncoder,
    build_dino,
    convert_dino_weights,
    load_dino,
)

SIZE = (28, 56)
GRID = (2, 4)
DEPTH = 2
Weights = dict[str, Tensor]


def published_weights(depth: int) -> Weights:
    """Random weights under the names and shapes of ``dinov2_vitb14_reg4_pretrain.pth``."""

    def shapes() -> Iterator[tuple[str, tuple[int, ...]]]:
        yield "cls_token", (1, 1, 768)
        yield "pos_embed", (1, 37 * 37 + 1, 768)
        yield "register_tokens", (1, 4, 768)
        yield "mask_token", (1, 768)
        yield "patch_embed.proj.weight", (768, 3, 14, 14)
        yield "patch_embed.proj.bias", (768,)
        for i in range(depth):
            for norm in ("norm1", "norm2"):
                yield f"blocks.{i}.{norm}.weight", (768,)
                yield f"blocks.{i}.{norm}.bias", (768,)
            for layer, out, into in (
                ("attn.qkv", 2304, 768),
                ("attn.proj", 768, 768),
                ("mlp.fc1", 3072, 768),
                ("mlp.fc2", 768, 3072),
            ):
                yield f"blocks.{i}.{layer}.weight", (out, into)
                yield f"blocks.{i}.{layer}.bias", (out,)
            yield f"blocks.{i}.ls1.gamma", (768,)
            yield f"blocks.{i}.ls2.gamma", (768,)
        yield "norm.weight", (768,)
        yield "norm.bias", (768,)

    generator = torch.Generator().manual_seed(0)
    return {
        name: torch.randn(shape, generator=generator)
        / (math.sqrt(math.prod(shape[1:])) if name.endswith("weight") and len(shape) > 1 else 1)
        for name, shape in shapes()
    }


def by_hand(w: Weights, images: Tensor, grid: tuple[int, int]) -> Tensor:
    """Patch tokens of a DINOv2 with registers, from the published names, in float64."""
    w = {name: value.double() for name, value in w.items()}

    def norm(x: Tensor, name: str) -> Tensor:
        return F.layer_norm(x, (768,), w[f"{name}.weight"], w[f"{name}.bias"], 1e-6)

    patches = F.conv2d(
        images.double(), w["patch_embed.proj.weight"], w["patch_embed.proj.bias"], 14
    )
    square = w["pos_embed"][:, 1:].view(1, 37, 37, 768).permute(0, 3, 1, 2)
    position = F.interpolate(square, grid, mode="bicubic", antialias=True)
    x = (patches + position).flatten(2).mT
    prefix = torch.cat((w["cls_token"] + w["pos_embed"][:, :1], w["register_tokens"]), dim=1)
    x = torch.cat((prefix.expand(len(x), -1, -1), x), dim=1)
    depth = 1 + max(int(name.split(".")[1]) for name in w if name.startswith("blocks."))
    for i in range(depth):
        b = f"blocks.{i}"
        qkv = norm(x, f"{b}.norm1") @ w[f"{b}.attn.qkv.weight"].mT + w[f"{b}.attn.qkv.bias"]
        q, k, v = (part.unflatten(-1, (12, 64)).transpose(1, 2) for part in qkv.split(768, dim=-1))
        mixed = torch.softmax(q @ k.mT / 8, dim=-1) @ v
        mixed = mixed.transpose(1, 2).flatten(2) @ w[f"{b}.attn.proj.weight"].mT
        x = x + (mixed + w[f"{b}.attn.proj.bias"]) * w[f"{b}.ls1.gamma"]
        hidden = norm(x, f"{b}.norm2") @ w[f"{b}.mlp.fc1.weight"].mT + w[f"{b}.mlp.fc1.bias"]
        hidden = F.gelu(hidden) @ w[f"{b}.mlp.fc2.weight"].mT + w[f"{b}.mlp.fc2.bias"]
        x = x + hidden * w[f"{b}.ls2.gamma"]
    return norm(x, "norm")[:, 5:]


@pytest.fixture
def shallow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two blocks instead of twelve; all else is the real architecture."""
    monkeypatch.setattr(
        dino_module, "build_dino", lambda size, **options: build_dino(size, depth=DEPTH, **options)
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / DINO_FILE
    torch.save(published_weights(DEPTH), path)
    return path


def dino_config() -> StreamSplatConfig:
    return StreamSplatConfig(
        image_height=32,
        image_width=64,
        width=32,
        head_width=16,
        encoder_layers=1,
        decoder_layers=1,
        upsampler_widths=(16, 16),
        window=64,
    )


@pytest.mark.usefixtures("shallow")
def test_published_file_computes_what_its_formulas_say(file: Path) -> None:
    encoder = DinoEncoder(SIZE, normalize=False)
    encoder.attach(load_dino(file, SIZE))
    frame = torch.rand(2, 3, 32, 64)
    resized = F.interpolate(frame, SIZE, mode="bilinear", align_corners=False)
    expected = by_hand(published_weights(DEPTH), resized, GRID)
    tokens = encoder(frame).double()
    assert tokens.shape == (2, 8, 768)
    # float32 against float64; measured worst 9e-7 of the largest value.
    assert (tokens - expected).abs().max() < 1e-5 * expected.abs().max()


def test_conversion_is_that_of_timm() -> None:
    theirs, ours = (build_dino(SIZE, depth=DEPTH).eval() for _ in range(2))
    converted = checkpoint_filter_fn(published_weights(DEPTH), theirs)
    theirs.load_state_dict(converted)
    ours.load_state_dict(convert_dino_weights(published_weights(DEPTH), GRID, "file"))
    images = torch.rand(1, 3, *SIZE)
    assert torch.equal(ours.forward_features(images), theirs.forward_features(images))


def test_file_has_a_place_for_every_weight_of_the_real_architecture() -> None:
    with torch.device("meta"):
        vit = build_dino((252, 448))
        weights = {name: value.to("meta") for name, value in published_weights(12).items()}
    converted = convert_dino_weights(weights, (18, 32), "file")
    own = {name: value.shape for name, value in vit.state_dict().items()}
    assert {name: value.shape for name, value in converted.items()} == own


@pytest.mark.usefixtures("shallow")
def test_imagenet_statistics_are_an_option(file: Path) -> None:
    vit = load_dino(file, SIZE)
    plain, normalizing = DinoEncoder(SIZE, normalize=False), DinoEncoder(SIZE, normalize=True)
    plain.attach(vit)
    normalizing.attach(vit)
    images = torch.rand(1, 3, *SIZE)
    mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
    std = torch.tensor([0.229, 0.224, 0.225])[:, None, None]
    torch.testing.assert_close(normalizing(images), plain((images - mean) / std))
    assert not torch.allclose(normalizing(images), plain(images), atol=0.1)


@pytest.mark.usefixtures("shallow")
def test_its_weights_are_not_the_networks(file: Path) -> None:
    model = build_model(dino_config())
    names, parameters = set(model.state_dict()), list(model.parameters())
    load_dinov2(model, file)
    assert set(model.state_dict()) == names
    assert len(list(model.parameters())) == len(parameters)
    assert model.dino is not None
    vit = model.dino.vit
    assert not vit.training
    model.train()
    assert not vit.training
    assert not any(p.requires_grad for p in vit.parameters())
    assert model.double().dino.vit.pos_embed.dtype == torch.double
    twin = copy.deepcopy(model).dino
    assert twin is not None
    assert twin.vit is not None


@pytest.mark.usefixtures("shallow")
def test_condition_projection_learns_behind_it(file: Path) -> None:
    model = build_model(dino_config())
    load_dinov2(model, file)
    scene = model.train()(torch.rand(1, 2, 3, 32, 64), torch.rand(1, 2, 1, 32, 64))
    scene.opacity_half_lives.sum().backward()
    gradient = model.dynamic.condition.projection.weight.grad
    assert gradient is not None
    assert gradient.abs().max() > 0


def test_missing_weights_are_named_with_project_and_folder(tmp_path: Path) -> None:
    model = build_model(dino_config())
    wanted = rf"{DINO_FILE} from the DINOv2 project .*facebookresearch/dinov2.* folder checkpoints/"
    with pytest.raises(UserError, match=wanted):
        model.encode(torch.rand(1, 3, 32, 64), torch.rand(1, 1, 32, 64))
    with pytest.raises(UserError, match=wanted):
        load_dinov2(model, tmp_path / DINO_FILE)


@pytest.mark.slow
def test_other_files_are_refused(tmp_path: Path) -> None:
    model = build_model(dino_config())
    weights = published_weights(1)
    without_registers = {k: v for k, v in weights.items() if k != "register_tokens"}
    torch.save(without_registers, tmp_path / "vitb14.pth")
    with pytest.raises(UserError, match="holds no register_tokens"):
        load_dinov2(model, tmp_path / "vitb14.pth")
    torch.save(weights, tmp_path / "shallow.pth")
    with pytest.raises(UserError, match=r"154 missing: blocks\.1\.norm1\.weight"):
        load_dinov2(model, tmp_path / "shallow.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "shallow.pth").read_bytes()[:1_000_000])
    with pytest.raises(UserError, match=r"cut\.pth"):
        load_dinov2(model, tmp_path / "cut.pth")


def test_networks_without_it_take_none(config: StreamSplatConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="use_dino = false"):
        load_dinov2(build_model(config), tmp_path / DINO_FILE)
