"""What happens at the edges of the formulas, for every backend that runs on the CPU."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diff_gaussian_rasterization_orth import Rasterization, rasterize
from torch import Tensor

pytestmark = pytest.mark.parametrize("backend", ["reference", "cpu"])

RED, GREEN = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0)
NEAR_DEPTH = 1 / (10 + 1e-6)


def place(u: float, v: float, d: float, image_size: tuple[int, int]) -> tuple[float, float, float]:
    """Return the position of a Gaussian in the middle of pixel (u, v)."""
    height, width = image_size
    return (2 * u + 1) / width - 1, d, 1 - (2 * v + 1) / height


def test_no_gaussians_leave_the_background(
    still_scene: Callable[..., Any], differentiate: Callable[..., Any], backend: str
) -> None:
    scene = still_scene([])
    scene["backgrounds"] = torch.tensor([0.1, 0.2, 0.3])
    images, gradients = differentiate(scene, backend=backend)
    assert torch.equal(
        images.rgb, scene["backgrounds"][None, None, :, None, None].expand(1, 1, 3, 8, 8)
    )
    assert images.depth.count_nonzero() == images.alpha.count_nonzero() == 0
    assert gradients["means"].shape == (1, 0, 3)


@pytest.mark.parametrize(("b", "t"), [(0, 2), (2, 0)])
def test_no_scenes_and_no_times(
    random_scene: Callable[..., Any], backend: str, b: int, t: int
) -> None:
    scene = random_scene(5, b=b, t=t, dtype=torch.float32)
    assert rasterize(**scene, backend=backend).rgb.shape == (b, t, 3, 9, 13)


def test_everything_culled_gets_no_gradient(
    still_scene: Callable[..., Any], differentiate: Callable[..., Any], backend: str
) -> None:
    outside = [(5.0, 0.5, 0.0), (0.0, 0.5, -5.0), (0.0, 1.01, 0.0), (0.0, -0.01, 0.0)]
    images, gradients = differentiate(still_scene(outside), backend=backend)
    assert images.alpha.count_nonzero() == 0
    for name, gradient in gradients.items():
        assert name == "backgrounds" or gradient.count_nonzero() == 0, name


def test_the_pole_of_the_depth_map_makes_no_nan(
    still_scene: Callable[..., Any], differentiate: Callable[..., Any], backend: str
) -> None:
    pole = -(0.2 + 1e-6) / 9.8
    scene = still_scene([(0.0, pole, 0.0), (0.1, 0.5, 0.1)], dtype=torch.float32)
    _, gradients = differentiate(scene, backend=backend)
    assert all(gradient.isfinite().all() for gradient in gradients.values())
    assert gradients["means"][0, 0].count_nonzero() == 0
    assert gradients["means"][0, 1].count_nonzero() == 3


def test_a_gaussian_that_leaves_the_depth_range_is_not_drawn_there(
    still_scene: Callable[..., Any], backend: str
) -> None:
    scene = still_scene([(0.0, 0.9, 0.0)])
    scene["motion"] = torch.tensor([[[[0.0, 0.2, 0.0]]]])
    scene["times"] = torch.tensor([[0.0, 0.4, 1.0]])
    means = scene["means"].requires_grad_()
    images = rasterize(**scene, backend=backend)
    seen = images.alpha.amax((0, 2, 3, 4))
    assert seen[0] > 0.2
    assert seen[1] > 0.2
    assert seen[2] == 0
    (gradient,) = torch.autograd.grad(images.depth[:, 2].sum(), means)
    assert gradient.count_nonzero() == 0


@pytest.mark.parametrize("d", [0.0, 1.0])
def test_the_ends_of_the_depth_range_are_inside(
    still_scene: Callable[..., Any], backend: str, d: float
) -> None:
    images = rasterize(**still_scene([(0.0, d, 0.0)]), backend=backend)
    depth = images.depth.max() / images.alpha.max()
    assert depth == pytest.approx(1 / (9.8 * d + 0.2 + 1e-6), rel=1e-5)


@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_motion_of_any_degree(still_scene: Callable[..., Any], backend: str, k: int) -> None:
    size = (8, 16)
    scene = still_scene([place(3, 4, 0.5, size)], image_size=size, opacities=0.9, scale=0.05)
    coefficients = torch.tensor([1.0, -2.0, 3.0])[:k]  # at time 2: 2, -8, 24
    scene["motion"] = coefficients[None, None, :, None] * torch.tensor([2 / 16, 0.0, 0.0])
    scene["times"] = torch.tensor([[0.5]])
    scene["anchor_times"] = torch.full((1, 1), -1.5)
    moved = sum((2, -8, 24)[:k])
    alpha = rasterize(**scene, backend=backend).alpha[0, 0, 0]
    if 0 <= 3 + moved < 16:
        assert divmod(int(alpha.argmax()), 16) == (4, 3 + moved)
    else:
        assert alpha.max() == 0


def test_ties_of_depth_are_blended_by_index(still_scene: Callable[..., Any], backend: str) -> None:
    both = [(0.0, 0.5, 0.0)] * 2
    first_red = rasterize(
        **still_scene(both, colors=[RED, GREEN], opacities=0.9), backend=backend
    ).rgb[0, 0, :, 4, 4]
    first_green = rasterize(
        **still_scene(both, colors=[GREEN, RED], opacities=0.9), backend=backend
    ).rgb[0, 0, :, 4, 4]
    assert first_red[0] > 2 * first_red[1]
    assert torch.equal(first_red, first_green[[1, 0, 2]])


def test_near_hides_far_whatever_the_index(still_scene: Callable[..., Any], backend: str) -> None:
    scene = still_scene([(0.0, 0.3, 0.0), (0.0, 0.7, 0.0)], colors=[RED, GREEN], opacities=0.9)
    rgb = rasterize(**scene, backend=backend).rgb[0, 0, :, 4, 4]
    assert rgb[1] > 2 * rgb[0]


def test_alpha_is_clamped_and_then_has_no_gradient(
    still_scene: Callable[..., Any], differentiate: Callable[..., Any], backend: str
) -> None:
    scene = still_scene([(0.0, 1.0, 0.0)], opacities=1.0, image_size=(1, 1), scale=3.0)
    images, gradients = differentiate(scene, backend=backend)
    assert images.alpha.item() == pytest.approx(0.99, rel=1e-6)
    assert images.depth.item() == pytest.approx(0.99 * NEAR_DEPTH, rel=1e-5)
    for name in ("opacities", "scales", "quats"):
        assert gradients[name].count_nonzero() == 0, name
    assert gradients["means"][0, 0, [0, 2]].count_nonzero() == 0
    assert gradients["means"][0, 0, 1] != 0  # through the depth image
    assert gradients["colors"].count_nonzero() == 3


def test_opacity_zero_draws_nothing(still_scene: Callable[..., Any], backend: str) -> None:
    images = rasterize(**still_scene([(0.0, 0.5, 0.0)], opacities=0.0), backend=backend)
    assert images.alpha.count_nonzero() == 0


def test_what_is_fainter_than_1_in_255_is_skipped(
    still_scene: Callable[..., Any], backend: str
) -> None:
    size = (1, 1)
    for opacity, drawn in ((1.02 / 255, True), (0.98 / 255, False)):
        scene = still_scene([place(0, 0, 0.5, size)], opacities=opacity, image_size=size)
        assert bool(rasterize(**scene, backend=backend).alpha.item() > 0) == drawn
    size = (33, 33)
    alpha = rasterize(
        **still_scene([place(16, 16, 0.5, size)], opacities=0.3, image_size=size), backend=backend
    ).alpha
    assert alpha.max() == pytest.approx(0.3, rel=1e-5)
    assert alpha[alpha > 0].min() >= 1 / 255
    assert (alpha == 0).sum() > 33 * 33 / 2


def test_extent_is_a_square_of_three_deviations(
    still_scene: Callable[..., Any], backend: str
) -> None:
    size = (33, 33)
    sigma = 3.1 / 3.02  # pixels; a pixel 3 away is inside, one 4 away outside
    scale = math.sqrt(sigma**2 - 0.3) * 2 / 33
    scene = still_scene([place(16, 16, 0.5, size)], opacities=1.0, scale=scale, image_size=size)
    alpha = rasterize(**scene, backend=backend).alpha[0, 0, 0]
    assert alpha[16, 19] > 0.01
    sigma = 2.9 / 3.0  # now 3 away is 3.1 deviations: alpha would be 0.008, and is left out
    scene["scales"] = torch.full((1, 1, 3), math.sqrt(sigma**2 - 0.3) * 2 / 33)
    alpha = rasterize(**scene, backend=backend).alpha[0, 0, 0]
    assert alpha[16, 19] == alpha[19, 16] == 0
    sigma = 2 / 2.3  # (2, 2) is 3.25 deviations away, but inside the square
    scene["scales"] = torch.full((1, 1, 3), math.sqrt(sigma**2 - 0.3) * 2 / 33)
    alpha = rasterize(**scene, backend=backend).alpha[0, 0, 0]
    assert alpha[18, 18].item() == pytest.approx(math.exp(-(2.3**2)), rel=1e-3)


def test_blending_stops_for_good(still_scene: Callable[..., Any], backend: str) -> None:
    size = (1, 1)
    # Transmittance 0.2, 0.04, ..., 0.00032; the sixth would leave 6.4e-5. The seventh would leave
    # 3.2e-4, but blending has stopped.
    opacities = [0.8] * 6 + [0.01]
    centers = [(0.0, 0.9 - 0.1 * i, 0.0) for i in range(7)]
    scene = still_scene(centers, opacities=opacities, image_size=size, scale=5.0)
    colors = scene["colors"].requires_grad_()
    images = rasterize(**scene, backend=backend)
    (gradient,) = torch.autograd.grad(images.rgb.sum(), colors)
    assert images.alpha.item() == pytest.approx(1 - 0.2**5, rel=1e-6)
    assert gradient[0, :5].count_nonzero() == 15
    assert gradient[0, 5:].count_nonzero() == 0


def test_a_gaussian_larger_than_the_image(still_scene: Callable[..., Any], backend: str) -> None:
    scene = still_scene([(0.3, 0.5, -0.2)], scale=50.0, opacities=0.7, image_size=(21, 35))
    alpha = rasterize(**scene, backend=backend).alpha
    torch.testing.assert_close(alpha, torch.full_like(alpha, 0.7), rtol=1e-3, atol=0)


@pytest.mark.parametrize("scales", [(1e-12, 0.5, 1e-12), (0.0, 0.0, 0.0), (3.0, 1e-9, 1e-9)])
def test_an_almost_singular_covariance(
    still_scene: Callable[..., Any],
    differentiate: Callable[..., Any],
    assert_images_agree: Callable[..., None],
    backend: str,
    scales: tuple[float, float, float],
) -> None:
    size = (65, 65)
    scene = still_scene([place(32, 32, 0.5, size)], opacities=0.8, image_size=size)
    scene["scales"] = torch.tensor([[scales]])
    half = math.radians(30) / 2
    scene["quats"] = torch.tensor([[[math.cos(half), 0.0, math.sin(half), 0.0]]])
    images, gradients = differentiate(scene, backend=backend)
    double = {k: v.double() if isinstance(v, Tensor) else v for k, v in scene.items()}
    expected, expected_gradients = differentiate(double, backend="reference")
    # A needle of 100 pixels by 0.5: its inverse covariance loses a few digits more in float32.
    assert_images_agree(images, expected, atol=1e-3)
    for name, gradient in gradients.items():
        assert gradient.isfinite().all(), name
        error = (gradient - expected_gradients[name]).norm()
        assert error <= 2e-3 * expected_gradients[name].norm() + 1e-6, name


@pytest.mark.parametrize("scale", [1e15, 1e30])
def test_what_float32_cannot_hold_is_not_drawn(
    still_scene: Callable[..., Any],
    differentiate: Callable[..., Any],
    backend: str,
    scale: float,
) -> None:
    if backend == "reference":
        pytest.skip("the reference differentiates through the overflow")
    scene = still_scene([(0.0, 0.5, 0.0), (0.1, 0.4, 0.1)])
    scene["scales"][0, 0] = scale
    images, gradients = differentiate(scene, backend=backend)
    assert images.alpha.max() < 0.6
    for name, gradient in gradients.items():
        assert gradient.isfinite().all(), name


def test_steep_windows_neither_overflow_nor_vanish(
    still_scene: Callable[..., Any], differentiate: Callable[..., Any], backend: str
) -> None:
    size = (9, 9)
    scene = still_scene([place(4, 4, 0.5, size)] * 2, opacities=0.6, image_size=size)
    scene["opacity_slopes"] = torch.full((1, 2), 1e4)
    scene["opacity_half_lives"] = torch.tensor([[0.2, 0.9]])
    scene["times"] = torch.tensor([[0.5]])
    images, gradients = differentiate(scene, backend=backend)
    assert images.alpha.max().item() == pytest.approx(0.6, rel=1e-5)  # one of the two is left
    assert all(gradient.isfinite().all() for gradient in gradients.values())


@pytest.mark.parametrize("image_size", [(1, 1), (1, 40), (40, 1), (17, 9), (16, 8), (33, 65)])
def test_any_image_size(
    random_scene: Callable[..., Any],
    assert_images_agree: Callable[..., None],
    backend: str,
    image_size: tuple[int, int],
) -> None:
    scene = random_scene(80, t=2, image_size=image_size, dtype=torch.float32)
    double = {k: v.double() if isinstance(v, Tensor) else v for k, v in scene.items()}
    images = rasterize(**scene, backend=backend)
    assert_images_agree(images, rasterize(**double, backend="reference"), atol=2e-5)


def test_a_batch_is_its_images_one_by_one(
    random_scene: Callable[..., Any], assert_images_agree: Callable[..., None], backend: str
) -> None:
    scene = random_scene(50, b=3, t=4, k=2, dtype=torch.float32)
    images = rasterize(**scene, backend=backend)
    for b in range(3):
        for t in range(4):
            one = {k: v[b : b + 1] if isinstance(v, Tensor) else v for k, v in scene.items()}
            one["times"] = one["times"][:, t : t + 1]
            one["backgrounds"] = one["backgrounds"][:, t]
            image = Rasterization(*(whole[b : b + 1, t : t + 1] for whole in images))
            assert_images_agree(image, rasterize(**one, backend=backend), atol=1e-6)


def test_strides_do_not_matter(
    random_scene: Callable[..., Any], assert_images_agree: Callable[..., None], backend: str
) -> None:
    scene = random_scene(40, b=2, t=3, k=2, dtype=torch.float32)
    strided = {
        name: value.mT.contiguous().mT if isinstance(value, Tensor) else value
        for name, value in scene.items()
    }
    assert not any(v.is_contiguous() for v in strided.values() if isinstance(v, Tensor))
    images = rasterize(**scene, backend=backend)
    assert_images_agree(rasterize(**strided, backend=backend), images, atol=1e-6)
    strided["means"].requires_grad_()
    rasterize(**strided, backend=backend).rgb.mT.sum().backward()
    assert strided["means"].grad.isfinite().all()


def test_backgrounds_of_every_shape(random_scene: Callable[..., Any], backend: str) -> None:
    scene = random_scene(20, b=2, t=3, dtype=torch.float32)
    color = torch.tensor([0.2, 0.4, 0.6])
    renders = [
        rasterize(**{**scene, "backgrounds": color.expand(shape)}, backend=backend).rgb
        for shape in ((3,), (2, 3), (2, 3, 3))
    ]
    assert torch.equal(renders[0], renders[1])
    assert torch.equal(renders[0], renders[2])
