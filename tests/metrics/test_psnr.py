import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

from core.metrics import psnr


def test_equals_scikit_image_for_each_image():
    torch.manual_seed(0)
    images = torch.rand(3, 3, 20, 30)
    targets = (
        images + torch.tensor([0.01, 0.1, 0.3])[:, None, None, None] * torch.rand(3, 3, 20, 30)
    ).clamp(0, 1)
    for value, image, target in zip(psnr(images, targets), images, targets, strict=True):
        expected = peak_signal_noise_ratio(target.numpy(), image.numpy(), data_range=1.0)
        assert value.item() == pytest.approx(expected, abs=1e-4)


def test_a_constant_error_of_a_tenth_is_20_db():
    assert psnr(
        torch.full((1, 3, 4, 4), 0.6), torch.full((1, 3, 4, 4), 0.5)
    ).item() == pytest.approx(20, abs=1e-4)


def test_equal_images_give_100_db():
    images = torch.rand(2, 3, 8, 8)
    assert psnr(images, images).tolist() == [100.0, 100.0]


def test_different_shapes_are_refused():
    with pytest.raises(ValueError, match="expected the same"):
        psnr(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 9))
