from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from core.checks import UserError
from core.models import PRESETS, Network, StreamSplat, StreamSplatConfig, build_model
from core.models.fast.acceleration import FastModel
from core.models.transformer.dino import build_dino
from core.recording import Recorded
from core.types import DynamicGaussians

Pair = tuple[Tensor, Tensor]


def decode(model: Any, frames: Pair) -> DynamicGaussians:
    images, depths = frames
    with torch.inference_mode():
        first, second = (model.encode(images[:, i], depths[:, i]) for i in range(2))
        return model.decode(first, second)


def matching_network() -> Network:
    torch.manual_seed(0)
    return build_model(replace(PRESETS["tiny"], image_height=64, image_width=64)).eval()


def test_half_precision_changes_gaussians_by_rounding_only(
    model: StreamSplat, frames: Pair
) -> None:
    plain = decode(model, frames)
    half = decode(FastModel(model, precision="bfloat16"), frames)
    # bfloat16 has 8 bits; a few layers add up.
    for name in ("colors", "means", "opacities"):
        one, other = getattr(plain, name), getattr(half, name)
        assert one.dtype == other.dtype == torch.float32
        assert not torch.equal(one, other)
        torch.testing.assert_close(one, other, atol=0.03, rtol=0)


def test_half_precision_leaves_the_pixels_of_networks_with_a_matcher_alone() -> None:
    model, frames = matching_network(), (torch.rand(1, 2, 3, 64, 64), torch.zeros(1, 2, 1, 64, 64))
    plain = decode(model, frames)
    half = decode(FastModel(model, precision="bfloat16"), frames)
    for name in ("colors", "scales", "opacities"):
        # Other depths put other Gaussians in front, and the correction sees it.
        torch.testing.assert_close(getattr(plain, name), getattr(half, name), atol=1e-2, rtol=0)
    assert not torch.equal(plain.means, half.means), "depth and motion come from the features"
    torch.testing.assert_close(plain.means, half.means, atol=0.03, rtol=0)


def test_float32_changes_nothing(model: StreamSplat, frames: Pair) -> None:
    plain, fast = decode(model, frames), decode(FastModel(model), frames)
    torch.testing.assert_close(vars(plain), vars(fast), atol=0, rtol=0)


def test_every_part_is_compiled(
    model: StreamSplat, frames: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()

    def compile_nothing(function: Any, *, dynamic: bool) -> Callable:
        assert not dynamic

        def counted(*arguments: Any, **options: Any) -> Any:
            calls[type(function.__self__).__name__ + "." + function.__name__] += 1
            return function(*arguments, **options)

        return counted

    monkeypatch.setattr(torch, "compile", compile_nothing)
    plain = decode(model, frames)
    fast = decode(FastModel(copy.deepcopy(model), acceleration="compile"), frames)
    torch.testing.assert_close(vars(plain), vars(fast), atol=0, rtol=0)
    # Two frames, one pair; two levels in each upsampler.
    assert calls == {
        "StaticEncoder.forward": 2,
        "StaticHeads.forward": 2,
        "DynamicDecoder.forward": 1,
        "DynamicModel.decode_features": 1,
        "RMSNorm.forward": 2 + 1,
        **{f"UpsamplerLevel.{step}": 2 * (2 + 1) for step in ("enlarge", "mix", "mix_rolled")},
    }


@pytest.mark.slow
def test_nothing_in_the_parts_breaks_a_compiled_graph() -> None:
    model = dino_network()
    static, dynamic = model.static, model.dynamic
    assert model.dino is not None
    rgbd, image = torch.rand(1, 4, 32, 64), torch.rand(1, 3, 32, 64)
    with torch.inference_mode():
        tokens = static.encoder(rgbd)
        features = static.upsampler(tokens)
        both = features.expand(2, -1, -1)
        level = static.upsampler.levels[0]
        pair = torch.stack((tokens, tokens), dim=1)
        conditions = model.dino_condition(image).expand(1, 2, -1, -1)
        for function, arguments in (
            (model.dino_condition, (image,)),
            (static.encoder, (rgbd,)),
            (level.enlarge, (tokens,)),
            (level.mix, (level.enlarge(tokens),)),
            (level.mix_rolled, (level.enlarge(tokens),)),
            (static.upsampler.norm, (features,)),
            (partial(static.heads, sample=False), (features,)),
            (dynamic.decoder, (pair, conditions)),
            (partial(dynamic.decode_features, sample=False), (both, both)),
        ):
            traced = torch._dynamo.explain(function)(*arguments)
            assert (traced.graph_count, traced.break_reasons) == (1, [])


@pytest.mark.gpu
@pytest.mark.slow
def test_compiled_networks_compute_the_same_at_full_width() -> None:
    torch.manual_seed(0)
    config = replace(PRESETS["full"], encoder_layers=1, decoder_layers=1)
    model = build_model(config).eval()
    assert isinstance(model, StreamSplat)
    assert model.dino is not None
    model.dino.attach(build_dino(model.dino.image_size, depth=1))
    model = model.cuda()
    size = config.image_height, config.image_width
    images = torch.rand(2, 1, 3, *size, device="cuda")
    depths = torch.rand(2, 1, 1, *size, device="cuda")
    with torch.inference_mode():
        plain = FastModel(copy.deepcopy(model), precision="bfloat16")
        fast = FastModel(model, precision="bfloat16", acceleration="compile")
        keys = [plain.encode(*inputs) for inputs in zip(images, depths, strict=True)]
        scene = plain.decode(*keys)
        for _ in range(3):
            again = [fast.encode(*inputs) for inputs in zip(images, depths, strict=True)]
            for one, other in zip(again, keys, strict=True):
                # Of size 1, rounded to 8 bits a few times.
                for name in ("tokens", "features", "condition"):
                    torch.testing.assert_close(
                        getattr(one, name), getattr(other, name), atol=0.1, rtol=0
                    )
            moved = fast.decode(*keys)
            for name in ("means", "motion", "colors", "opacities", "opacity_slopes"):
                one, other = getattr(moved, name), getattr(scene, name)
                torch.testing.assert_close(one, other, atol=5e-4, rtol=0)


def test_graphs_need_cuda(model: StreamSplat) -> None:
    with pytest.raises(UserError, match="graphs needs a CUDA device"):
        FastModel(model, acceleration="graphs")


def test_a_compiler_that_is_missing_is_named(
    model: StreamSplat, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(UserError, match="needs a C compiler"):
        FastModel(model, acceleration="compile")


@pytest.mark.gpu
@pytest.mark.parametrize("with_dino", [False, True])
@pytest.mark.parametrize("acceleration", ["graphs", "compile"])
def test_recorded_networks_give_the_same_gaussians(
    model: StreamSplat, frames: Pair, acceleration: Any, with_dino: bool
) -> None:
    model = (dino_network() if with_dino else model).cuda()
    frames = frames[0].cuda(), frames[1].cuda()
    plain = decode(model, frames)
    fast = FastModel(model, acceleration=acceleration)
    for _ in range(2):
        torch.testing.assert_close(vars(decode(fast, frames)), vars(plain), atol=1e-3, rtol=1e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("acceleration", ["graphs", "compile"])
def test_recorded_matchers_give_the_same_gaussians(acceleration: Any) -> None:
    model = matching_network().cuda()
    frames = torch.rand(1, 2, 3, 64, 64).cuda(), torch.zeros(1, 2, 1, 64, 64).cuda()
    plain = decode(model, frames)
    fast = FastModel(model, acceleration=acceleration)
    for _ in range(2):
        torch.testing.assert_close(vars(decode(fast, frames)), vars(plain), atol=1e-3, rtol=1e-3)


@pytest.mark.gpu
def test_results_of_a_recording_stay_as_they_are() -> None:
    with torch.inference_mode():
        double = Recorded(lambda value: 2 * value)
        one, other = (double(torch.full((3,), float(v), device="cuda")) for v in (1, 5))
        assert one.tolist() == [2, 2, 2]
        assert other.tolist() == [10, 10, 10]
        assert double(torch.ones(2, device="cuda")).tolist() == [2, 2]


def dino_network() -> StreamSplat:
    """Return a small network that is conditioned on a DINOv2 of one block."""
    torch.manual_seed(0)
    config = StreamSplatConfig(
        image_height=32,
        image_width=64,
        patch_size=16,
        width=64,
        head_width=32,
        encoder_layers=1,
        decoder_layers=1,
        upsampler_widths=(32, 32, 32),
        window=16,
        dino_normalize=True,
    )
    model = build_model(config).eval()
    assert isinstance(model, StreamSplat)
    assert model.dino is not None
    model.dino.attach(build_dino(model.dino.image_size, depth=1))
    return model


def test_half_precision_reaches_dinov2_too() -> None:
    model = dino_network()
    assert model.dino is not None
    images, depths = torch.rand(1, 3, 32, 64), torch.zeros(1, 1, 32, 64)
    with torch.inference_mode():
        plain = model.encode(images, depths).condition
        half = FastModel(model, precision="bfloat16").encode(images, depths).condition
    assert model.dino.vit.blocks[0].mlp.fc1.weight.dtype == torch.bfloat16
    assert plain.dtype == half.dtype == torch.float32
    assert not torch.equal(plain, half)
    torch.testing.assert_close(plain, half, atol=0.1, rtol=0)  # of tokens of unit size
