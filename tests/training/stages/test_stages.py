"""What each stage computes from a batch, rebuilt here from its parts."""

import pytest
import torch
from safetensors.torch import save_file

from core.checks import UserError
from core.losses import depth_loss
from core.models import PRESETS, save_model
from core.models.blocks import set_gradient_checkpointing
from core.rendering import render
from core.training import DynamicStage, DynamicStageOptions
from core.training.stages.noise import StepNoise
from core.training.stages.stage import NonFiniteSceneError
from core.types import ClipBatch

SIZE = (32, 64)
NOISE = StepNoise(
    background=torch.tensor([0.2, 0.4, 0.9]), depth_dropped=torch.tensor([True, False])
)


def _batch(num_frames):
    generator = torch.Generator().manual_seed(0)
    times = torch.linspace(0, 1, num_frames) if num_frames > 1 else torch.zeros(1)
    maps = (2, num_frames, 1, *SIZE)
    return ClipBatch(
        frames=torch.rand(2, num_frames, 3, *SIZE, generator=generator),
        inverse_depths=torch.rand(maps, generator=generator),
        masks=(torch.rand(maps, generator=generator) > 0.8).float(),
        times=times.expand(2, -1),
        motion=0.1 * torch.randn((2, 2, 2, 16, 32), generator=generator),
        motion_known=torch.tensor([False, True])[:, None, None, None].expand(2, 2, 16, 32),
        has_depth=torch.tensor([True, False]),
        has_mask=torch.tensor([True, True]),
    )


def test_static_losses_are_those_of_the_method(make_static_stage):
    stage, batch = make_static_stage(), _batch(1)
    model = stage.build_model().eval()  # positions are then not random
    losses = stage.compute_losses(model, batch, NOISE)
    seen = batch.inverse_depths[:, 0].clone()
    seen[0] = 0  # hidden from the network, not from the loss
    views = render(model(batch.frames[:, 0], seen), batch.times, SIZE, NOISE.background)
    color = (views.rgb - batch.frames).square().mean()
    depth = depth_loss(
        views.depth, batch.inverse_depths, views.depth > 0, batch.has_depth, trimmed=False
    )
    assert depth > 0
    torch.testing.assert_close(losses.total, color + 0.05 * depth)
    torch.testing.assert_close(losses.terms["loss"], losses.total.detach())


def test_dynamic_losses_are_those_of_the_method(make_dynamic_stage):
    stage, batch = make_dynamic_stage(), _batch(3)
    model = stage.build_model().eval()
    losses = stage.compute_losses(model, batch, NOISE)
    seen = batch.inverse_depths[:, [0, 2]].clone()
    seen[0] = 0
    views = render(model(batch.frames[:, [0, 2]], seen), batch.times, SIZE, NOISE.background)
    errors = (views.rgb - batch.frames).square()
    moving = errors[batch.masks.expand_as(errors) > 0].mean()
    depth = depth_loss(
        views.depth, batch.inverse_depths, views.alpha > 0.1, batch.has_depth, trimmed=True
    )
    torch.testing.assert_close(losses.total, errors.mean() + 3.0 * moving + 0.01 * depth)


def test_known_motion_adds_to_the_loss(make_dynamic_stage):
    plain, stage, batch = make_dynamic_stage(), make_dynamic_stage(lambda_motion=2.0), _batch(3)
    model = stage.build_model().eval()
    without = plain.compute_losses(model, batch, NOISE)
    losses = stage.compute_losses(model, batch, NOISE)
    assert losses.terms["motion"] > 0
    torch.testing.assert_close(losses.total, without.total + 2.0 * losses.terms["motion"])


def test_the_static_part_learns_along_when_asked_to(make_dynamic_stage):
    stage = make_dynamic_stage(train_static=True)
    model = stage.build_model().train()
    stage.compute_losses(model, _batch(3), NOISE).total.backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]


def test_only_the_decoder_learns_in_stage_two(make_dynamic_stage):
    stage, batch = make_dynamic_stage(), _batch(3)
    model = stage.build_model().train()
    before = {name: value.clone() for name, value in model.static.state_dict().items()}
    assert not model.static.training
    stage.compute_losses(model, batch, NOISE).total.backward()
    assert all(p.grad is None for p in model.static.parameters())
    missing = [n for n, p in model.dynamic.named_parameters() if p.grad is None]
    assert not missing  # a parameter without gradient would stall training on several GPUs
    assert all(torch.equal(before[n], v) for n, v in model.static.state_dict().items())


def test_every_static_weight_learns_in_stage_one(make_static_stage):
    stage = make_static_stage()
    model = stage.build_model().train()
    stage.compute_losses(model, _batch(1), NOISE).total.backward()
    assert not [name for name, p in model.named_parameters() if p.grad is None]


def test_checkpointing_activations_changes_no_gradient(make_static_stage):
    gradients = []
    for enabled in (False, True):
        torch.manual_seed(0)
        stage = make_static_stage()
        model = stage.build_model().train()
        set_gradient_checkpointing(model, enabled)
        torch.manual_seed(1)
        stage.compute_losses(model, _batch(1), NOISE).total.backward()
        gradients.append([p.grad for p in model.parameters()])
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)


def test_evaluation_sees_depth_and_grey(make_dynamic_stage):
    stage, batch = make_dynamic_stage(), _batch(3)
    model = stage.build_model().eval()
    expected = render(
        model(batch.frames[:, [0, 2]], batch.inverse_depths[:, [0, 2]]), batch.times, SIZE, 0.5
    )
    torch.testing.assert_close(stage.reconstruct(model, batch).views.rgb, expected.rgb)


@pytest.mark.parametrize("which", ["static", "dynamic"])
def test_a_broken_network_gives_a_nan_loss_that_reaches_every_parameter(
    which, make_static_stage, make_dynamic_stage
):
    stage = make_static_stage() if which == "static" else make_dynamic_stage()
    model = stage.build_model().train()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.fill_(torch.nan)
    with pytest.raises(NonFiniteSceneError) as caught:
        stage.compute_losses(model, _batch(stage.num_frames), NOISE)
    caught.value.nan_loss.backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_training_starts_from_given_weights(make_static_stage, make_dynamic_stage, tmp_path):
    first = make_static_stage().build_model()
    save_model(first, tmp_path / "weights")
    second = make_static_stage(init_from=tmp_path / "weights").build_model()
    for one, two in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, two)
    with pytest.raises(UserError, match=r"--init_from: .*expected a whole network.*--encoder_path"):
        make_dynamic_stage(init_from=tmp_path / "weights", encoder_path=None).build_model()
    with pytest.raises(UserError, match=r"--encoder_path: .*does not exist"):
        make_dynamic_stage(encoder_path=tmp_path / "nowhere").build_model()
    with pytest.raises(UserError, match="--init_from"):
        make_static_stage(init_from=tmp_path / "nowhere").build_model()


def test_published_weights_are_for_stage_two(make_static_stage, make_dynamic_stage, tmp_path):
    path = tmp_path / "streamsplat.safetensors"
    save_file({"model.encoder_proj.weight": torch.zeros(2, 2)}, path)
    with pytest.raises(UserError, match=r"--init_from: .*whole network"):
        make_static_stage(init_from=path).build_model()
    with pytest.raises(UserError, match=r"--init_from: .*missing: model\.gs_predictor"):
        make_dynamic_stage(init_from=path, encoder_path=None).build_model()


def test_impossible_options_name_their_flag(make_static_stage, make_dynamic_stage):
    for changes in ({"num_frames": 1}, {"lambda_mask": -1.0}, {"depth_drop": 2.0}):
        with pytest.raises(UserError, match=f"--{next(iter(changes))}"):
            make_dynamic_stage(**changes)
    with pytest.raises(UserError, match="--encoder_path"):
        make_dynamic_stage(encoder_path=None)
    with pytest.raises(UserError, match="--dinov2_path"):
        DynamicStage(PRESETS["full"], DynamicStageOptions(encoder_path="model.safetensors"))
