from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from core.depth import DepthAnythingConfig, DepthAnythingV2
from core.depth.depth_anything import network_size
from core.depth.weights import load_weights

# Float32 against float64; measured at most 2e-6.
_RELATIVE = 2e-5


def _images(batch=2, size=(45, 61), seed=0):
    return torch.rand(batch, 3, *size, generator=torch.Generator().manual_seed(seed))


def _relative_error(got, expected):
    return ((got.double() - expected).abs().max() / expected.abs().max()).item()


@pytest.mark.parametrize("swiglu", [False, True])
@pytest.mark.parametrize("patches", [(3, 5), (5, 3), (4, 4), (7, 7), (3, 3)])
def test_the_network_equals_an_independent_one(twin, swiglu, patches):
    # On a position grid of 4, so that both resampling and the grid itself are met.
    config = DepthAnythingConfig(
        24, 5, 3, (0, 2, 3, 4), (4, 6, 8, 10), 8, swiglu=swiglu, position_grid=4
    )
    shapes = twin.published_shapes(24, 5, config.tap_channels, 8, swiglu=swiglu, grid=4)
    tensors = twin.random_weights(shapes)
    network = load_weights(config, tensors, "test")
    pixels = twin.standardize(_images(2, (14 * patches[0], 14 * patches[1])))
    expected = twin.forward(tensors, pixels, blocks=5, heads=3, taps=config.taps, grid=4)
    depth = network(pixels)
    assert depth.shape == (2, 1, 14 * patches[0], 14 * patches[1])
    assert expected.std() > 0.05 * expected.mean() > 0
    assert _relative_error(depth, expected) < _RELATIVE


def test_the_choice_of_taps_matters(twin, tiny, tiny_tensors):
    pixels = twin.standardize(_images(1, (42, 42)))
    depth = load_weights(tiny, tiny_tensors, "test")(pixels)
    other = load_weights(replace(tiny, taps=(0, 1, 3, 4)), tiny_tensors, "test")(pixels)
    assert _relative_error(other, depth.double()) > 1e-3


@pytest.mark.slow
def test_infer_is_resample_standardise_run_and_resample_back(twin, tiny, tiny_tensors):
    images = _images(1, (45, 61))
    resized = cv2.resize(
        images[0].permute(1, 2, 0).numpy(), (700, 518), interpolation=cv2.INTER_CUBIC
    )
    pixels = twin.standardize(torch.from_numpy(resized).permute(2, 0, 1)[None].double())
    depth = twin.forward(tiny_tensors, pixels, blocks=5, heads=3, taps=tiny.taps)
    expected = twin.bilinear(depth, (45, 61))
    got = load_weights(tiny, tiny_tensors, "test").infer(images)
    assert got.shape == (1, 1, 45, 61)
    assert got.min() >= 0
    assert not got.requires_grad
    assert _relative_error(got, expected) < 1e-4


@pytest.mark.slow
def test_images_of_a_batch_do_not_see_each_other(tiny, tiny_tensors):
    network = load_weights(tiny, tiny_tensors, "test")
    images = _images(3, (40, 40))
    together = network.infer(images)
    for image, depth in zip(images, together, strict=True):
        torch.testing.assert_close(network.infer(image[None])[0], depth, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(100, 150), (600, 900), (518, 518), (37, 700)])
def test_the_cubic_resampling_is_opencvs(tiny, twin, size):
    image = _images(1, size)
    h, w = network_size(*size)
    resized = cv2.resize(image[0].permute(1, 2, 0).numpy(), (w, h), interpolation=cv2.INTER_CUBIC)
    expected = twin.standardize(torch.from_numpy(resized).permute(2, 0, 1)[None])
    # Steep noise enlarged up to 14 times; OpenCV rounds the kernel's positions to float32.
    prepared = DepthAnythingV2(tiny).prepare(image)
    np.testing.assert_allclose(prepared.numpy(), expected.numpy(), atol=2e-3)
    assert (prepared - expected).abs().mean() < 1e-4


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((288, 512), (518, 924)),
        ((480, 854), (518, 924)),
        ((512, 288), (924, 518)),
        ((2160, 3840), (518, 924)),
        ((300, 300), (518, 518)),
        ((518, 530), (518, 532)),
        ((500, 501), (518, 518)),
    ],
)
def test_the_shorter_side_becomes_518_and_sides_multiples_of_14(size, expected):
    assert network_size(*size) == expected


@pytest.mark.parametrize("size", [(8, 8), (1, 1), (5, 9)])
def test_small_images_are_no_problem(tiny, tiny_tensors, size):
    depth = load_weights(tiny, tiny_tensors, "test").infer(_images(1, size))
    assert depth.shape == (1, 1, *size)
    assert depth.isfinite().all()


@pytest.mark.parametrize(
    "images",
    [torch.zeros(3, 8, 8), torch.zeros(1, 4, 8, 8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)],
)
def test_infer_says_what_it_expects(tiny, tiny_tensors, images):
    with pytest.raises(ValueError, match=r"\(b, 3, h, w\)"):
        load_weights(tiny, tiny_tensors, "test").infer(images)


def test_autocast_is_for_cuda(tiny, tiny_tensors):
    with pytest.raises(ValueError, match="CUDA"):
        load_weights(tiny, tiny_tensors, "test").infer(_images(), autocast=True)


@pytest.mark.gpu
def test_autocast_changes_little(tiny, tiny_tensors):
    network = load_weights(tiny, tiny_tensors, "test").cuda()
    images = _images().cuda()
    exact, fast = network.infer(images), network.infer(images, autocast=True)
    assert fast.dtype == torch.float32
    assert _relative_error(fast, exact.double()) < 2e-2


def test_configurations_that_cannot_be_are_refused(tiny):
    with pytest.raises(ValueError, match="num_heads"):
        replace(tiny, num_heads=5)
    with pytest.raises(ValueError, match="beyond"):
        replace(tiny, taps=(0, 1, 2, 5))
    with pytest.raises(ValueError, match="increase"):
        replace(tiny, taps=(0, 2, 1, 3))
