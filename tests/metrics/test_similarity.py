import cv2
import numpy as np
import pytest
import torch

from core.metrics import compare, masked_psnr, psnr, ssim


def test_without_a_size_images_are_compared_as_they_are():
    images, targets = torch.rand(2, 2, 3, 20, 30)
    values = compare(images, targets)
    assert torch.equal(values.psnr, psnr(images, targets))
    assert torch.equal(values.ssim, ssim(images, targets))


def test_images_are_shrunk_by_area_averages():
    images, targets = torch.rand(2, 1, 3, 36, 60)
    small = [
        torch.from_numpy(
            cv2.resize(image[0].permute(1, 2, 0).numpy(), (25, 16), interpolation=cv2.INTER_AREA)
        ).permute(2, 0, 1)[None]
        for image in (images, targets)
    ]
    values = compare(images, targets, (16, 25))
    assert values.psnr.item() == pytest.approx(psnr(*small).item(), abs=1e-4)
    assert values.ssim.item() == pytest.approx(ssim(*small).item(), abs=1e-5)


def test_masked_psnr_counts_some_pixels_only():
    images, targets = torch.rand(2, 3, 3, 8, 10)
    masks = torch.zeros(3, 8, 10, dtype=torch.bool)
    masks[0, 2:4, 5:] = True
    masks[1] = True
    values = masked_psnr(images, targets, masks)
    error = (images - targets)[0, :, 2:4, 5:].square().mean().item()
    assert values[0].item() == pytest.approx(-10 * np.log10(error), abs=1e-4)
    assert values[1].item() == pytest.approx(psnr(images, targets)[1].item(), abs=1e-4)
    assert values[2].isnan()
