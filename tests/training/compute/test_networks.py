"""Compiled blocks against plain ones, and LPIPS in a run: an error at the start or a loss."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torchvision
from torch import Tensor, nn

from core.checks import UserError
from core.losses.perceptual import perceptual_loss
from core.metrics.lpips import Lpips
from core.models import StreamSplatConfig
from core.models.factory import build_model, build_static_model
from core.training import train
from core.training.compute.networks import compile_blocks

CUDA = torch.device("cuda")
# The published widths and window, one block of each kind.
CONFIG = replace(StreamSplatConfig(), encoder_layers=1, decoder_layers=1, use_dino=False)


def _static() -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    model = build_static_model(CONFIG)
    inputs = torch.rand(2, 4, CONFIG.image_height, CONFIG.image_width, device="cuda")
    target = torch.randn(2, CONFIG.num_gaussians, CONFIG.upsampler_widths[-1], device="cuda")

    def loss(net: nn.Module) -> Tensor:
        encoded = net.encode(inputs[:, :3], inputs[:, 3:])
        scene = net.gaussians(encoded, sample=False)
        values = (scene.means, scene.colors, scene.scales, scene.opacities)
        return (encoded.features * target).mean() + sum(value.square().mean() for value in values)

    return model, loss


def _dynamic() -> tuple[nn.Module, Callable[[nn.Module], Tensor]]:
    model = build_model(CONFIG).dynamic
    tokens = torch.randn(1, 2, CONFIG.num_tokens, CONFIG.width, device="cuda")
    features = torch.randn(2, CONFIG.num_gaussians, CONFIG.upsampler_widths[-1], device="cuda")

    def loss(net: nn.Module) -> Tensor:
        mixed = net.decoder(tokens, net.condition(tokens[0])[None])
        found = net.decode_features(net.upsampler(mixed[0]), features, sample=False)
        return sum(value.square().mean() for value in found.tensors())

    return model, loss


def _gradients(model: nn.Module, loss: Callable[[nn.Module], Tensor]) -> dict[str, Tensor]:
    with torch.autocast("cuda", torch.bfloat16):
        value = loss(model)
    value.backward()
    found = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    model.zero_grad(set_to_none=True)
    return found


@pytest.mark.gpu
@pytest.mark.slow
@pytest.mark.parametrize("build", [_static, _dynamic])
def test_compiled_blocks_have_the_gradients_of_plain_ones(build: Callable) -> None:
    torch.manual_seed(0)
    model, loss = build()
    model = model.to(CUDA).train()
    compiled = copy.deepcopy(model)
    assert compile_blocks(compiled, "on", CUDA)
    expected = _gradients(model, loss)
    for _ in range(2):
        found = _gradients(compiled, loss)
        assert found.keys() == expected.keys()
        for name, gradient in found.items():
            error = (gradient - expected[name]).norm() / expected[name].norm()
            assert error < 0.05, f"{name}: {error:.3f}"  # of bfloat16's 8 bits


def _distance(network: nn.Module) -> Callable[[Tensor, Tensor], Tensor]:
    def measure(images: Tensor, targets: Tensor) -> Tensor:
        with torch.autocast("cuda", torch.bfloat16):
            return network(images, targets)

    return measure


@pytest.mark.gpu
@pytest.mark.slow
def test_the_compiled_perceptual_loss_is_the_plain_one() -> None:
    torch.manual_seed(0)
    backbone = torchvision.models.vgg16(weights=None).features.state_dict(prefix="features.")
    plain = Lpips(backbone, "here").to(CUDA)
    compiled = copy.deepcopy(plain)
    compiled.compile(dynamic=False)
    rendered, targets = torch.rand(2, 20, 3, 96, 128, device="cuda")  # 16 of them at once, then 4
    expected = perceptual_loss(plain, rendered.requires_grad_(), targets)  # in float32
    (gradient,) = torch.autograd.grad(expected, rendered)
    for network in (plain, compiled):
        found = perceptual_loss(_distance(network), rendered, targets)
        torch.testing.assert_close(found, expected, rtol=0.02, atol=0)
        error = (torch.autograd.grad(found, rendered)[0] - gradient).norm() / gradient.norm()
        assert error < 0.15, f"{error:.3f}"  # of bfloat16's 8 bits


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    torch.manual_seed(0)
    features = torchvision.models.vgg16(weights=None).features
    torch.save(features.state_dict(prefix="features."), path)
    return path


@pytest.mark.slow
def test_missing_weights_end_a_run_that_will_need_them_before_it_begins(
    make_static_stage, scenes, optimizer, run_options, tmp_path
):
    run = run_options(steps=5, steps_per_epoch=1)
    missing = {"lpips_backbone_path": tmp_path / "vgg16.pth", "lpips_from_epoch": 4}
    message = r"--lpips_backbone_path .*vgg16\.pth: no such file.*epoch 4 of 5.*--lambda_lpips 0"
    with pytest.raises(UserError, match=message):
        train(make_static_stage(**missing), scenes, run, optimizer)
    assert not (run.workspace / "log.jsonl").exists()
    assert train(make_static_stage(**missing, lambda_lpips=0.0), scenes, run, optimizer).finished
    short = run_options("short", steps=4, steps_per_epoch=1)
    assert train(make_static_stage(**missing), scenes, short, optimizer).finished


@pytest.mark.slow
def test_the_perceptual_loss_begins_at_its_epoch_and_counts(
    make_dynamic_stage, scenes, optimizer, run_options, backbone
):
    stage = make_dynamic_stage(
        lpips_backbone_path=backbone, lpips_from_epoch=1, lambda_lpips=0.7, num_frames=2
    )
    run = run_options(steps=3, steps_per_epoch=2, batch_size=1, eval_every=3)
    outcome = train(stage, scenes, run, optimizer)
    first, second, third = (
        line
        for line in map(json.loads, (run.workspace / "log.jsonl").read_text().splitlines())
        if line["kind"] == "train"
    )
    assert "lpips" not in {*first, *second}
    assert third["lpips"] > 0
    parts = third["mse"] + 3 * third["mask"] + 0.01 * third["depth"] + 0.7 * third["lpips"]
    assert third["loss"] == pytest.approx(parts, rel=1e-5)
    assert outcome.metrics["procedural/lpips_given"] > 0


def test_weights_that_are_damaged_and_not_needed_are_left_aside(
    make_static_stage, scenes, optimizer, run_options, tmp_path, caplog
):
    path = tmp_path / "vgg16.pth"
    path.write_bytes(b"no weights")
    run = run_options(eval_every=4)
    with caplog.at_level("WARNING", "streamsplat"):
        outcome = train(make_static_stage(lpips_backbone_path=path), scenes, run, optimizer)
    assert set(outcome.metrics) == {"procedural/psnr_given", "procedural/ssim_given"}
    assert "Validation goes without LPIPS" in caplog.text
