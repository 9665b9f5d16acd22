"""The CUDA kernels as PyTorch operators: tracing, compiling, graphs, room for pairs, bad values."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from diff_gaussian_rasterization_orth import Rasterization, cuda, pairs_needed, rasterize
from diff_gaussian_rasterization_orth.cuda import compiler, launch
from torch import Tensor

pytestmark = pytest.mark.gpu
SIZE = (37, 61)
Scene = dict[str, Tensor]


@pytest.fixture(autouse=True)
def _available() -> None:
    if reason := cuda.unavailable_reason():
        pytest.skip(reason)


def make_scene(seed: int = 0, n: int = 300) -> Scene:
    generator = torch.Generator().manual_seed(seed)

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return (low + (high - low) * torch.rand(*shape, generator=generator)).cuda()

    return {
        "means": torch.stack(
            [uniform(2, n, low=-1, high=1), uniform(2, n), uniform(2, n, low=-1, high=1)], -1
        ),
        "motion": uniform(2, n, 1, 3, low=-0.1, high=0.1),
        "scales": uniform(2, n, 3, low=0.01, high=0.2),
        "quats": uniform(2, n, 4, low=-1, high=1),
        "colors": uniform(2, n, 3),
        "opacities": uniform(2, n),
        "opacity_slopes": uniform(2, n, high=4),
        "opacity_half_lives": uniform(2, n, low=0.1, high=0.9),
        "anchor_times": uniform(2, n).round(),
        "times": uniform(2, 3),
        "backgrounds": uniform(2, 3, 3),
    }


def arguments_of_pairs_needed(scene: Scene) -> Scene:
    return {name: scene[name] for name in scene if name not in ("colors", "backgrounds")}


def loss_of(**scene: Tensor) -> Tensor:
    images = rasterize(**scene, image_size=SIZE)
    return images.rgb.square().sum() + images.depth.mean() + images.alpha.sin().sum()


def gradients_of(function: object, scene: Scene) -> tuple[Tensor, Scene]:
    assert callable(function)
    leaves = {name: value.clone().requires_grad_() for name, value in scene.items()}
    loss = function(**leaves)
    loss.backward()
    return loss.detach(), {
        name: leaf.grad for name, leaf in leaves.items() if leaf.grad is not None
    }


def assert_close(found: Scene, expected: Scene) -> None:
    assert found.keys() == expected.keys()
    for name, value in found.items():
        difference = torch.linalg.vector_norm(value - expected[name])
        assert difference <= 1e-5 * torch.linalg.vector_norm(expected[name]), name


@pytest.mark.parametrize("max_pairs", [None, 20_000])
def test_opcheck(max_pairs: int | None) -> None:
    scene = make_scene()
    backgrounds = scene.pop("backgrounds")
    leaves = {name: value.requires_grad_() for name, value in scene.items()}
    order = ["means", "motion", "scales", "quats", "colors", "opacities", "opacity_slopes"]
    order += ["opacity_half_lives", "anchor_times", "times"]
    tensors = [leaves[name] for name in order]
    render = torch.ops.diff_gaussian_rasterization_orth.render.default
    results = torch.library.opcheck(
        render, (*tensors, backgrounds, *SIZE, max_pairs), rtol=1e-4, atol=1e-4
    )
    assert set(results.values()) == {"SUCCESS"}


def test_compiles_without_graph_break() -> None:
    scene = make_scene()
    torch._dynamo.reset()
    compiled = torch.compile(loss_of, fullgraph=True)
    loss, gradients = gradients_of(compiled, scene)
    expected_loss, expected = gradients_of(loss_of, scene)
    torch.testing.assert_close(loss, expected_loss)
    assert_close(gradients, expected)
    other = make_scene(seed=1)
    torch.testing.assert_close(gradients_of(compiled, other)[0], gradients_of(loss_of, other)[0])


def test_room_for_pairs_changes_nothing_but_the_wait() -> None:
    scene = make_scene()
    needed = pairs_needed(**arguments_of_pairs_needed(scene), image_size=SIZE)
    expected = rasterize(**scene, image_size=SIZE)
    for room in (needed, 3 * needed):
        images = rasterize(**scene, image_size=SIZE, max_pairs=room)
        assert all(torch.equal(a, b) for a, b in zip(images, expected, strict=True))
    too_small = rasterize(**scene, image_size=SIZE, max_pairs=needed - 1)
    assert all(image.isnan().all() for image in too_small)


def test_graph_follows_its_inputs() -> None:
    scene, other = make_scene(seed=0), make_scene(seed=1)
    fixed = {name: value.clone().requires_grad_() for name, value in scene.items()}
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())

    def step() -> Rasterization:
        for value in fixed.values():
            value.grad = None
        images = rasterize(**fixed, image_size=SIZE, max_pairs=50_000)
        (images.rgb.square().sum() + images.depth.sum()).backward()
        return images

    with torch.cuda.stream(stream):
        step()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        images = step()
    for inputs in (other, scene):
        with torch.no_grad():
            for name, value in fixed.items():
                value.copy_(inputs[name])
        graph.replay()
        expected = rasterize(**inputs, image_size=SIZE)
        assert all(torch.equal(a, b) for a, b in zip(images, expected, strict=True))
    leaves = {name: value.clone().requires_grad_() for name, value in scene.items()}
    again = rasterize(**leaves, image_size=SIZE)
    (again.rgb.square().sum() + again.depth.sum()).backward()
    for name, leaf in leaves.items():
        torch.testing.assert_close(fixed[name].grad, leaf.grad, rtol=1e-4, atol=1e-5)


def test_graph_without_room_is_explained() -> None:
    scene = make_scene()
    rasterize(**scene, image_size=SIZE)
    with (
        pytest.raises(RuntimeError, match="give room for them with max_pairs"),
        torch.cuda.graph(torch.cuda.CUDAGraph()),
    ):
        rasterize(**scene, image_size=SIZE)


@pytest.mark.parametrize("name", ["means", "motion", "colors", "times", "backgrounds", "quats"])
@pytest.mark.parametrize("bad", [float("nan"), float("-inf")])
def test_values_that_are_not_finite_are_named(name: str, bad: float) -> None:
    scene = make_scene()
    scene[name].view(-1)[-1] = bad
    with pytest.raises(ValueError, match=rf"rasterize: {name}\[.*(nan|-inf)"):
        rasterize(**scene, image_size=SIZE)
    images = rasterize(**scene, image_size=SIZE, max_pairs=50_000)
    assert all(image.isnan().all() for image in images)


def test_autocast_takes_half_precision() -> None:
    scene = make_scene()
    halves = {**scene, "colors": scene["colors"].bfloat16(), "opacities": scene["opacities"].half()}
    with pytest.raises(ValueError, match=r"colors has dtype torch.bfloat16"):
        rasterize(**halves, image_size=SIZE)
    with torch.autocast("cuda", dtype=torch.bfloat16):
        images = rasterize(**halves, image_size=SIZE)
    expected = rasterize(**{name: value.float() for name, value in halves.items()}, image_size=SIZE)
    assert all(torch.equal(a, b) for a, b in zip(images, expected, strict=True))


def test_only_what_is_asked_for_gets_a_gradient() -> None:
    scene = make_scene()
    scene["colors"].requires_grad_()
    images = rasterize(**scene, image_size=SIZE)
    images.alpha.sum().backward()
    assert scene["colors"].grad is not None
    assert scene["colors"].grad.abs().max() == 0
    assert all(value.grad is None for name, value in scene.items() if name != "colors")


def test_second_derivatives_are_refused() -> None:
    scene = make_scene()
    scene["means"].requires_grad_()
    loss = rasterize(**scene, image_size=SIZE).rgb.square().sum()
    (gradient,) = torch.autograd.grad(loss, scene["means"], create_graph=True)
    with pytest.raises(RuntimeError, match="twice"):
        gradient.sum().backward()


def test_hidden_gaussians_change_nothing() -> None:
    """Wide opaque Gaussians in front hide the rest, which then are not even listed."""
    scene = make_scene(n=2000)
    scene["means"][:, :40, 1] = 0.99
    scene["means"][:, 40:, 1].clamp_(max=0.9)
    scene["motion"][:] = 0
    scene["scales"][:, :40] = 2.0
    scene["opacities"][:, :40] = 0.95
    scene["opacity_slopes"][:, :40] = 0
    front = {
        name: value[:, :40] if value.dim() > 1 and value.shape[1] == 2000 else value
        for name, value in scene.items()
    }
    images = rasterize(**scene, image_size=SIZE)
    alone = rasterize(**front, image_size=SIZE)
    assert all(torch.equal(a, b) for a, b in zip(images, alone, strict=True))
    room = [pairs_needed(**arguments_of_pairs_needed(s), image_size=SIZE) for s in (scene, front)]
    assert room[0] == room[1]


@pytest.mark.parametrize("count", [1000, 1025, 2048, 3000, 9000])
def test_long_lists_are_in_order(count: int) -> None:
    """All Gaussians in one tile: sorted by a warp, by two, on chip, and in chunks."""
    scene = make_scene(n=count)
    scene["opacities"][:] = 0.02
    images = rasterize(**scene, image_size=(16, 16))
    expected = rasterize(
        **{name: value.double() for name, value in scene.items()},
        image_size=(16, 16),
        backend="reference",
    )
    torch.testing.assert_close(images.rgb.double(), expected.rgb, rtol=0, atol=5e-3)
    assert (images.rgb - expected.rgb).abs().mean() < 1e-5


def test_needles_keep_their_digits() -> None:
    """Long and thin at 45 degrees: where the plain conic form loses all of them."""
    scene = make_scene(n=20)
    scene["scales"][..., 0] = 3.0
    scene["scales"][..., 1:] = 1e-3
    angle = torch.tensor(0.4)
    scene["quats"][:] = torch.stack([angle.cos(), 0 * angle, angle.sin(), 0 * angle]).cuda()
    found = gradients_of(loss_of, scene)[1]
    double = {name: value.double() for name, value in scene.items()}
    expected = gradients_of(
        lambda **s: (
            (images := rasterize(**s, image_size=SIZE, backend="reference")).rgb.square().sum()
            + images.depth.mean()
            + images.alpha.sin().sum()
        ),
        double,
    )[1]
    for name, value in found.items():
        difference = torch.linalg.vector_norm(value.double() - expected[name])
        assert difference <= 2e-3 * torch.linalg.vector_norm(expected[name]), name


def test_gpu_newer_than_nvrtc_runs_ptx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene = make_scene()
    expected = rasterize(**scene, image_size=SIZE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compiler, "_known_architectures", lambda: (75, 80))
    launch._find_kernel.cache_clear()
    try:
        images = rasterize(**scene, image_size=SIZE)
    finally:
        launch._find_kernel.cache_clear()
    folder = compiler.cache_folder()
    assert folder is not None
    assert {path.suffix for path in folder.iterdir()} == {".ptx"}
    torch.testing.assert_close(images.rgb, expected.rgb, rtol=0, atol=1e-5)


def test_two_processes_compile_at_once(tmp_path: Path) -> None:
    code = (
        "import torch\n"
        "from diff_gaussian_rasterization_orth import rasterize\n"
        "one = torch.ones(1, 1, device='cuda')\n"
        "v = torch.zeros(1, 1, 3, device='cuda')\n"
        "q = torch.tensor([[[1.0, 0, 0, 0]]], device='cuda')\n"
        "images = rasterize(v + 0.5, v[:, :, None], v + 0.2, q, v, one, one, one, one, one,\n"
        "                   (32, 32), v[0, 0])\n"
        "print(float(images.alpha.max()) > 0.5)\n"
    )
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=environment, text=True, stdout=subprocess.PIPE
        )
        for _ in range(3)
    ]
    assert [process.communicate()[0].strip() for process in processes] == ["True"] * 3
