"""The chain of oracles: a loop over single numbers = the reference = the cpu backend."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from diff_gaussian_rasterization_orth import rasterize
from torch import Tensor

SHAPES = {
    "one": {"n": 1},
    "still": {"n": 30, "k": 0},
    "batch": {"n": 25, "b": 3, "t": 2, "k": 1},
    "quadratic": {"n": 40, "t": 3, "k": 2},
    "cubic": {"n": 30, "t": 2, "k": 3, "size": 0.1, "image_size": (17, 33)},
    "dense": {"n": 150, "k": 1, "size": 0.6},
    "one pixel": {"n": 20, "image_size": (1, 1)},
}


def rotation(quat: np.ndarray) -> np.ndarray:
    w, x, y, z = quat
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def project_one(scene: dict[str, Any], b: int, t: int, i: int) -> dict[str, Any] | None:
    """Return a Gaussian on the screen, or None where it must not be drawn."""
    height, width = scene["image_size"]
    tau = scene["times"][b, t] - scene["anchor_times"][b, i]
    x, d, z = scene["means"][b, i] + sum(
        c * tau ** (power + 1) for power, c in enumerate(scene["motion"][b, i])
    )
    if not 0 <= d <= 1:
        return None
    slope, half_life = scene["opacity_slopes"][b, i], scene["opacity_half_lives"][b, i]
    window = sigmoid(-slope * (abs(tau) - half_life)) / sigmoid(slope * half_life)
    axes = rotation(scene["quats"][b, i]) @ np.diag(scene["scales"][b, i])
    view = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])  # X = x, Y = -z, Z = y
    to_pixels = np.diag([width / 2, height / 2])
    flat = (view @ axes @ axes.T @ view.T)[:2, :2]
    covariance = to_pixels @ flat @ to_pixels + 0.3 * np.eye(2)
    return {
        "center": np.array([((x + 1) * width - 1) / 2, ((-z + 1) * height - 1) / 2]),
        "depth": 1 / (d * (10 - 0.2) + 0.2 + 1e-6),
        "opacity": scene["opacities"][b, i] * window,
        "conic": np.linalg.inv(covariance),
        "radius": 3 * math.sqrt(np.linalg.eigvalsh(covariance)[-1]),
        "color": scene["colors"][b, i],
    }


def render_pixel(
    gaussians: list[dict[str, Any]], pixel: np.ndarray, background: np.ndarray
) -> list[float]:
    transmittance, depth, color = 1.0, 0.0, np.zeros(3)
    for gaussian in gaussians:
        offset = gaussian["center"] - pixel
        if np.abs(offset).max() > gaussian["radius"]:
            continue
        power = -0.5 * offset @ gaussian["conic"] @ offset
        alpha = min(0.99, gaussian["opacity"] * math.exp(power))
        if alpha < 1 / 255:
            continue
        if transmittance * (1 - alpha) < 1e-4:
            break
        color = color + gaussian["color"] * alpha * transmittance
        depth += gaussian["depth"] * alpha * transmittance
        transmittance *= 1 - alpha
    return [*(color + transmittance * background), depth, 1 - transmittance]


def scalar_loop(scene: dict[str, Any]) -> Tensor:
    """Return rgb, depth, alpha (b, t, 5, h, w), one pixel after the other."""
    plain = {
        name: value.double().numpy() if isinstance(value, Tensor) else value
        for name, value in scene.items()
    }
    height, width = plain["image_size"]
    (b, n), t = plain["opacities"].shape, plain["times"].shape[1]
    images = torch.zeros(b, t, 5, height, width, dtype=torch.float64)
    for scene_index, time in np.ndindex(b, t):
        drawn = [project_one(plain, scene_index, time, i) for i in range(n)]
        gaussians = sorted((g for g in drawn if g is not None), key=lambda g: g["depth"])
        for v, u in np.ndindex(height, width):
            images[scene_index, time, :, v, u] = torch.tensor(
                render_pixel(gaussians, np.array([u, v]), plain["backgrounds"][scene_index, time])
            )
    return images


@pytest.mark.parametrize("name", SHAPES)
def test_reference_is_the_scalar_loop(random_scene: Callable[..., Any], name: str) -> None:
    scene = random_scene(**SHAPES[name])
    expected = scalar_loop(scene)
    found = torch.cat(rasterize(**scene, backend="reference"), dim=2)
    assert expected[:, :, 4].max() > 0.1  # something is to be seen
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-12)


# float32 carries 24 bits: positions are off by up to 2e-6 pixels here, depths (up to 5) and colours
# by a few 1e-7 of their size. Measured worst case: 3e-6.
@pytest.mark.parametrize("backend", ["reference", "cpu"])
@pytest.mark.parametrize("name", SHAPES)
def test_float32_is_the_scalar_loop(
    random_scene: Callable[..., Any],
    assert_images_agree: Callable[..., None],
    name: str,
    backend: str,
) -> None:
    scene = random_scene(**SHAPES[name], dtype=torch.float32)
    found = rasterize(**scene, backend=backend)
    assert found.rgb.dtype == torch.float32
    assert_images_agree(found, scalar_loop(scene), atol=2e-5)
