import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from core.metrics import ssim
from core.recording import Recorded


def _reference(image, target):
    return structural_similarity(
        image.permute(1, 2, 0).double().numpy(),
        target.permute(1, 2, 0).double().numpy(),
        win_size=11,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1.0,
        channel_axis=2,
    )


def _smooth(size, seed):
    rng = np.random.default_rng(seed)
    coarse = torch.tensor(rng.uniform(size=(1, 3, 4, 5)), dtype=torch.float32)
    return torch.nn.functional.interpolate(coarse, size=size, mode="bicubic").clamp(0, 1)


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.2])
@pytest.mark.parametrize("size", [(11, 11), (48, 61)])
def test_equals_scikit_image(noise, size):
    images = torch.cat([_smooth(size, 0), _smooth(size, 1)])
    torch.manual_seed(0)
    targets = (images + noise * torch.randn_like(images)).clamp(0, 1)
    expected = [_reference(image, target) for image, target in zip(images, targets, strict=True)]
    # float32 variances, E[x^2] - E[x]^2, against float64: about 3e-8 / C2.
    np.testing.assert_allclose(ssim(images, targets).numpy(), expected, atol=4e-5)
    in_double = ssim(images.double(), targets.double())
    np.testing.assert_allclose(in_double.numpy(), expected, atol=1e-9)


def test_equal_images_give_one_and_blur_costs():
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(ssim(images, images), torch.ones(2))
    assert (ssim(torch.nn.functional.avg_pool2d(images, 3, 1, 1), images) < 0.8).all()


def test_images_smaller_than_the_window_are_refused():
    with pytest.raises(ValueError, match="at least 11"):
        ssim(torch.rand(1, 3, 10, 40), torch.rand(1, 3, 10, 40))


_IN_THE_INTERPRETER = """
import torch
from core.metrics import ssim
from core.metrics.ssim import _C1, _C2, _ORIGIN, _taps
from core.metrics.ssim_kernel import ssim_in_kernels

images = torch.rand(2, 3, 21, 41)
targets = (images + 0.1 * torch.randn_like(images)).clamp(0, 1)
found = ssim_in_kernels(images, targets, _taps(), origin=_ORIGIN, c1=_C1, c2=_C2)
expected = ssim(images.double(), targets.double())
torch.testing.assert_close(found.double(), expected, atol=1e-5, rtol=0)
"""


@pytest.mark.slow
def test_the_kernels_compute_the_same():
    pytest.importorskip("triton")
    # Triton decides at its import whether kernels are interpreted.
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    command = [sys.executable, "-c", _IN_THE_INTERPRETER]
    subprocess.run(command, check=True, env=environment, cwd=Path(__file__).parents[2])


@pytest.fixture(params=["kernels", "plain"])
def on_gpu(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    least = 0 if request.param == "kernels" else 1e9
    monkeypatch.setattr(import_module("core.metrics.ssim"), "_WORTH_KERNELS", least)


@pytest.mark.gpu
@pytest.mark.usefixtures("on_gpu")
@pytest.mark.parametrize("size", [(11, 11), (48, 61), (288, 512)])
def test_a_gpu_computes_the_same(size):
    images = torch.cat([_smooth(size, 0), _smooth(size, 1)])
    targets = (images + 0.05 * torch.randn_like(images)).clamp(0, 1)
    expected = ssim(images.double(), targets.double())
    found = ssim(images.cuda(), targets.cuda())
    np.testing.assert_allclose(found.cpu().numpy(), expected.numpy(), atol=4e-5)


@pytest.mark.gpu
@pytest.mark.usefixtures("on_gpu")
def test_a_recorded_comparison_is_that_of_the_images_it_gets():
    recorded = Recorded(ssim, plain_calls=1)
    for seed in range(4):
        images = _smooth((48, 61), seed)
        targets = (images + 0.05 * torch.randn_like(images)).clamp(0, 1)
        found = recorded(images.cuda(), targets.cuda())
        torch.ones(11).pin_memory().mul_(seed)  # host memory that is used again
        expected = ssim(images.double(), targets.double())
        np.testing.assert_allclose(found.cpu().numpy(), expected.numpy(), atol=4e-5)
