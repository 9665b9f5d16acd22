import pytest
import torch

from core.losses import masked_mse, mse


def test_mse_is_the_mean_over_everything():
    rendered = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, 3, 1, 1).expand(2, 1, 3, 4, 5)
    assert mse(rendered, torch.zeros_like(rendered)).item() == pytest.approx(1.25 / 3)


def test_masked_mse_divides_by_the_masks_size_over_the_whole_batch():
    torch.manual_seed(0)
    rendered, target = torch.rand(2, 3, 3, 6, 7), torch.rand(2, 3, 3, 6, 7)
    mask = (torch.rand(2, 3, 1, 6, 7) > 0.7).float()
    mask[1] = 0  # a sample without moving objects does not dilute the other's error
    inside = mask.expand_as(rendered).bool()
    expected = (rendered - target)[inside].square().mean()
    torch.testing.assert_close(masked_mse(rendered, target, mask), expected)


def test_masked_mse_of_an_empty_mask_is_zero_with_zero_gradient():
    rendered = torch.rand(2, 1, 3, 4, 4, requires_grad=True)
    loss = masked_mse(rendered, torch.rand(2, 1, 3, 4, 4), torch.zeros(2, 1, 1, 4, 4))
    loss.backward()
    assert loss.item() == 0.0
    assert rendered.grad is not None
    assert torch.equal(rendered.grad, torch.zeros_like(rendered))


def test_gradients_equal_finite_differences():
    torch.manual_seed(0)
    rendered = torch.rand(2, 2, 3, 3, 4, dtype=torch.float64, requires_grad=True)
    target = torch.rand_like(rendered)
    mask = (torch.rand(2, 2, 1, 3, 4, dtype=torch.float64) > 0.5).double()
    assert torch.autograd.gradcheck(lambda x: mse(x, target), rendered)
    assert torch.autograd.gradcheck(lambda x: masked_mse(x, target, mask), rendered)


def test_gradients_of_the_mask_are_on_its_pixels_only():
    torch.manual_seed(0)
    rendered = torch.rand(1, 2, 3, 3, 4, requires_grad=True)
    mask = torch.zeros(1, 2, 1, 3, 4)
    mask[0, 1, 0, 2, 1] = 1
    target = torch.rand_like(rendered)
    masked_mse(rendered, target, mask).backward()
    expected = 2 * (rendered - target).detach() * mask / 3
    torch.testing.assert_close(rendered.grad, expected)
