"""The CUDA backend against the float64 reference: images and every gradient."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from diff_gaussian_rasterization_orth import Rasterization, cuda, rasterize
from torch import Tensor

pytestmark = pytest.mark.gpu

# Single precision may decide otherwise whether a contribution is just above 1/255, or just inside
# three deviations: such a pixel is off by at most exp(-4.5) of a colour or depth, which is at most
# 5. All other pixels agree to rounding. Measured on 200 scenes: at most 8e-5 of the pixels differ
# so, by at most 3.5e-3.
IMAGE_ATOL = 2e-5
FLIP_ATOL = 6e-2
MAX_FLIPPED = 1e-3
# Relative, norm of the difference to norm of the gradient. Measured on the same scenes: median
# 1e-6, at most 9.3e-4 where a pixel flips.
GRADIENT_RTOL = 2e-3

Scene = dict[str, Tensor]


@pytest.fixture(autouse=True)
def _available() -> None:
    if reason := cuda.unavailable_reason():
        pytest.skip(reason)


def random_scene(
    seed: int,
    *,
    b: int = 2,
    n: int = 300,
    t: int = 3,
    k: int = 1,
    max_scale: float = 0.15,
    rotated: bool = False,
) -> Scene:
    """Draw a scene; its Gaussians lie along the axes or are ``rotated``."""
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return low + (high - low) * torch.rand(*shape, generator=generator)

    quats = torch.tensor([1.0, 0.0, 0.0, 0.0]).expand(b, n, 4).clone()
    if rotated:
        quats = torch.nn.functional.normalize(torch.randn(b, n, 4, generator=generator), dim=-1)
    return {
        "means": torch.stack(
            [
                uniform(b, n, low=-1.2, high=1.2),
                uniform(b, n, low=-0.05, high=1.05),
                uniform(b, n, low=-1.2, high=1.2),
            ],
            dim=-1,
        ),
        "motion": uniform(b, n, k, 3, low=-0.15, high=0.15),
        "scales": uniform(b, n, 3, low=0.003, high=max_scale),
        "quats": quats,
        "colors": uniform(b, n, 3),
        "opacities": uniform(b, n),
        "opacity_slopes": uniform(b, n, high=6.0),
        "opacity_half_lives": uniform(b, n, low=0.1, high=0.9),
        "anchor_times": (uniform(b, n) > 0.5).float(),
        "times": uniform(b, t),
        "backgrounds": uniform(b, t, 3),
    }


def render(
    scene: Scene, size: tuple[int, int], backend: str, dtype: torch.dtype, device: str = "cuda"
) -> tuple[Rasterization, Scene]:
    """Return images and the gradients of a loss with random weights."""
    inputs = {
        name: value.to(device, dtype, copy=True).requires_grad_() for name, value in scene.items()
    }
    images = rasterize(**inputs, image_size=size, backend=backend)
    generator = torch.Generator().manual_seed(1)
    loss = sum(
        (image * torch.randn(image.shape, generator=generator).to(image)).sum() for image in images
    )
    assert isinstance(loss, Tensor)
    loss.backward()
    gradients = {name: value.grad for name, value in inputs.items() if value.numel() > 0}
    assert all(gradient is not None for gradient in gradients.values())
    return images, {name: gradient for name, gradient in gradients.items() if gradient is not None}


def relative_error(found: Tensor, expected: Tensor) -> float:
    difference = torch.linalg.vector_norm(found.double().cpu() - expected.double().cpu())
    return float(difference / torch.linalg.vector_norm(expected.double().cpu()).clamp_min(1e-6))


def compare(scene: Scene, size: tuple[int, int]) -> None:
    images, gradients = render(scene, size, "cuda", torch.float32)
    expected_images, expected_gradients = render(scene, size, "reference", torch.float64)
    for name, found, expected in zip(images._fields, images, expected_images, strict=True):
        error = (found.double() - expected).abs() / expected.abs().clamp_min(1)
        flipped = (error > IMAGE_ATOL).double().mean().item()
        assert flipped <= MAX_FLIPPED, f"{name}: {flipped:.2%} of the pixels differ"
        assert error.max() <= FLIP_ATOL, f"{name}: off by {error.max():.2e}"
    for name, found in gradients.items():
        error = relative_error(found, expected_gradients[name])
        assert error <= GRADIENT_RTOL, f"gradient of {name}: relative error {error:.2e}"


@pytest.mark.parametrize("rotated", [False, True])
@pytest.mark.parametrize("k", [0, 1, 2, 3])
def test_random_scenes(k: int, rotated: bool) -> None:
    for seed in range(10):
        compare(random_scene(100 * seed + k, k=k, rotated=rotated), (37, 61))


@pytest.mark.parametrize(
    ("b", "t", "n", "size"),
    [
        (1, 1, 1, (1, 1)),
        (1, 1, 257, (16, 16)),
        (1, 5, 33, (17, 15)),
        (3, 1, 1000, (64, 100)),
        (5, 7, 100, (31, 33)),
        (1, 2, 20000, (96, 128)),
    ],
)
def test_sizes(b: int, t: int, n: int, size: tuple[int, int]) -> None:
    max_scale = 0.15 if n < 5000 else 0.02
    compare(random_scene(n, b=b, t=t, n=n, max_scale=max_scale, rotated=True), size)


def test_more_tiles_than_16_bits_number() -> None:
    images, _ = render(random_scene(0, b=3, t=6, n=50), (1024, 1024), "cuda", torch.float32)
    few, _ = render(
        {name: value[:1] for name, value in random_scene(0, b=3, t=6, n=50).items()},
        (1024, 1024),
        "cuda",
        torch.float32,
    )
    torch.testing.assert_close(images.rgb[:1], few.rgb, rtol=0, atol=0)


def change(name: str, value: object) -> Callable[[Scene], None]:
    def apply(scene: Scene) -> None:
        scene[name] = torch.as_tensor(value).expand_as(scene[name]).clone().float()

    return apply


def over_the_whole_image(scene: Scene) -> None:
    scene["scales"][:, 0] = 10.0
    scene["means"][:, 0] = torch.tensor([0.1, 0.5, -0.1])
    scene["opacities"][:, 0] = 1.0


def needles(scene: Scene) -> None:
    scene["scales"][..., 0] = 1.5
    scene["scales"][..., 2] = 1e-4


DEGENERATE = {
    "all on one pixel": change("means", [0.1, 0.5, 0.1]),
    "all outside the depth range": change("means", [0.0, 1.5, 0.0]),
    "all beside the image": change("means", [5.0, 0.5, 0.0]),
    "all transparent": change("opacities", 0.003),
    "all opaque": change("opacities", 1.0),
    "all in one plane": change("anchor_times", 0.0),
    "windows closed at once": change("opacity_slopes", 1e4),
    "points": change("scales", 0.0),
    "one over the whole image": over_the_whole_image,
    "needles": needles,
}


@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate(case: str) -> None:
    scene = random_scene(7, n=2000, max_scale=0.05, rotated=True)
    DEGENERATE[case](scene)
    if case == "all in one plane":
        scene["means"][..., 1] = 0.5
        scene["motion"][..., 1] = 0.0
    compare(scene, (37, 61))


def test_no_gaussians_show_the_background() -> None:
    scene = random_scene(0, n=0)
    images, gradients = render(scene, (20, 30), "cuda", torch.float32)
    expected = scene["backgrounds"][..., None, None].expand_as(images.rgb)
    torch.testing.assert_close(images.rgb.cpu(), expected)
    assert images.alpha.abs().max() == 0
    assert gradients["backgrounds"].abs().min() > 0


def test_no_times_give_no_images() -> None:
    images, gradients = render(random_scene(0, t=0), (20, 30), "cuda", torch.float32)
    assert images.rgb.shape == (2, 0, 3, 20, 30)
    assert gradients["means"].abs().max() == 0


def test_images_are_the_same_every_time_and_gradients_nearly() -> None:
    scene = random_scene(3, n=5000, max_scale=0.05)
    images, gradients = render(scene, (96, 128), "cuda", torch.float32)
    for _ in range(3):
        again, gradients_again = render(scene, (96, 128), "cuda", torch.float32)
        assert all(torch.equal(a, b) for a, b in zip(images, again, strict=True))
        for name, gradient in gradients.items():
            assert relative_error(gradients_again[name], gradient) < 1e-5, name


def test_runs_on_the_current_stream() -> None:
    scene = random_scene(4)
    expected, expected_gradients = render(scene, (37, 61), "cuda", torch.float32)
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        torch.cuda._sleep(50_000_000)
        images, gradients = render(scene, (37, 61), "cuda", torch.float32)
        torch.cuda.current_stream().synchronize()
    torch.testing.assert_close(images.rgb, expected.rgb, rtol=0, atol=0)
    assert relative_error(gradients["means"], expected_gradients["means"]) < 1e-5


def test_autocast_and_float64_change_nothing() -> None:
    scene = random_scene(5)
    expected, _ = render(scene, (37, 61), "cuda", torch.float32)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        images, gradients = render(scene, (37, 61), "cuda", torch.float32)
    assert images.rgb.dtype == torch.float32
    torch.testing.assert_close(images.rgb, expected.rgb, rtol=0, atol=0)
    double, gradients = render(scene, (37, 61), "cuda", torch.float64)
    assert double.rgb.dtype == gradients["means"].dtype == torch.float64
    torch.testing.assert_close(double.rgb.float(), expected.rgb, rtol=0, atol=0)


def test_last_device() -> None:
    device = f"cuda:{torch.cuda.device_count() - 1}"
    scene = random_scene(6)
    expected, _ = render(scene, (37, 61), "cuda", torch.float32, "cuda:0")
    images, _ = render(scene, (37, 61), "cuda", torch.float32, device)
    torch.testing.assert_close(images.rgb.cpu(), expected.rgb.cpu(), rtol=0, atol=0)


def test_host_tensors_are_refused() -> None:
    with pytest.raises(ValueError, match=r"cuda backend got tensors on cpu.*\.cuda\(\)"):
        rasterize(**random_scene(0), image_size=(8, 8), backend="cuda")
