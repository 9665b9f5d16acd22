from __future__ import annotations

import pytest
import torch
from torch import Tensor

from core.models import PRESETS, StreamSplat, StreamSplatConfig, build_model
from core.models.blocks import ConditionedBlock, TransformerBlock, set_gradient_checkpointing
from core.types import DynamicGaussians

Pair = tuple[Tensor, Tensor]


def assert_same(first: DynamicGaussians, second: DynamicGaussians) -> None:
    torch.testing.assert_close(vars(first), vars(second), rtol=1e-4, atol=1e-5)


def test_a_pair_is_its_two_key_frames(model: StreamSplat, frames: Pair) -> None:
    images, depths = frames
    whole = model(images, depths)
    first = model.encode(images[:, 0], depths[:, 0])
    second = model.encode(images[:, 1], depths[:, 1])
    assert_same(whole, model.decode(first, second))

    count = model.config.num_gaussians
    assert whole.motion.shape == (2, 2 * count, 2, 3)
    assert (whole.anchor_times[:, :count] == 0).all()
    assert (whole.anchor_times[:, count:] == 1).all()
    assert torch.equal(whole.means[:, :count], model.static_gaussians(first).means)
    assert torch.equal(whole.colors[:, count:], model.static_gaussians(second).colors)


def test_scenes_of_a_batch_do_not_mix(model: StreamSplat, frames: Pair) -> None:
    images, depths = frames
    assert_same(model(images, depths).element(1), model(images[1:], depths[1:]))


def test_each_network_sees_each_frame_once(model: StreamSplat, frames: Pair) -> None:
    seen = []
    for module in (model.static.encoder, model.static.upsampler, model.dynamic.condition):
        module.register_forward_hook(
            lambda module, inputs, _: seen.append((module, len(inputs[0])))
        )
    images, depths = frames
    keys = [model.encode(images[:1, i], depths[:1, i]) for i in (0, 1, 0)]
    model.decode(keys[0], keys[1])
    model.decode(keys[1], keys[2])
    assert len(seen) == 3 * 3
    assert all(count == 1 for _, count in seen)


def test_frames_attend_to_the_others_condition(model: StreamSplat, frames: Pair) -> None:
    tokens, conditions = torch.randn(1, 2, 32, 32), torch.randn(1, 2, 32, 32)
    block = model.dynamic.decoder.blocks[0]
    assert isinstance(block, ConditionedBlock)
    arguments = []
    block.register_forward_hook(lambda module, inputs, _: arguments.append(inputs[1]))
    model.dynamic.decoder(tokens, conditions)
    assert torch.equal(arguments[0][:, 0], conditions[:, 1])
    assert torch.equal(arguments[0][:, 1], conditions[:, 0])

    other = conditions.clone()
    other[:, 1] += 1
    with torch.no_grad():
        block.self_attention.out.weight.zero_()  # the only other way from frame to frame
        change = block(tokens, other) - block(tokens, conditions)
    assert change[:, 0].abs().max() == 0
    assert change[:, 1].abs().max() > 0


def test_dynamics_stay_in_their_ranges(model: StreamSplat, frames: Pair) -> None:
    scene = model.train()(*frames)
    reach = torch.tensor([0.5, 0.1, 0.5])
    assert (scene.motion.abs() <= reach).all()
    assert (scene.opacity_slopes >= 0).all()
    assert ((scene.opacity_half_lives > 0) & (scene.opacity_half_lives < 1)).all()


def test_training_draws_motion_but_not_static_positions(model: StreamSplat, frames: Pair) -> None:
    model.train()
    first, second = model(*frames), model(*frames)
    assert torch.equal(first.means, second.means)
    assert not torch.equal(first.motion, second.motion)
    model.eval()
    assert torch.equal(model(*frames).motion, model(*frames).motion)


def test_untrained_network_does_not_move(config: StreamSplatConfig, frames: Pair) -> None:
    torch.manual_seed(0)
    scene = build_model(config).eval()(*frames)
    assert scene.motion.abs().max() < 0.05
    assert (scene.motion[..., 0].abs() * 32 / 2).max() < 0.5  # of a Gaussian's pitch


def test_frozen_static_part_stays_in_evaluation_mode(model: StreamSplat, frames: Pair) -> None:
    model.freeze_static()
    model.train()
    assert not any(module.training for module in model.static.modules())
    assert model.dynamic.training
    scene = model(*frames)
    (scene.motion.sum() + scene.opacity_half_lives.sum()).backward()
    assert all(p.grad is None for p in model.static.parameters())
    assert model.dynamic.decoder.positional_embedding.grad is not None


def test_every_dynamic_weight_learns(model: StreamSplat, frames: Pair) -> None:
    model.freeze_static()
    scene = model.train()(*frames)
    loss = scene.motion.square().sum() + scene.opacity_half_lives.square().sum()
    (loss + scene.opacity_slopes.sum()).backward()
    for name, parameter in model.dynamic.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_gradient_checkpointing_changes_no_gradient(model: StreamSplat, frames: Pair) -> None:
    def gradients(recompute: bool) -> dict[str, Tensor]:
        model.zero_grad()
        set_gradient_checkpointing(model, recompute)
        torch.manual_seed(0)
        scene = model.train()(*frames)
        (scene.motion.sum() + scene.means.square().sum()).backward()
        return {n: p.grad.clone() for n, p in model.named_parameters() if p.grad is not None}

    runs = []
    model.static.encoder.blocks[0].register_forward_pre_hook(lambda *_: runs.append(1))
    plain = gradients(False)
    assert len(runs) == 1
    recomputed = gradients(True)
    assert len(runs) == 3
    for name, value in plain.items():
        torch.testing.assert_close(recomputed[name], value, rtol=1e-5, atol=1e-6)


def test_bfloat16_autocast_keeps_the_residual_stream_and_the_heads_in_float32(
    model: StreamSplat, frames: Pair
) -> None:
    types = set()
    for module in model.modules():
        if isinstance(module, (TransformerBlock, ConditionedBlock)):
            module.register_forward_hook(lambda _, inputs, out: types.update({out.dtype}))
    exact = model(*frames)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        scene = model(*frames)
    assert types == {torch.float32}
    for name, reference in vars(exact).items():
        value = getattr(scene, name)
        assert value.dtype == torch.float32, name
        # bfloat16 keeps 8 bits; measured worst 0.012 of the largest value.
        scale = reference.abs().max().clamp(min=1.0)
        assert (value - reference).abs().max() < 0.05 * scale, name


def test_without_depth_it_still_decodes(model: StreamSplat, frames: Pair) -> None:
    scene = model(frames[0], torch.zeros_like(frames[1]))
    assert all(value.isfinite().all() for value in scene.tensors())


def test_key_frames_move_and_forget_their_history(model: StreamSplat, frames: Pair) -> None:
    key = model.encode(frames[0][:, 0], frames[1][:, 0])
    assert key.tokens.requires_grad
    detached = key.detach().to("cpu")
    assert not detached.features.requires_grad
    assert not detached.gaussians.means.requires_grad


@pytest.mark.gpu
def test_cuda_agrees_with_the_cpu(model: StreamSplat, frames: Pair) -> None:
    expected = model(*frames)
    cuda = [value.cuda() for value in frames]
    scene = model.cuda()(*cuda)
    torch.testing.assert_close(vars(scene.to("cpu")), vars(expected), rtol=1e-3, atol=1e-4)


@pytest.mark.slow
def test_tiny_preset_runs_at_its_size() -> None:
    model = build_model(PRESETS["tiny"]).eval()
    with torch.no_grad():
        scene = model(torch.rand(1, 2, 3, 288, 512), torch.zeros(1, 2, 1, 288, 512))
    assert scene.gaussians.num_gaussians == 2 * 144 * 256
