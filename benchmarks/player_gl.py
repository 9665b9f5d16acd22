"""Pictures a second of the player's shaders: ``python -m benchmarks.player_gl SCENE``.

Runs the shaders of ``viewer/src/shaders.ts`` by headless OpenGL, without a browser: each picture
uploads an order of the Gaussians, as the page does, draws all of them and shows the sum. Sorting by
the 16 bits of ``viewer/src/sort.ts``, here in NumPy on one core, is measured apart. A page sorts
and draws one picture after the other, so that its rate is that of the sum. As a check, a picture of
the input camera is compared with the rasteriser's, dB. Needs moderngl, which is not among the
dependencies.
"""

from __future__ import annotations

import datetime
import importlib
import math
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from jaxtyping import Float
from torch import Tensor

from benchmarks.player_speed import split
from core.checks import UserError, cli_errors
from core.command_line import parse
from core.geometry.cameras import Lens
from core.geometry.lift import covariances
from core.geometry.surfaces import surface_slopes
from core.rendering.footprints import render_enlarged
from core.scene_file import SceneHeader, open_scene
from core.types import DynamicGaussians

SIZES = ((542, 305), (1280, 720), (1920, 1080))
_SHADERS = Path(__file__).parents[1] / "viewer" / "src" / "shaders.ts"
_TURN = 0.2
_NEAR = 0.05
_TIMES = 16
"""Different times, and so orders, within the interval that is drawn."""


@dataclass(frozen=True)
class Options:
    """Measure the shaders."""

    scene: tyro.conf.Positional[Path]
    """A scene file; its middle interval is drawn."""
    pictures: int = 400
    """How many are drawn of each kind."""


def read_shaders() -> tuple[dict[str, str], dict[str, int]]:
    """Return the shaders by name, and the numbers that are written into them."""
    text = _SHADERS.read_text(encoding="utf-8")
    numbers = {name: int(n) for name, n in re.findall(r"const (\w+) = (\d+);", text)}
    values = dict(re.findall(r"const (\w+) = ([\d.]+);", text))
    modes = re.findall(r"(\w+): (\d)", text[text.index("MODES") :].split("\n")[0])
    values |= {f"MODES.{name}": number for name, number in modes}
    sources = dict(re.findall(r"const (\w+) = `([^`]*)`", text))

    def filled(source: str) -> str:
        return re.sub(r"\$\{([\w.]+)\}", lambda m: values.get(m[1]) or sources[m[1]], source)

    return {name: filled(source) for name, source in sources.items()}, numbers


def texels_of(gaussians: DynamicGaussians, slopes: Float[Tensor, "n 2"]) -> np.ndarray:
    """Return what the page has on the GPU of each Gaussian, sheared along its surface."""
    shears = torch.eye(3).repeat(len(slopes), 1, 1)
    shears[:, 1, [0, 2]] = slopes
    covars = shears @ covariances(gaussians.scales, gaussians.quats)[0] @ shears.mT
    motion = gaussians.motion[0]  # (n, k, 3)
    x, d, z = gaussians.means[0].unbind(-1)
    entries = [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    parts = [
        torch.stack([x, d, z, gaussians.opacities[0]], -1),
        torch.stack([covars[:, i, j] for i, j in entries], -1),
        torch.stack([gaussians.opacity_slopes[0], gaussians.opacity_half_lives[0]], -1),
        torch.nn.functional.pad(gaussians.colors[0], (0, 1)),
        torch.nn.functional.pad(motion, (0, 1)).flatten(1),
    ]
    return torch.cat(parts, dim=1).numpy()


class Canvas:
    """The renderer of the page, in Python."""

    def __init__(self, context: Any, gaussians: DynamicGaussians, header: SceneHeader) -> None:
        sources, numbers = read_shaders()
        self.context = context
        self._width, self._batch = numbers["TEXTURE_WIDTH"], numbers["BATCH"]
        self._header = header
        focal = 1 / math.tan(math.radians(30))
        self.focal = (focal, focal / header.fit.aspect)
        self._splats = context.program(sources["SPLAT_VERTEX"], sources["SPLAT_FRAGMENT"])
        self._show = context.program(sources["SHOW_VERTEX"], sources["SHOW_FRAGMENT"])
        corners = 4 * np.arange(self._batch)[:, None] + np.array([0, 1, 2, 2, 1, 3])
        indices = context.buffer(corners.astype(np.uint16).tobytes())
        self._quads = context.vertex_array(
            self._splats, [], index_buffer=indices, index_element_size=2
        )
        self._triangle = context.vertex_array(self._show, [])
        lens = Lens(60.0, header.fit.aspect)
        texels = texels_of(gaussians, surface_slopes(gaussians.means, header.grid_size, lens)[0])
        self._degree = gaussians.motion.shape[2]
        self._texels = self._texture(texels.reshape(-1, 4), 4, "f4")
        self._order = self._texture(np.zeros((len(texels), 1), np.uint32), 1, "u4")

    def _texture(self, values: np.ndarray, channels: int, dtype: str) -> Any:
        rows = math.ceil(len(values) / self._width)
        padded = np.zeros((rows * self._width, channels), values.dtype)
        padded[: len(values)] = values
        return self.context.texture((self._width, rows), channels, padded.tobytes(), dtype=dtype)

    def resize(self, size: tuple[int, int]) -> None:
        """Choose width and height."""
        context = self.context
        self._size = size
        self._sum = context.texture(size, 4, dtype="f2")
        self._sum.build_mipmaps()  # without them it cannot be read
        self._target = context.framebuffer([self._sum])
        self.shown = context.framebuffer([context.texture(size, 4)])

    def draw(self, order: np.ndarray, pair_time: float, turn: Float[Tensor, "4 4"] | None) -> None:
        """Draw the Gaussians in an order, seen by the input camera or a pinhole camera."""
        padded = np.zeros(self._order.width * self._order.height, np.uint32)
        padded[: len(order)] = order
        self._order.write(padded.tobytes())
        height, width = self._header.image_size
        values: dict[str, Any] = {
            "texels": 0, "order": 1, "count": len(order), "degree": self._degree,
            "gridSize": self._header.num_gaussians, "time": pair_time, "share": 1.0, "rate": 1.0,
            "picture": self._size, "modelPixel": (2 / width, 2 / height), "zoom": (1.0, 1.0),
            "perspective": turn is not None, "focal": self.focal,
            "near": _NEAR, "mode": 0,
        }  # fmt: skip
        if turn is not None:
            values["rotation"] = tuple(turn[:3, :3].T.flatten().tolist())
            values["shift"] = tuple(turn[:3, 3].tolist())
        for name, value in values.items():
            self._splats[name].value = value
        self._target.use()
        self._target.clear(0, 0, 0, 0)
        self._texels.use(0)
        self._order.use(1)
        context = self.context
        context.enable(context.BLEND)
        context.blend_func = context.ONE, context.ONE_MINUS_SRC_ALPHA
        self._quads.render(context.TRIANGLES, instances=math.ceil(len(order) / self._batch))
        context.disable(context.BLEND)
        self.shown.use()
        self._sum.use(0)
        self._show["background"].value = self._header.background
        self._show["mode"].value = 0
        if turn is not None:
            self._sum.build_mipmaps()
        spacing = 2 * self._size[0] / width
        self._show["level"].value = -1 if turn is None else max(math.log2(spacing), 0)
        self._triangle.render(context.TRIANGLES, vertices=3)


class Sorter:
    """The sort of the page, in NumPy."""

    def __init__(self, gaussians: DynamicGaussians, focal: tuple[float, float]) -> None:
        self._means = gaussians.means[0].numpy()
        self._motion = gaussians.motion[0].numpy()
        self._anchors = gaussians.anchor_times[0].numpy()
        self._focal = focal

    def order_at(self, pair_time: float, turn: Float[Tensor, "4 4"] | None) -> np.ndarray:
        """Return the valid Gaussians at a pair time, far ones first."""
        tau = (pair_time - self._anchors)[:, None]
        powers = tau ** np.arange(1, self._motion.shape[1] + 1, dtype=np.float32)
        x, level, z = (self._means + np.einsum("nk,nkc->nc", powers, self._motion)).T
        keys = np.where((level >= 0) & (level <= 1), level, np.nan)
        if turn is not None:
            depth = 1 / (keys * 9.8 + 0.2)
            right, down, ahead, shift = turn[2].tolist()
            across, along = self._focal
            depth = depth * (right * x / across - down * z / along + ahead) + shift
            keys = 1 / np.where(depth > _NEAR, depth, np.nan)
        valid = np.flatnonzero(~np.isnan(keys))
        keys = keys[valid]
        low, high = keys.min(), keys.max()
        bins = ((keys - low) * (65535 / (high - low))).astype(np.uint16)
        # Of 16 bits NumPy's stable sort is a radix sort; of equal ones the first is drawn last.
        return valid[::-1][bins[::-1].argsort(kind="stable")].astype(np.uint32)


def measure(context: Any, scene: Path, pictures: int) -> None:
    """Print the rows of a scene."""
    with open_scene(scene) as reader:
        gaussians = reader.read_interval(len(reader.intervals) // 2)
        header = reader.header
    canvas = Canvas(context, gaussians, header)
    sorter = Sorter(gaussians, canvas.focal)
    times = torch.linspace(0.1, 0.9, _TIMES).tolist()
    focus = 1 / (gaussians.means[0, :, 1].median() * 9.8 + 0.2).item()
    turn = torch.eye(4)
    turn[0, 0] = turn[2, 2] = math.cos(_TURN)
    turn[2, 0] = math.sin(_TURN)
    turn[0, 2] = -math.sin(_TURN)
    turn[:3, 3] = torch.tensor([0, 0, focus]) - turn[:3, :3] @ torch.tensor([0, 0, focus])
    for size in SIZES:
        canvas.resize(size)
        canvas.draw(sorter.order_at(times[0], None), times[0], None)
        seen = np.frombuffer(canvas.shown.read(), np.uint8).reshape(size[1], size[0], 3)[::-1]
        expected = render_enlarged(
            gaussians,
            torch.tensor([times[:1]]),
            (size[1], size[0]),
            torch.tensor(header.background),
            model_size=header.image_size,
        ).rgb[0, 0]
        error = torch.from_numpy(seen.copy()).permute(2, 0, 1) / 255 - expected.clamp(0, 1)
        likeness = -10 * math.log10(error.square().mean().item())
        sorting, drawing = [], []
        for pose in (None, turn):
            begin = time.perf_counter()
            orders = [sorter.order_at(moment, pose) for moment in times]
            sorting.append(1000 * (time.perf_counter() - begin) / _TIMES)
            for count in (_TIMES, pictures):  # the first ones warm up
                context.finish()
                begin = time.perf_counter()
                for i in range(count):
                    canvas.draw(orders[i % _TIMES], times[i % _TIMES], pose)
                context.finish()
            drawing.append(1000 * (time.perf_counter() - begin) / pictures)
        rate = 1000 / max(sort + draw for sort, draw in zip(sorting, drawing, strict=True))
        print(
            f"| {gaussians.num_gaussians:,} | {size[0]} x {size[1]} | {drawing[0]:.2f} "
            f"| {drawing[1]:.2f} | {sorting[0]:.1f} | {sorting[1]:.1f} | {1000 / max(drawing):.0f} "
            f"| {rate:.0f} | {likeness:.1f} |",
            flush=True,
        )


@cli_errors
@torch.inference_mode()
def main() -> None:
    """Run from the command line."""
    options = parse(Options)
    try:
        moderngl: Any = importlib.import_module("moderngl")
    except ImportError as error:
        raise UserError(f"{error}; pip install moderngl==5.13.0.") from error
    context = moderngl.create_context(standalone=True, backend="egl")
    print(f"{datetime.date.today()}, {context.info['GL_RENDERER']}, {options.scene.name}\n")
    print(
        "| Gaussians | size | input camera, ms | turned, ms | sorting, ms | of the turned, ms "
        "| a second | with sorting | likeness, dB |"
    )
    print("|---:|---:|---:|---:|---:|---:|---:|---:|---:|")
    measure(context, options.scene, options.pictures)
    with tempfile.TemporaryDirectory() as folder:
        twice = Path(folder, "twice.ssplat")
        split(options.scene, twice)
        measure(context, twice, options.pictures)


if __name__ == "__main__":
    main()
