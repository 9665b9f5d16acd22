"""What only the cpu backend promises: threads, forks, caches, and its own exponential."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
import torch
from diff_gaussian_rasterization_orth import rasterize
from diff_gaussian_rasterization_orth.cpu.compiling import compiled
from diff_gaussian_rasterization_orth.cpu.sorting import order_by_depth
from diff_gaussian_rasterization_orth.cpu.threads import parallel_for
from diff_gaussian_rasterization_orth.cpu.tiles import exp2
from torch import Tensor

LAYOUT = {"n": 400, "b": 2, "t": 2, "size": 0.2, "image_size": (50, 70), "dtype": torch.float32}


@pytest.fixture(autouse=True)
def _restore_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_the_number_of_threads_changes_no_bit(
    random_scene: Callable[..., Any], differentiate: Callable[..., Any]
) -> None:
    scene = random_scene(**LAYOUT)
    results = []
    for threads in (1, 2, 5):
        torch.set_num_threads(threads)
        images, gradients = differentiate(scene, backend="cpu")
        results.append([*images, *(gradients[name] for name in gradients if name != "backgrounds")])
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_python_threads_may_render_at_once(random_scene: Callable[..., Any]) -> None:
    torch.set_num_threads(2)
    scenes = [random_scene(**LAYOUT, seed=seed) for seed in range(4)]
    expected = [rasterize(**scene, backend="cpu").rgb for scene in scenes]
    found: list[Tensor | None] = [None] * len(scenes)

    def render(index: int) -> None:
        for _ in range(5):
            found[index] = rasterize(**scenes[index], backend="cpu").rgb

    threads = [threading.Thread(target=render, args=(index,)) for index in range(len(scenes))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for image, right in zip(found, expected, strict=True):
        assert image is not None
        assert torch.equal(image, right)


class RenderedDataset(torch.utils.data.Dataset[Tensor]):
    def __init__(self, scene: dict[str, Any]) -> None:
        self.scene = scene

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Tensor:
        torch.set_num_threads(2)  # a worker has one otherwise, and would start no thread
        return rasterize(**self.scene, backend="cpu").rgb


@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_forked_data_loader_workers_render(random_scene: Callable[..., Any]) -> None:
    scene = random_scene(**LAYOUT)
    torch.set_num_threads(2)
    expected = rasterize(**scene, backend="cpu").rgb  # the parent has its pool before the fork
    loader = torch.utils.data.DataLoader(
        RenderedDataset(scene),
        batch_size=None,
        num_workers=2,
        timeout=60,
        multiprocessing_context="fork",
    )
    images = list(loader)
    assert len(images) == 4
    assert all(torch.equal(image, expected) for image in images)


def test_an_error_in_a_thread_reaches_the_caller() -> None:
    torch.set_num_threads(2)

    def fail(index: int) -> None:
        if index == 7:
            raise ArithmeticError("task 7")

    with pytest.raises(ArithmeticError, match="task 7"):
        parallel_for(10, fail)


def test_nothing_is_kept_without_gradients(random_scene: Callable[..., Any]) -> None:
    scene = random_scene(**LAYOUT)
    scene["means"].requires_grad_()
    with torch.no_grad():
        images = rasterize(**scene, backend="cpu")
    assert not images.rgb.requires_grad


def test_exp2_is_exact_to_float32() -> None:
    x = np.linspace(-20, 5, 10001).astype(np.float32)
    found = np.array([exp2(value) for value in x], dtype=np.float64)
    error = np.abs(found / np.exp2(x.astype(np.float64)) - 1)
    assert error.max() < 2e-7  # float32 itself rounds to 6e-8


def test_order_is_stable_and_leaves_the_invisible_out() -> None:
    generator = np.random.default_rng(0)
    depths = (generator.integers(1, 50, 5000) / 10).astype(np.float32)
    visible = generator.random(5000) < 0.7
    expected = [i for i in np.argsort(depths, kind="stable") if visible[i]]
    assert order_by_depth(depths, visible).tolist() == expected


def test_where_no_cache_can_be_kept_kernels_still_compile(monkeypatch: pytest.MonkeyPatch) -> None:
    real = numba.njit

    def njit(**options: Any) -> Any:
        if options.get("cache"):
            raise RuntimeError("no locator available")
        return real(**options)

    monkeypatch.setattr(numba, "njit", njit)
    with pytest.warns(UserWarning, match="NUMBA_CACHE_DIR"):

        @compiled()
        def double(x: int) -> int:
            return 2 * x

    assert double(21) == 42


_HASH_OF_GRADIENTS = """
import hashlib, torch
from diff_gaussian_rasterization_orth import rasterize
draw = torch.Generator().manual_seed(0)
sizes = [(1, 400, 3), (1, 400, 1, 3), (1, 400, 3), (1, 400, 4), (1, 400, 3)]
sizes += [(1, 400)] * 4 + [(1, 2)]
tensors = [torch.rand(*size, generator=draw).requires_grad_() for size in sizes]
backgrounds = torch.rand(1, 2, 3, generator=draw)
images = rasterize(*tensors, image_size=(50, 70), backgrounds=backgrounds, backend="cpu")
sum(image.square().mean() for image in images).backward()
parts = [value.detach().numpy().tobytes() for value in (*images, *(x.grad for x in tensors))]
print(hashlib.sha256(b"".join(parts)).hexdigest())
"""


@pytest.mark.slow
def test_kernels_from_the_cache_compute_the_bits_of_those_just_compiled(tmp_path: Path) -> None:
    def run() -> str:
        return subprocess.run(
            [sys.executable, "-c", _HASH_OF_GRADIENTS],
            env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    just_compiled = run()
    assert list(tmp_path.rglob("*.nbc"))
    assert run() == just_compiled


@pytest.mark.gpu
def test_cuda_tensors_are_copied_when_asked(
    random_scene: Callable[..., Any], differentiate: Callable[..., Any]
) -> None:
    scene = random_scene(**LAYOUT)
    expected = rasterize(**scene, backend="cpu")
    on_device = {k: v.cuda() if isinstance(v, Tensor) else v for k, v in scene.items()}
    for found, image in zip(rasterize(**on_device, backend="cpu"), expected, strict=True):
        assert found.is_cuda
        assert torch.equal(found.cpu(), image)
