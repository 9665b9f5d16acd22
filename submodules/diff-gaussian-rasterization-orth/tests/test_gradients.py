"""Gradients: the reference against finite differences, the cpu backend against the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from diff_gaussian_rasterization_orth import rasterize
from torch import Tensor


@pytest.mark.slow
def test_reference_passes_gradcheck_in_every_input(random_scene: Callable[..., Any]) -> None:
    scene = random_scene(4, t=2, k=2, size=0.6, image_size=(4, 5), seed=3)
    names = [name for name, value in scene.items() if isinstance(value, Tensor)]
    assert len(names) == 11

    def render(*values: Tensor) -> tuple[Tensor, ...]:
        arguments = {**scene, **dict(zip(names, values, strict=True))}
        return tuple(rasterize(**arguments, backend="reference"))

    tensors = [scene[name].requires_grad_() for name in names]
    assert torch.autograd.gradcheck(render, tensors, eps=1e-7, atol=1e-5, rtol=1e-5)
    loss = torch.stack([image.sum() for image in render(*tensors)]).sum()
    for name, gradient in zip(names, torch.autograd.grad(loss, tensors), strict=True):
        assert gradient.abs().max() > 0, f"the scene does not test {name}"


# Relative norm of the difference between float32 and float64 gradients. Measured: at most 4e-6, but
# 7e-5 for the background of the dense scene, which a transmittance of 1e-3 at most lets through.
# The bound leaves room for pixels on whose contribution the two roundings disagree (alpha at 1/255,
# three deviations): each adds about 1e-4.
@pytest.mark.parametrize(
    "shape",
    [
        {"n": 40, "t": 2, "k": 2},
        {"n": 300, "b": 2, "t": 3, "k": 1, "size": 0.15, "image_size": (37, 53)},
        {"n": 2000, "k": 0, "size": 0.5, "image_size": (40, 70)},
        {"n": 500, "k": 3, "t": 2, "size": 0.1, "image_size": (64, 96)},
    ],
    ids=["quadratic", "batch", "dense", "cubic"],
)
@pytest.mark.slow
def test_cpu_gradients_are_those_of_the_reference(
    random_scene: Callable[..., Any],
    differentiate: Callable[..., Any],
    shape: dict[str, Any],
) -> None:
    scene = random_scene(**shape, dtype=torch.float32)
    doubles = {k: v.double() if isinstance(v, Tensor) else v for k, v in scene.items()}
    _, expected = differentiate(doubles, backend="reference")
    _, found = differentiate(scene, backend="cpu")
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        if gradient.numel():
            assert gradient.abs().max() > 0, f"the scene does not test {name}"
            error = (found[name] - gradient).norm() / gradient.norm()
            assert error < 1e-3, f"{name}: relative error {error:.1e}"


@pytest.mark.parametrize("image", ["rgb", "depth", "alpha"])
def test_one_image_alone_may_carry_the_loss(random_scene: Callable[..., Any], image: str) -> None:
    gradients = {}
    for backend, dtype in (("reference", torch.float64), ("cpu", torch.float32)):
        scene = random_scene(60, t=2, dtype=dtype)
        scene["means"].requires_grad_()
        output = getattr(rasterize(**scene, backend=backend), image)
        (gradients[backend],) = torch.autograd.grad(output.square().sum(), scene["means"])
    assert gradients["reference"].norm() > 0
    assert (gradients["cpu"] - gradients["reference"]).norm() < 1e-3 * gradients["reference"].norm()


def test_background_alone_may_need_a_gradient(random_scene: Callable[..., Any]) -> None:
    scene = random_scene(30, dtype=torch.float32)
    scene["backgrounds"] = torch.full((3,), 0.5, requires_grad=True)
    images = rasterize(**scene, backend="cpu")
    images.rgb.sum().backward()
    transmittance = (1 - images.alpha).sum()
    torch.testing.assert_close(scene["backgrounds"].grad, transmittance.expand(3))


def test_a_second_derivative_is_refused_not_wrong(random_scene: Callable[..., Any]) -> None:
    scene = random_scene(10, dtype=torch.float32)
    means = scene["means"].requires_grad_()
    loss = rasterize(**scene, backend="cpu").rgb.square().sum()
    (gradient,) = torch.autograd.grad(loss, means, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
