"""Whatever a caller can get wrong is named, with its place."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
import torch
from diff_gaussian_rasterization_orth import available_backends, rasterize
from torch import Tensor

NAMES = [
    "means",
    "motion",
    "scales",
    "quats",
    "colors",
    "opacities",
    "opacity_slopes",
    "opacity_half_lives",
    "anchor_times",
    "times",
    "backgrounds",
]


@pytest.fixture
def scene(random_scene: Callable[..., Any]) -> dict[str, Any]:
    return random_scene(5, b=2, t=3, k=2, dtype=torch.float32)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("name", NAMES)
def test_values_that_are_not_finite(scene: dict[str, Any], name: str, value: float) -> None:
    index = tuple(size - 1 for size in scene[name].shape)
    scene[name] = scene[name].clone()
    scene[name][index] = value
    place = f"{name}[{', '.join(map(str, index))}] is {value}"
    with pytest.raises(ValueError, match=re.escape(place)):
        rasterize(**scene)


@pytest.mark.parametrize("name", NAMES)
def test_shapes(scene: dict[str, Any], name: str) -> None:
    scene[name] = scene[name][..., :-1]
    # Two times instead of three are times too; then it is the backgrounds that do not fit.
    culprit = "backgrounds" if name == "times" else name
    with pytest.raises(ValueError, match=rf"^rasterize: {culprit} has shape \(.*\); expected \("):
        rasterize(**scene)


def test_a_shape_error_says_all(scene: dict[str, Any]) -> None:
    scene["scales"] = scene["scales"][:, :4]
    with pytest.raises(
        ValueError,
        match=re.escape("scales has shape (2, 4, 3); expected (2, 5, 3), that is (b, n, 3)"),
    ):
        rasterize(**scene)


def test_a_background_error_says_all(scene: dict[str, Any]) -> None:
    scene["backgrounds"] = torch.zeros(3, 3)
    with pytest.raises(ValueError, match=re.escape("expected (3,), (2, 3) or (2, 3, 3)")):
        rasterize(**scene)


@pytest.mark.parametrize("name", NAMES)
def test_dtypes_must_agree(scene: dict[str, Any], name: str) -> None:
    scene[name] = scene[name].double()
    with pytest.raises(ValueError, match="dtype"):
        rasterize(**scene)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64])
def test_half_precision_is_refused(scene: dict[str, Any], dtype: torch.dtype) -> None:
    scene["colors"] = scene["colors"].to(dtype)
    with pytest.raises(ValueError, match=re.escape(f"colors has dtype {dtype}; expected")):
        rasterize(**scene)


def test_devices_must_agree(scene: dict[str, Any]) -> None:
    scene["colors"] = scene["colors"].to("meta")
    with pytest.raises(ValueError, match="colors has device meta, but means has cpu"):
        rasterize(**scene)


def test_what_is_no_tensor(scene: dict[str, Any]) -> None:
    scene["backgrounds"] = 0.5
    with pytest.raises(ValueError, match="backgrounds is a float; expected a torch"):
        rasterize(**scene)


@pytest.mark.parametrize("size", [(0, 4), (4,), (4, -1), (4.0, 4), "44", None, (4, 4, 3)])
def test_image_size(scene: dict[str, Any], size: Any) -> None:
    scene["image_size"] = size
    with pytest.raises(ValueError, match=re.escape(f"image_size is {size!r}; expected")):
        rasterize(**scene)


def test_an_unknown_backend(scene: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="'gpu'; expected one of auto, reference, cpu, cuda"):
        rasterize(**scene, backend="gpu")


def test_the_cpu_backend_names_the_one_for_float64(scene: dict[str, Any]) -> None:
    doubles = {k: v.double() if isinstance(v, Tensor) else v for k, v in scene.items()}
    with pytest.raises(ValueError, match='backend="reference"'):
        rasterize(**doubles, backend="cpu")
    assert rasterize(**doubles, backend="reference").rgb.dtype == torch.float64


def test_a_backend_that_cannot_be_used_says_why(scene: dict[str, Any]) -> None:
    reasons = available_backends()
    assert reasons["reference"] is None
    assert reasons["cpu"] is None
    if reasons["cuda"] is None:
        pytest.skip("all backends can be used here")
    with pytest.raises(RuntimeError, match='backend="reference" or backend="cpu"') as error:
        rasterize(**scene, backend="cuda")
    assert reasons["cuda"] in str(error.value)


def test_auto_is_the_cpu_backend_for_cpu_tensors(scene: dict[str, Any]) -> None:
    assert torch.equal(rasterize(**scene).rgb, rasterize(**scene, backend="cpu").rgb)
