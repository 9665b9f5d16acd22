"""The published checkpoint: every key, and the whole network against a forward pass by hand.

The forward pass below is written from the method's formulas alone, on the published names, in
float64 and without any module of the package.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from core.checks import UserError
from core.models import PRESETS, StreamSplat, StreamSplatConfig, build_model, load_weights
from core.models.transformer.dino import build_dino
from core.models.transformer.published import is_published_naming, published_name

SMALL = StreamSplatConfig(
    image_height=32,
    image_width=64,
    patch_size=8,
    width=48,
    head_width=16,
    encoder_layers=2,
    decoder_layers=2,
    upsampler_widths=(32, 16),
    window=64,
    motion_degree=2,
)
Weights = dict[str, Tensor]


def published_shapes(c: StreamSplatConfig) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Yield names and shapes of the published checkpoint for networks of any size."""

    def attention(name: str, d: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        for part, rows in (("packed_proj", 3 * d), ("out_proj", d)):
            yield f"{name}.{part}.weight", (rows, d)
            yield f"{name}.{part}.bias", (rows,)

    def block(name: str, d: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield from attention(f"{name}.attn", d)
        yield from mlp(name, d)
        yield f"{name}.layernorm1.weight", (d,)
        yield f"{name}.layernorm2.weight", (d,)

    def mlp(name: str, d: int) -> Iterator[tuple[str, tuple[int, ...]]]:
        yield f"{name}.mlp.c_fc.weight", (4 * d, d)
        yield f"{name}.mlp.c_proj.weight", (d, 4 * d)

    def upsampler(name: str) -> Iterator[tuple[str, tuple[int, ...]]]:
        d_in = c.width
        for level, d in enumerate(c.upsampler_widths):
            yield f"{name}.upsampler_{level}.residual_fc.weight", (4 * d, d_in)
            yield f"{name}.upsampler_{level}.residual_fc.bias", (4 * d,)
            for i in range(2):
                yield from block(f"{name}.attention_{level}.resblocks.{i}", d)
            d_in = d
        yield f"{name}.layernorm2.weight", (d_in,)

    d, f, tokens = c.width, c.upsampler_widths[-1], c.num_tokens
    encoder = "model.gs_predictor.encoder.transformer_encoder"
    for i in range(c.encoder_layers):
        yield from block(f"{encoder}.transformer.resblocks.{i}", d)
    yield f"{encoder}.layernorm1.weight", (d,)
    yield f"{encoder}.layernorm2.weight", (d,)
    yield f"{encoder}.conv.weight", (d, 4, c.patch_size, c.patch_size)
    yield f"{encoder}.positional_encoding.pe", (tokens, d)
    yield from upsampler("model.gs_predictor.gaussian_upsampler")
    for axis in "xz":
        yield f"model.gs_predictor.predictor.{axis}_map", (c.num_gaussians,)
    for head, rows in (("rgb", 3), ("opacity", 1), ("scale", 2), ("xyz_static", 3)):
        yield f"model.gs_predictor.predictor.gs_layer.{head}.weight", (rows, f)
        yield f"model.gs_predictor.predictor.gs_layer.{head}.bias", (rows,)
    decoder = "model.decoder.transformer_decoder"
    yield f"{decoder}.positional_embedding", (1, 2 * tokens, d)
    yield f"{decoder}.cls_embedding", (1, 2, d)
    for i in range(c.decoder_layers):
        name = f"{decoder}.transformer.resblocks.{i}"
        yield from attention(f"{name}.self_attn", d)
        yield from attention(f"{name}.cross_attn", d)
        yield from mlp(name, d)
        for norm in ("self_attn_ln", "cross_attn_ln", "mlp_ln"):
            yield f"{name}.{norm}.weight", (d,)
    for norm in ("layernorm1", "layernorm2", "condition_ln"):
        yield f"{decoder}.{norm}.weight", (d,)
    yield f"{decoder}.positional_encoding.pe", (c.num_condition_tokens, d)
    yield f"{decoder}.condition_proj.weight", (d, 768)
    yield from upsampler("model.gaussian_upsampler")
    yield "model.encoder_proj.weight", (f, f)
    dynamic = "model.gs_dynamic_predictor"
    yield f"{dynamic}.dynamic_scalar", (3,)
    yield f"{dynamic}.gs_layer.xyz_dynamic_scale.weight", (3 * c.motion_degree, 2 * f)
    for head, out in (("xyz_dynamic", 3 * c.motion_degree), ("opacity_dynamic", 2)):
        for index, shape in ((1, (f, 2 * f)), (4, (f, f)), (7, (out, f))):
            yield f"{dynamic}.gs_layer.{head}.layers.{index}.weight", shape
            yield f"{dynamic}.gs_layer.{head}.layers.{index}.bias", shape[:1]


def coordinates(c: StreamSplatConfig, name: str, shape: tuple[int, ...]) -> Tensor:
    """Position encodings, and centres of the Gaussian grid's cells."""
    if name.endswith(".pe"):
        channel = torch.arange(shape[1])
        angles = torch.arange(shape[0])[:, None] / 10000 ** (channel // 2 * 2 / shape[1])
        return torch.where(channel % 2 == 0, angles.sin(), angles.cos())
    rows, columns = c.gaussian_grid
    cell = torch.arange(rows * columns)
    if name.endswith("x_map"):
        return (2 * (cell % columns) + 1) / columns - 1
    return 1 - (2 * (cell // columns) + 1) / rows


def random_weights(c: StreamSplatConfig, seed: int = 0) -> Weights:
    """Weights large enough that a mistake anywhere shows."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, shape in published_shapes(c):
        noise = torch.randn(shape, generator=generator)
        if name.endswith((".pe", "_map")):
            # Off their formulas by what rounding may change.
            weights[name] = coordinates(c, name, shape) + 1e-4 * noise.sign()
        elif name.endswith(("layernorm1.weight", "layernorm2.weight", "_ln.weight")):
            weights[name] = 1 + 0.2 * noise
        elif len(shape) >= 2 and name.endswith("weight"):
            weights[name] = noise / math.sqrt(math.prod(shape[1:]))
        else:
            weights[name] = 0.3 * noise
    return weights


class ByHand:
    """The method's formulas, reading published names."""

    def __init__(self, config: StreamSplatConfig, weights: Weights) -> None:
        self.c = config
        self.w = {k.removeprefix("model."): v.double() for k, v in weights.items()}

    def norm(self, x: Tensor, name: str) -> Tensor:
        return x / torch.sqrt((x**2).mean(-1, keepdim=True) + 1e-5) * self.w[f"{name}.weight"]

    def attend(self, x: Tensor, source: Tensor, name: str) -> Tensor:
        d = x.shape[-1]
        w, b = self.w[f"{name}.packed_proj.weight"], self.w[f"{name}.packed_proj.bias"]
        q = x @ w[:d].T + b[:d]
        k = source @ w[d : 2 * d].T + b[d : 2 * d]
        v = source @ w[2 * d :].T + b[2 * d :]
        heads = []
        for start in range(0, d, self.c.head_width):
            part = slice(start, start + self.c.head_width)
            scores = q[..., part] @ k[..., part].mT / math.sqrt(self.c.head_width)
            heads.append(torch.softmax(scores, dim=-1) @ v[..., part])
        out = torch.cat(heads, dim=-1)
        return out @ self.w[f"{name}.out_proj.weight"].T + self.w[f"{name}.out_proj.bias"]

    def mlp(self, x: Tensor, name: str) -> Tensor:
        hidden = x @ self.w[f"{name}.mlp.c_fc.weight"].T
        return (hidden * torch.sigmoid(hidden)) @ self.w[f"{name}.mlp.c_proj.weight"].T

    def block(self, x: Tensor, name: str, window: int, shift: int) -> Tensor:
        x = torch.roll(x, shift, dims=1)
        windows = []
        for part in x.split(window, dim=1):
            normed = self.norm(part, f"{name}.layernorm1")
            mixed = part + self.attend(normed, normed, f"{name}.attn")
            windows.append(mixed + self.mlp(self.norm(mixed, f"{name}.layernorm2"), name))
        return torch.roll(torch.cat(windows, dim=1), -shift, dims=1)

    def encode(self, rgbd: Tensor) -> Tensor:
        name, size = "gs_predictor.encoder.transformer_encoder", self.c.patch_size
        x = F.conv2d(rgbd.double(), self.w[f"{name}.conv.weight"], stride=size)
        x = x.flatten(2).transpose(1, 2) + self.w[f"{name}.positional_encoding.pe"]
        x = self.norm(x, f"{name}.layernorm1")
        for i in range(self.c.encoder_layers):
            x = self.block(x, f"{name}.transformer.resblocks.{i}", x.shape[1], 0)
        return self.norm(x, f"{name}.layernorm2")

    def upsample(self, x: Tensor, name: str) -> Tensor:
        h, w = self.c.token_grid
        for level in range(len(self.c.upsampler_widths)):
            fc = f"{name}.upsampler_{level}.residual_fc"
            x = x @ self.w[f"{fc}.weight"].T + self.w[f"{fc}.bias"]
            image = x.transpose(1, 2).unflatten(2, (h, w))
            x = F.pixel_shuffle(image, 2).flatten(2).transpose(1, 2)
            h, w = 2 * h, 2 * w
            for i, shift in enumerate((0, self.c.window // 2)):
                block = f"{name}.attention_{level}.resblocks.{i}"
                x = self.block(x, block, self.c.window, shift)
        return self.norm(x, f"{name}.layernorm2")

    def linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.w[f"{name}.weight"].T + self.w.get(f"{name}.bias", 0.0)

    def three_layers(self, x: Tensor, name: str) -> Tensor:
        x = F.silu(self.linear(x, f"{name}.layers.1"))
        return self.linear(F.silu(self.linear(x, f"{name}.layers.4")), f"{name}.layers.7")

    def static(self, features: Tensor) -> dict[str, Tensor]:
        name = "gs_predictor.predictor"
        h, w = self.c.gaussian_grid
        v = torch.tanh(self.linear(features, f"{name}.gs_layer.xyz_static"))
        x = self.w[f"{name}.x_map"] + v[..., 0] / w
        z = self.w[f"{name}.z_map"] + v[..., 2] / h
        s = 0.1 * torch.log(1 + torch.exp(self.linear(features, f"{name}.gs_layer.scale")))
        opacity = torch.sigmoid(self.linear(features, f"{name}.gs_layer.opacity"))[..., 0]
        return {
            "means": torch.stack((x, 0.5 + 0.5 * v[..., 1], z), -1),
            "scales": torch.stack((s[..., 0], s.mean(-1), s[..., 1]), -1),
            "colors": torch.sigmoid(self.linear(features, f"{name}.gs_layer.rgb")),
            "opacities": 0.05 + 0.95 * opacity,
        }

    def decode(self, tokens: list[Tensor], dino: list[Tensor]) -> list[Tensor]:
        name = "decoder.transformer_decoder"
        count = self.c.num_tokens
        condition = []
        for seen in dino:
            seen = seen.double() @ self.w[f"{name}.condition_proj.weight"].T
            seen = seen + self.w[f"{name}.positional_encoding.pe"]
            condition.append(self.norm(seen, f"{name}.condition_ln"))
        x = torch.cat(tokens, dim=1) + self.w[f"{name}.positional_embedding"]
        x = x + self.w[f"{name}.cls_embedding"].repeat_interleave(count, dim=1)
        x = self.norm(x, f"{name}.layernorm1")
        for i in range(self.c.decoder_layers):
            block = f"{name}.transformer.resblocks.{i}"
            normed = self.norm(x, f"{block}.self_attn_ln")
            x = x + self.attend(normed, normed, f"{block}.self_attn")
            normed = self.norm(x, f"{block}.cross_attn_ln")
            crossed = (
                self.attend(normed[:, :count], condition[1], f"{block}.cross_attn"),
                self.attend(normed[:, count:], condition[0], f"{block}.cross_attn"),
            )
            x = x + torch.cat(crossed, dim=1)
            x = x + self.mlp(self.norm(x, f"{block}.mlp_ln"), block)
        x = self.norm(x, f"{name}.layernorm2")
        return [x[:, :count], x[:, count:]]

    def forward(self, rgbds: list[Tensor], dino: list[Tensor]) -> dict[str, Tensor]:
        tokens = [self.encode(rgbd) for rgbd in rgbds]
        scenes = []
        for time, decoded in enumerate(self.decode(tokens, dino)):
            features = self.upsample(tokens[time], "gs_predictor.gaussian_upsampler")
            projected = features @ self.w["encoder_proj.weight"].T
            both = torch.cat((projected, self.upsample(decoded, "gaussian_upsampler")), -1)
            layer = "gs_dynamic_predictor.gs_layer"
            motion = (1 - 1e-3) * torch.tanh(self.three_layers(both, f"{layer}.xyz_dynamic"))
            motion = motion.unflatten(-1, (self.c.motion_degree, 3))
            window = self.three_layers(both, f"{layer}.opacity_dynamic")
            scene = self.static(features)
            scene["motion"] = motion * self.w["gs_dynamic_predictor.dynamic_scalar"]
            scene["opacity_slopes"] = window[..., 0].clamp(min=0)
            scene["opacity_half_lives"] = torch.sigmoid(window[..., 1])
            scene["anchor_times"] = torch.full_like(window[..., 0], time)
            scenes.append(scene)
        return {key: torch.cat([scene[key] for scene in scenes], dim=1) for key in scenes[0]}


@pytest.fixture(scope="module")
def weights() -> Weights:
    return random_weights(SMALL)


def write(folder: Path, weights: Weights) -> Path:
    path = folder / "streamsplat.safetensors"
    save_file(weights, path)
    return path


def test_full_network_has_exactly_the_published_tensors() -> None:
    with torch.device("meta"):
        model = build_model(PRESETS["full"])
    ours = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    published = dict(published_shapes(PRESETS["full"]))
    listing = "\n".join(sorted(f"{name} {shape}" for name, shape in published.items()))

    # Number of tensors, of values, and a digest of all names and shapes of the published file.
    assert len(published) == 320
    assert sum(math.prod(shape) for shape in published.values()) == 183_975_569
    digest = hashlib.sha256(listing.encode()).hexdigest()
    assert digest == "e56084d959374850c7bd4567afa3fa774440847b0478d18980a2c5d9acbafeb7"
    assert {published_name(name): shape for name, shape in ours.items()} == published


@pytest.mark.parametrize("normalize", [False, True])
def test_whole_network_agrees_with_the_formulas(
    tmp_path: Path, weights: Weights, normalize: bool
) -> None:
    config = replace(SMALL, dino_normalize=normalize)
    torch.manual_seed(1)
    model = build_model(config).eval()
    load_weights(model, write(tmp_path, weights))
    assert model.dino is not None
    vit = build_dino(config.dino_image_size, depth=1)
    assert vit.pos_embed is not None
    torch.nn.init.normal_(vit.pos_embed)
    model.dino.attach(vit)
    frames, depths = torch.rand(2, 2, 3, 32, 64), torch.rand(2, 2, 1, 32, 64)

    with torch.no_grad():
        scene = model(frames, depths)
        seen = []
        for time in range(2):
            resized = F.interpolate(frames[:, time], (28, 56), mode="bilinear", antialias=False)
            if normalize:
                mean = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
                resized = (resized - mean) / torch.tensor([0.229, 0.224, 0.225])[:, None, None]
            seen.append(vit.forward_features(resized)[:, 5:])
        rgbds = [torch.cat((frames[:, time], depths[:, time]), 1) for time in range(2)]
        expected = ByHand(config, weights).forward(rgbds, seen)

    for name, value in expected.items():
        ours = getattr(scene, name).double()
        assert ours.shape == value.shape, name
        # float32 against float64; measured worst 2e-6 of the largest value.
        assert (ours - value).abs().max() < 2e-5 * value.abs().max().clamp(min=1e-3), name
    assert scene.quats.unique(dim=1).squeeze(1).tolist() == [[1, 0, 0, 0]] * 2


def test_keys_of_compiled_models_load(tmp_path: Path, weights: Weights) -> None:
    plain, compiled = build_model(SMALL), build_model(SMALL)
    load_weights(plain, write(tmp_path, weights))
    renamed = {
        name.replace("model.", "model._orig_mod.", 1).replace(
            "resblocks.1.", "resblocks.1._orig_mod."
        ): value
        for name, value in weights.items()
    }
    assert is_published_naming(renamed)
    load_weights(compiled, write(tmp_path, renamed))

    for name, value in plain.state_dict().items():
        assert torch.equal(value, compiled.state_dict()[name]), name


def test_half_precision_files_load_to_float32(tmp_path: Path, weights: Weights) -> None:
    model = build_model(SMALL)
    path = write(tmp_path, {name: value.half() for name, value in weights.items()})
    load_weights(model, path)
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    embedding = weights["model.decoder.transformer_decoder.cls_embedding"]
    assert torch.equal(model.dynamic.decoder.frame_embedding, embedding.half().float())


def test_every_misfit_is_named(tmp_path: Path, weights: Weights) -> None:
    broken = dict(weights)
    del broken["model.encoder_proj.weight"]
    broken["model.gs_predictor.surprise"] = torch.zeros(3)
    broken["model.gs_dynamic_predictor.dynamic_scalar"] = torch.zeros(4)
    model = build_model(SMALL)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(UserError) as caught:
        load_weights(model, write(tmp_path, broken))
    message = str(caught.value)
    assert "1 missing: model.encoder_proj.weight" in message
    assert "1 unexpected: model.gs_predictor.surprise" in message
    assert "model.gs_dynamic_predictor.dynamic_scalar (4,) instead of (3,)" in message
    assert "\n" not in message
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name]), f"{name} changed although loading failed"


def test_two_entries_for_one_weight_are_refused(tmp_path: Path, weights: Weights) -> None:
    doubled = {**weights, "model._orig_mod.encoder_proj.weight": torch.zeros(16, 16)}
    with pytest.raises(UserError, match=r"two entries stand for model\.encoder_proj\.weight"):
        load_weights(build_model(SMALL), write(tmp_path, doubled))


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        (
            "model.gs_predictor.encoder.transformer_encoder.positional_encoding.pe",
            lambda x: x.roll(1),
        ),
        ("model.decoder.transformer_decoder.positional_encoding.pe", lambda x: x * torch.nan),
        ("model.gs_predictor.predictor.x_map", lambda x: x + 0.5 / 64),
        ("model.gs_predictor.predictor.z_map", lambda x: -x),
    ],
)
def test_other_coordinates_are_refused(
    tmp_path: Path, weights: Weights, name: str, changed: Callable[[Tensor], Tensor]
) -> None:
    path = write(tmp_path, {**weights, name: changed(weights[name]).contiguous()})
    with pytest.raises(
        UserError, match=f"{name} differs from what this network computes"
    ) as caught:
        load_weights(build_model(SMALL), path)
    assert "\n" not in str(caught.value)


def test_a_file_cut_in_half_is_one_clear_error(tmp_path: Path, weights: Weights) -> None:
    path = write(tmp_path, weights)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    model: StreamSplat = build_model(SMALL)
    with pytest.raises(UserError, match=r"streamsplat\.safetensors"):
        load_weights(model, path)
