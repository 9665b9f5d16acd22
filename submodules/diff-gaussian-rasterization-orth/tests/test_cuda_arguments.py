"""Arguments of kernels and operators agree, checked without a GPU."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from diff_gaussian_rasterization_orth.cuda import operators, stages
from torch._subclasses.fake_tensor import FakeTensorMode

B, N, K, T, HEIGHT, WIDTH, ROOM = 2, 5, 1, 3, 20, 30, 100
KERNEL = re.compile(
    r'extern "C" __global__ void (?:__launch_bounds__\(.+?\) )?(\w+)\(\n(.*?)\)', re.S
)


def parameters(folder: Path) -> dict[str, int]:
    """Count the parameters of every kernel."""
    counts = {}
    for path in folder.glob("*.cu"):
        source = re.sub(r"//.*", "", path.read_text())
        counts |= {name: inside.count(",") + 1 for name, inside in KERNEL.findall(source)}
    return counts


class Recorder:
    device = torch.device("cpu")

    def __init__(self) -> None:
        self.passed: dict[str, int] = {}

    def launch(
        self, unit: str, kernel: str, _blocks: Any, _threads: int, args: Sequence[int]
    ) -> None:
        self.passed[kernel] = len(args)


def inputs() -> tuple[stages.Moving, torch.Tensor]:
    shapes = [(B, N, 3), (B, N, K, 3), (B, N, 3), (B, N, 4), (B, N, 3), *[(B, N)] * 4, (B, T)]
    zeros = [torch.zeros(shape, requires_grad=True) for shape in shapes]
    return stages.Moving(*zeros), torch.zeros(B, T, 3, requires_grad=True)


def test_every_kernel_gets_as_many_arguments_as_it_takes() -> None:
    moving, backgrounds = inputs()
    queue: Any = Recorder()
    shape = moving.shape((HEIGHT, WIDTH))
    counted = stages.count(queue, shape, moving, backgrounds, ROOM)
    listed = stages.list_by_tile(queue, shape, counted, ROOM)
    scene = stages.Scene(counted.kept, listed, backgrounds)
    images = stages.blend(queue, shape, scene, counted)
    sums = stages.blend_backward(queue, shape, scene, images)
    # The projection's gradients need no colours; those of the means need no means.
    read = (*moving[1:4], *moving[5:])
    gradients = operators._empty_gradients(*read, backgrounds, *[None] * 5, 0, 0, True, False)
    stages.project_backward(queue, shape, read, scene, sums, gradients[:-1])
    assert queue.passed == parameters(Path(stages.__file__).parent)


def test_every_input_gets_a_gradient_of_its_shape() -> None:
    with FakeTensorMode():
        moving, backgrounds = inputs()
        rgb, depth, alpha, *_ = operators.render(*moving, backgrounds, HEIGHT, WIDTH, ROOM)
        (rgb.sum() + depth.sum() + alpha.sum()).backward()
        for value in (*moving, backgrounds):
            assert value.grad is not None
            assert value.grad.shape == value.shape
