"""LPIPS with a backbone of random weights: the package's own network, fed from a file."""

from copy import deepcopy

import pytest
import torch
import torchvision

from core.checks import UserError
from core.metrics.lpips import Lpips, load_lpips

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    return torchvision.models.vgg16(weights=None).features.state_dict(prefix="features.")


@pytest.fixture(scope="module")
def network(backbone):
    return Lpips(backbone, "here")


def _twin(backbone, calibration, one, two):
    """LPIPS from the paper's equation 1, on torchvision's network."""
    vgg = torchvision.models.vgg16(weights=None).features.eval().to(one)
    vgg.load_state_dict({key.removeprefix("features."): value for key, value in backbone.items()})
    # Constants of float32, as the package keeps them.
    shift = torch.tensor((-0.030, -0.088, -0.188)).to(one)[:, None, None]
    scale = torch.tensor((0.458, 0.448, 0.450)).to(one)[:, None, None]
    x, y = (((2 * image - 1) - shift) / scale for image in (one, two))
    total = one.new_zeros(len(one))
    for index, layer in enumerate(vgg):
        x, y = layer(x), layer(y)
        if index in calibration:
            units = (v / (v.square().sum(1, keepdim=True).sqrt() + 1e-10) for v in (x, y))
            difference = (next(units) - next(units)).square()
            weights = calibration[index].to(one).view(-1, 1, 1)
            total = total + (difference * weights).sum(1).mean((1, 2))
        if index == max(calibration):
            return total
    raise AssertionError


def test_value_and_gradient_are_those_of_the_equation(network, backbone):
    network = deepcopy(network).double()
    taps = (3, 8, 15, 22, 29)
    lines = (network.network.lin0, network.network.lin1, network.network.lin2)
    lines = (*lines, network.network.lin3, network.network.lin4)
    calibration = {
        tap: line.model[1].weight.flatten() for tap, line in zip(taps, lines, strict=True)
    }
    assert all((weights >= 0).all() for weights in calibration.values())
    torch.manual_seed(1)
    one, two = torch.rand(2, 2, 3, 32, 48, dtype=torch.float64)
    leaf, twin_leaf = one.clone().requires_grad_(), one.clone().requires_grad_()
    value, expected = network(leaf, two), _twin(backbone, calibration, twin_leaf, two)
    assert (value > 0).all()
    torch.testing.assert_close(value, expected, rtol=1e-7, atol=0)
    weights = torch.tensor([1.0, -3.0], dtype=torch.float64)
    (value @ weights).backward()
    (expected @ weights).backward()
    torch.testing.assert_close(leaf.grad, twin_leaf.grad, rtol=1e-7, atol=1e-14)


def test_equal_images_are_at_distance_0_and_nothing_is_trained(network):
    network.train()
    assert not network.network.training
    assert not [p for p in network.parameters() if p.requires_grad]
    image = torch.rand(1, 3, 32, 32)
    assert network(image, image).item() == 0


def test_pixels_without_any_feature_have_a_gradient(backbone):
    dead = {**backbone, "features.0.weight": torch.zeros(64, 3, 3, 3)}
    dead["features.0.bias"] = torch.full((64,), -1.0)
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    distance = Lpips(dead, "here")(image, torch.rand(1, 3, 32, 32))
    distance.sum().backward()
    assert distance.item() == 0
    assert (image.grad == 0).all()


def test_a_file_with_or_without_the_classifier_is_read(backbone, tmp_path):
    torch.save({**backbone, "classifier.0.bias": torch.zeros(3)}, tmp_path / "vgg16.pth")
    network = load_lpips(tmp_path / "vgg16.pth")
    kernel = network.network.net.state_dict()["slice5.28.weight"]
    assert torch.equal(kernel, backbone["features.28.weight"])


def test_what_is_not_vgg16_is_refused(backbone, tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.pth: no such file; download https"):
        load_lpips(tmp_path / "nowhere.pth")
    few = {key: value for key, value in backbone.items() if "28" not in key}
    with pytest.raises(UserError, match=r"here .* 2 missing: features\.28.*torchvision's VGG16"):
        Lpips(few, "here")


def test_wrong_shapes_are_named(network):
    with pytest.raises(ValueError, match="expected the same"):
        network(torch.rand(1, 3, 32, 32), torch.rand(2, 3, 32, 32))
    with pytest.raises(ValueError, match="at least 16 by 16"):
        network(torch.rand(1, 3, 8, 32), torch.rand(1, 3, 8, 32))
