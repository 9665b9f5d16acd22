"""The depth loss against scalar NumPy written from the formula, values and gradients."""

import numpy as np
import pytest
import torch

from core.losses import depth_loss


def _standardize(values):
    median = np.sort(values)[(len(values) - 1) // 2]
    return (values - median) / np.abs(values - median).mean()


def _difference(depths, inverse_depths, valid):
    return _standardize(1.0 / (depths[valid] + 1e-8)) - _standardize(inverse_depths[valid])


def _weights(difference, trimmed):
    if not trimmed:
        return np.ones_like(difference)
    weights = 1.0 / (1.0 + np.exp(np.minimum((difference**2 - 0.3) / (0.2 * 0.3), 50.0)))
    return np.maximum(weights, 0.1)


def _expected(depths, inverse_depths, valid, has_depth, trimmed, weights=None):
    """Mean over samples with depth; ``weights`` freezes the down-weighting."""
    terms = []
    for i in np.flatnonzero(has_depth):
        if not valid[i].any():
            continue
        difference = _difference(depths[i], inverse_depths[i], valid[i])
        weight = _weights(difference, trimmed) if weights is None else weights[i]
        terms.append((np.abs(difference) * weight).mean())
    return float(np.mean(terms)) if terms else 0.0


def _case(seed=0, b=3, v=2, h=5, w=6):
    rng = np.random.default_rng(seed)
    depths = rng.uniform(0.3, 4.0, (b, v, 1, h, w))
    inverse_depths = rng.uniform(0.0, 1.0, (b, v, 1, h, w))
    valid = rng.uniform(size=depths.shape) > 0.3
    return depths, inverse_depths, valid, np.array([True, False, True])


def _torch_loss(depths, inverse_depths, valid, has_depth, trimmed):
    return depth_loss(
        torch.as_tensor(depths),
        torch.as_tensor(inverse_depths),
        torch.as_tensor(valid),
        torch.as_tensor(has_depth),
        trimmed=trimmed,
    )


@pytest.mark.parametrize("trimmed", [False, True])
@pytest.mark.parametrize("seed", [0, 1])
def test_value_equals_the_formula(trimmed, seed):
    case = _case(seed)
    assert _torch_loss(*case, trimmed).item() == pytest.approx(_expected(*case, trimmed), rel=1e-10)


@pytest.mark.parametrize("trimmed", [False, True])
def test_gradient_equals_finite_differences_with_the_weight_held(trimmed):
    depths, inverse_depths, valid, has_depth = _case(2, b=3, v=1, h=3, w=4)
    weights = {
        i: _weights(_difference(depths[i], inverse_depths[i], valid[i]), trimmed) for i in range(3)
    }
    variable = torch.tensor(depths, requires_grad=True)
    _torch_loss(variable, inverse_depths, valid, has_depth, trimmed).backward()
    assert variable.grad is not None
    step = 1e-7
    for index in np.ndindex(depths.shape):
        high, low = depths.copy(), depths.copy()
        high[index] += step
        low[index] -= step
        slope = (
            _expected(high, inverse_depths, valid, has_depth, trimmed, weights)
            - _expected(low, inverse_depths, valid, has_depth, trimmed, weights)
        ) / (2 * step)
        # Central differences of an O(1) value in float64 are good to about 1e-16 / step = 1e-9.
        assert variable.grad[index].item() == pytest.approx(slope, abs=2e-7)


def test_pixels_of_the_median_depth_share_its_gradient():
    depths = [3.0, 2.0, 0.3, 0.4, 2.0, 0.5, 4.0, 0.6, 2.0, 0.9, 5.0]
    targets = [0.1, 0.5, 0.9, 0.3, 0.5, 0.8, 0.2, 0.7, 0.5, 0.6, 0.3]
    shape = (1, 1, 1, 1, len(depths))
    variable = torch.tensor(depths).view(shape).requires_grad_()
    targets = torch.tensor(targets).view(shape)
    valid = torch.ones_like(targets, dtype=torch.bool)
    _torch_loss(variable, targets, valid, [True], False).backward()
    assert variable.grad is not None
    tied = variable.grad[variable == 2.0]
    assert (tied == tied[0]).all()
    assert tied[0] != 0
    assert len(tied) == 3


def test_scale_and_shift_of_either_side_do_not_matter():
    depths, inverse_depths, valid, has_depth = _case(3)
    loss = _torch_loss(depths, inverse_depths, valid, has_depth, True)
    rescaled = 1.0 / (2.5 / depths + 0.7)
    torch.testing.assert_close(
        _torch_loss(rescaled, 3.0 * inverse_depths + 5.0, valid, has_depth, True),
        loss,
        rtol=1e-6,
        atol=0,
    )


def test_the_true_depth_costs_nothing():
    _, inverse_depths, valid, has_depth = _case(4)
    depths = 1.0 / (9.8 * inverse_depths + 0.2)
    assert _torch_loss(depths, inverse_depths, valid, has_depth, True).item() < 1e-6


def test_views_of_a_sample_share_one_scale():
    # Each view alone is an affine image of its target; together they are not.
    _, inverse_depths, _, _ = _case(5)
    valid, has_depth = np.ones(inverse_depths.shape, bool), np.ones(3, bool)
    gains = np.array([1.0, 3.0])[None, :, None, None, None]
    depths = 1.0 / (gains * inverse_depths + 0.2)
    assert _torch_loss(depths, inverse_depths, valid, has_depth, False).item() > 0.1


def test_trimming_shrinks_the_pull_of_outliers():
    inverse_depths = np.linspace(0.0, 1.0, 64).reshape(1, 1, 1, 8, 8)
    depths = 1.0 / (inverse_depths + 0.2)
    depths[..., 0, 0] = 0.05  # far-away corner rendered right in front of the camera
    valid, has_depth = np.ones(depths.shape, bool), np.ones(1, bool)
    full = _torch_loss(depths, inverse_depths, valid, has_depth, False)
    assert _torch_loss(depths, inverse_depths, valid, has_depth, True) < 0.7 * full


@pytest.mark.parametrize("empty", ["no sample", "no pixel", "constant target", "nothing rendered"])
def test_degenerate_batches_give_finite_values_and_gradients(empty):
    depths, inverse_depths, valid, has_depth = _case(6)
    if empty == "no sample":
        has_depth = np.zeros(3, bool)
    elif empty == "no pixel":
        valid = np.zeros_like(valid)
    elif empty == "constant target":
        inverse_depths = np.zeros_like(inverse_depths)
    else:
        depths, valid = np.zeros_like(depths), np.zeros_like(valid)
    variable = torch.tensor(depths, dtype=torch.float32, requires_grad=True)
    loss = _torch_loss(variable, inverse_depths.astype(np.float32), valid, has_depth, True)
    loss.backward()
    assert variable.grad is not None
    assert torch.isfinite(variable.grad).all()
    assert torch.isfinite(loss)
    if empty != "constant target":
        assert loss.item() == 0.0
        assert not variable.grad.any()


@pytest.mark.gpu
@pytest.mark.parametrize("trimmed", [False, True])
def test_a_gpu_computes_the_same(trimmed):
    torch.manual_seed(0)
    depths, inverse = torch.rand(3, 2, 1, 17, 23) + 0.5, torch.rand(3, 2, 1, 17, 23)
    valid = torch.rand(3, 2, 1, 17, 23) < 0.7
    valid[1] = False
    has_depth = torch.tensor([True, True, False])
    values, gradients = [], []
    for device in ("cpu", "cuda"):
        leaf = depths.to(device, copy=True).requires_grad_()
        others = (value.to(device) for value in (inverse, valid, has_depth))
        values.append(depth_loss(leaf, *others, trimmed=trimmed))
        values[-1].backward()
        gradients.append(leaf.grad.cpu())
    torch.testing.assert_close(values[1].cpu(), values[0])
    torch.testing.assert_close(gradients[1], gradients[0])
