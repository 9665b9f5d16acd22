"""Draws layered photographs and renders clips of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from core.checks import UserError
from core.data.layered.correspondence import key_frame_motion
from core.data.layered.light import Light, draw_light, illuminate
from core.data.layered.options import LayeredOptions
from core.data.layered.painting import Painter
from core.data.layered.paths import Paths, draw_paths
from core.data.layered.planes import Planes
from core.data.layered.shapes import Shapes, draw_shapes, opacity
from core.data.layered.textures import TextureBank
from core.data.randomness.scene_random import SceneRandom
from core.data.sensor import Sensor, expose
from core.geometry.canonical import normalize_inverse_depth
from core.types import HOST, ClipBatch, TensorDataclass

_AFTER_CUT = 1 << 30
"""Added to the seed for what is shown behind a cut."""


@dataclass(frozen=True)
class LayeredScenes(TensorDataclass):
    """``b`` samples of a background and ``l`` layers before it, ``n`` in all, from far to near."""

    textures: Int[Tensor, "b n"] = field(metadata=HOST)
    """Which texture each is cut out of."""
    places: Float[Tensor, "b n 2"] = field(metadata=HOST)
    """Where in the texture."""
    flips: Bool[Tensor, "b n 2"] = field(metadata=HOST)
    """Whether it is turned upside down, and whether left and right are exchanged."""
    tones: Float[Tensor, "b n 3"]
    """Factors of the colours."""
    shapes: Shapes
    """Outlines of the layers without the background."""
    present: Bool[Tensor, "b l"]
    """Which layers there are."""
    shadows: Float[Tensor, "b l 3"]
    """Where a layer's shadow falls, in half widths, and its opacity."""
    paths: Paths
    """How they move."""
    moving: Bool[Tensor, "b l"]
    """Which layers move by themselves."""
    light: Light
    """How the light changes."""
    sensor: Sensor
    """What the camera does to the frames."""


class LayeredSource:
    """Layers cut out of photographs, which move, deform and hide one another, with exact motion.

    A sample is a function of (seed, index) alone, not of the rest of the batch. Its parameters are
    drawn on the CPU; everything with pixels happens on ``device``.

    Args:
        options: Size, layers, motion and appearance of the clips.
        textures: Photographs on ``device``.
        seed: Seed of the whole source.
        device: Where samples are made.
    """

    def __init__(
        self,
        options: LayeredOptions,
        textures: TextureBank,
        *,
        seed: int,
        device: torch.device | str = "cpu",
    ) -> None:
        self.options = options
        self.seed = seed
        self.device = torch.device(device)
        self._textures = textures
        self._planes = Planes.around((options.height, options.width), self.device)

    def clip(self, indices: Sequence[int], times: Float[Tensor, "b v"]) -> ClipBatch:
        """Render a clip of each sample.

        Its inverse depth orders the layers and is not that of real things, so ``has_depth`` is
        false.

        Args:
            indices: Which samples.
            times: Rising times in [0, 1] at which each is rendered; the batch's own times run from
                0 to 1 over them.

        Raises:
            UserError: If ``indices`` is empty, or there is not one row of times for each.
        """
        if not indices or times.shape[0] != len(indices):
            raise UserError(
                f"LayeredSource.clip: times has shape {tuple(times.shape)}, and there are "
                f"{len(indices)} indices; expected at least one, and one row of times for each."
            )
        with torch.no_grad():
            times = times.cpu()
            rng = SceneRandom(self.seed, indices)
            cut_at = torch.where(
                rng.bernoulli(self.options.cut_probability), rng.uniform(0.0, 1.0), 2.0
            )
            span = times[:, -1:] - times[:, :1]
            own_times = (times - times[:, :1]) / torch.where(span > 0, span, 1.0)
            is_after = own_times > cut_at[:, None]  # (b, v)
            cut = is_after.any(dim=1).nonzero()[:, 0]
            scenes = self._draw(rng, times)
            if not len(cut):
                return self._render(scenes, times, own_times)
            rng = SceneRandom(self.seed + _AFTER_CUT, [indices[row] for row in cut.tolist()])
            clips = self._render(
                LayeredScenes.cat([scenes, self._draw(rng, times[cut])]),
                torch.cat([times, times[cut]]),
                torch.cat([own_times, own_times[cut]]),
            )
            clips, others = clips.split([len(indices), len(cut)])
            _splice(clips, others, cut.to(self.device), is_after[cut].to(self.device))
            return clips

    def _draw(self, rng: SceneRandom, times: Float[Tensor, "b v"]) -> LayeredScenes:
        options, n = self.options, self.options.max_layers
        number = rng.uniform(options.min_layers, n + 1 - 1e-4).floor()
        present = rng.uniform(0.0, 1.0, n).argsort(dim=-1) < number[:, None]
        shapes = draw_shapes(rng, n, options.height / options.width)
        paths, moving = draw_paths(rng, shapes, present, options)
        textures = self._textures.choose(rng.uniform(0.0, 1.0, n + 1))
        # Backgrounds that do not fill the frame would show their reflection in its middle.
        image_size = (options.height, options.width)
        textures[:, 0] = self._textures.choose(rng.uniform(0.0, 1.0), at_least=image_size)
        # Layers that look like what is behind them are the hard ones.
        alike = rng.bernoulli(0.15, n)
        textures[:, 1:] = torch.where(alike, textures[:, :1], textures[:, 1:])
        flips = rng.bernoulli(0.5, n + 1, 2)
        flips[..., 0] &= rng.bernoulli(0.3, n + 1)
        flips[:, 0, 0] = False
        opacities = rng.uniform(0.0, options.shadow_opacity, n) * rng.bernoulli(0.4)[:, None]
        offsets = rng.direction()[:, None] * rng.uniform(0.01, 0.1, n)[..., None]
        return LayeredScenes(
            textures=textures,
            places=rng.uniform(0.0, 1.0, n + 1, 2),
            flips=flips,
            tones=torch.exp(
                rng.uniform(-0.35, 0.05, n + 1, 1) + rng.uniform(-0.08, 0.08, n + 1, 3)
            ),
            shapes=shapes,
            present=present,
            shadows=torch.cat([offsets, (opacities * present)[..., None]], dim=-1),
            paths=paths,
            moving=moving,
            light=draw_light(rng, times, options.light_change),
            sensor=Sensor(
                blur=options.sensor_blur * rng.uniform(0.0, 1.0),
                noise=options.sensor_noise * rng.uniform(0.0, 1.0) ** 2,
                vignette=rng.uniform(0.0, 0.35) * rng.bernoulli(0.3),
                keys=rng.keys(),
            ),
        )

    def _render(
        self,
        scenes: LayeredScenes,
        times: Float[Tensor, "b v"],
        own_times: Float[Tensor, "b v"],
    ) -> ClipBatch:
        size, planes = self._planes.size, self._planes
        maps = scenes.paths.at(times).to(self.device, non_blocking=True)
        blurred = (scenes.paths.exposure > 0).nonzero()[:, 0]
        sweep = scenes.paths.sweep(times)[:, :, blurred].to(self.device, non_blocking=True)
        blurred = blurred.to(self.device, non_blocking=True)
        texels = self._textures.locate(scenes.textures, scenes.places, scenes.flips, size)
        there = scenes.to(self.device, non_blocking=True)
        own_times = own_times.to(self.device, non_blocking=True)

        def color(layer: int) -> Float[Tensor, "b 3 th tw"]:
            return self._textures.read(texels, layer) * there.tones[:, layer, :, None, None]

        depths = there.paths.planes
        alphas = opacity(there.shapes, size, self.options.width) * there.present[..., None, None]
        painter = Painter(maps, blurred, sweep, planes, color(0), depths[:, 0])
        for layer in range(1, depths.shape[1]):
            texture = torch.cat([color(layer), alphas[:, layer - 1, None]], dim=1)
            painter.add(layer, texture, depths[:, layer], there.shadows[:, layer - 1])
        motion, known = key_frame_motion(maps, alphas, planes)
        known &= (own_times[:, -1] > 0)[:, None, None, None]
        moving = F.pad(there.moving.float(), (1, 0)).gather(1, painter.layers.flatten(1).long())
        frames = illuminate(there.light, painter.colors.transpose(1, 2))
        yes = torch.ones(len(own_times), dtype=torch.bool, device=self.device)
        return ClipBatch(
            frames=expose(there.sensor, frames, own_times),
            inverse_depths=normalize_inverse_depth(painter.inverse_depths)[:, :, None],
            masks=moving.view(painter.layers.shape)[:, :, None],
            times=own_times,
            motion=motion * known[:, :, None],
            motion_known=known,
            has_depth=~yes,
            has_mask=yes,
        )


def _splice(
    clips: ClipBatch,
    others: ClipBatch,
    rows: Int[Tensor, " n"],
    is_after: Bool[Tensor, "n v"],
) -> None:
    """Show other samples behind the cuts of some, in place; nothing is known to move across."""
    for name in ("frames", "inverse_depths", "masks"):
        values = getattr(clips, name)
        after = is_after[:, :, None, None, None]
        values[rows] = torch.where(after, getattr(others, name), values[rows])
    clips.motion[rows] = 0.0
    clips.motion_known[rows] = False
