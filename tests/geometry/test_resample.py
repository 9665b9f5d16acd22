from __future__ import annotations

import cv2
import numpy as np
import torch

from core.geometry.resample import resize


def test_shrinking_averages_exact_areas() -> None:
    image = torch.rand(1, 3, 31, 47, generator=torch.Generator().manual_seed(0))
    expected = cv2.resize(image[0].permute(1, 2, 0).numpy(), (20, 12), interpolation=cv2.INTER_AREA)
    shrunk = resize(image, (12, 20))[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(shrunk, expected, atol=1e-5)


def test_growing_one_axis_while_shrinking_the_other_keeps_a_gradient() -> None:
    ramp = torch.linspace(0, 1, 64).expand(1, 1, 8, 64)
    resized = resize(ramp, (32, 16))
    assert resized.shape == (1, 1, 32, 16)
    expected = torch.linspace(0, 1, 64).reshape(16, 4).mean(dim=1)
    torch.testing.assert_close(resized, expected.expand(1, 1, 32, 16))


def test_growing_does_not_overshoot() -> None:
    step = torch.zeros(1, 1, 4, 8)
    step[..., 4:] = 1
    grown = resize(step, (16, 32))
    assert grown.min() == 0
    assert grown.max() == 1


def test_the_same_size_changes_nothing() -> None:
    image = torch.rand(1, 3, 5, 7)
    assert torch.equal(resize(image, (5, 7)), image)
