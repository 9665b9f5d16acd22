from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from core.checks import UserError
from core.geometry.canonical import pixel_centers
from core.models import StaticModel, StreamSplatConfig, build_static_model
from core.models.transformer.truncated_gaussian import TruncatedGaussianHead


def test_evaluation_is_the_mean_and_training_draws(
    static_model: StaticModel, frames: tuple[Tensor, Tensor]
) -> None:
    images, depths = frames[0][:, 0], frames[1][:, 0]
    encoded = static_model.encode(images, depths)
    position = static_model.heads.position
    assert isinstance(position, TruncatedGaussianHead)
    values = 0.999 * torch.tanh(position.mean(encoded.features))
    x, z = pixel_centers(16, 32)
    mean = static_model(images, depths).means
    torch.testing.assert_close(mean[..., 0], x.flatten() + values[..., 0] / 32)
    torch.testing.assert_close(mean[..., 1], 0.5 + 0.5 * values[..., 1])
    torch.testing.assert_close(mean[..., 2], z.flatten() + values[..., 2] / 16)

    static_model.train()
    first, second = static_model(images, depths), static_model(images, depths)
    assert not torch.equal(first.means, second.means)
    assert torch.equal(first.colors, second.colors)
    assert torch.equal(static_model.gaussians(encoded, sample=False).means, mean)


def test_every_gaussian_stays_in_its_cell(
    static_model: StaticModel, frames: tuple[Tensor, Tensor]
) -> None:
    scene = static_model.train()(100 * frames[0][:, 0], frames[1][:, 0])
    x, z = pixel_centers(16, 32)
    assert ((scene.means[..., 0] - x.flatten()).abs() <= 1 / 32).all()
    assert ((scene.means[..., 2] - z.flatten()).abs() <= 1 / 16).all()
    assert ((scene.means[..., 1] >= 0) & (scene.means[..., 1] <= 1)).all()


def test_untrained_gaussians_have_the_values_of_zero_biases(
    config: StreamSplatConfig, frames: tuple[Tensor, Tensor]
) -> None:
    torch.manual_seed(0)
    scene = build_static_model(config).eval()(frames[0][:, 0], frames[1][:, 0])
    assert (scene.colors - 0.5).abs().max() < 0.02
    assert (scene.opacities - 0.525).abs().max() < 0.02
    assert (scene.scales / (0.1 * math.log(2)) - 1).abs().max() < 0.1
    assert scene.motion.shape == (2, 16 * 32, 0, 3)
    assert (scene.opacity_slopes == 0).all()
    assert (scene.anchor_times == 0).all()


@pytest.mark.parametrize("size", [(32, 32), (64, 64)])
def test_frames_of_another_size_are_refused(static_model: StaticModel, size: tuple) -> None:
    with pytest.raises(UserError, match=f"takes frames .* of 64x32 .* got {size[1]}x{size[0]}"):
        static_model.encode(torch.rand(1, 3, *size), torch.rand(1, 1, *size))


def test_every_weight_learns(static_model: StaticModel, frames: tuple[Tensor, Tensor]) -> None:
    static_model.train()
    scene = static_model(frames[0][:, 0], frames[1][:, 0])
    loss = scene.means.square().sum() + scene.scales.sum() + scene.colors.square().sum()
    (loss + scene.opacities.sum()).backward()
    for name, parameter in static_model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name
