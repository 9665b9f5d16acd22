import pytest
import torch
import torch.nn.functional as F

from core.losses import perceptual, perceptual_loss


def _distance(weights):
    """A distance with structure: features of a small convolution, compared."""
    return lambda one, two: (
        (F.conv2d(one, weights).tanh() - F.conv2d(two, weights).tanh()).square().mean((1, 2, 3))
    )


@pytest.fixture
def distance():
    torch.manual_seed(0)
    return _distance(torch.randn(4, 3, 3, 3, dtype=torch.float64))


def test_value_is_the_mean_at_256_by_256(distance):
    one, two = torch.rand(2, 3, 3, 20, 40, dtype=torch.float64)
    small = (
        F.interpolate(image, (256, 256), mode="bilinear", antialias=True) for image in (one, two)
    )
    torch.testing.assert_close(perceptual_loss(distance, one, two), distance(*small).mean())


@pytest.mark.parametrize("at_once", [1, 2, 16])
def test_gradient_is_that_of_the_whole_however_many_at_once(distance, at_once, monkeypatch):
    monkeypatch.setattr(perceptual, "_IMAGES_AT_ONCE", at_once)
    one, two = torch.rand(2, 5, 3, 12, 20, dtype=torch.float64)
    leaf, twin = one.clone().requires_grad_(), one.clone().requires_grad_()
    (2.5 * perceptual_loss(distance, leaf, two)).backward()
    small = (
        F.interpolate(image, (256, 256), mode="bilinear", antialias=True) for image in (twin, two)
    )
    (2.5 * distance(*small).mean()).backward()
    torch.testing.assert_close(leaf.grad, twin.grad, rtol=1e-10, atol=1e-16)


@pytest.mark.slow
def test_gradient_equals_finite_differences(distance):
    one, two = torch.rand(2, 1, 3, 2, 3, dtype=torch.float64)
    one.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: perceptual_loss(distance, x, two), one, atol=1e-9)


def test_without_gradients_only_the_value_is_computed(distance):
    one, two = torch.rand(2, 1, 3, 6, 8, dtype=torch.float64)
    with torch.no_grad():
        value = perceptual_loss(distance, one.requires_grad_(), two)
    assert not value.requires_grad
    torch.testing.assert_close(value, perceptual_loss(distance, one, two).detach())
