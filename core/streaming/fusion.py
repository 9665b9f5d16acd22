"""Intervals as one scene: continuous at key frames, and rid of what has faded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from core.devices import send
from core.geometry.motion import displace_means, opacities_at
from core.rendering import render
from core.streaming.interval import Interval
from core.types import DynamicGaussians, RenderOutput

VISIBLE_OPACITY = 1 / 255
"""Below it a Gaussian changes no pixel: the rasteriser leaves such contributions out."""
CROSSFADE = 0.05
"""Default share of an interval within which what a new key frame replaces fades out."""


def scene_at(interval: Interval, pair_time: float, crossfade: float) -> DynamicGaussians:
    """Return what lives at a time of an interval; all of it keeps its motion and its window.

    At pair times of ``crossfade`` and more these are the interval's Gaussians. Before, the second
    key frame's fade in, and what the last interval left at this key frame fades out: at pair time 0
    the scene is the one with which the last interval ended, so that nothing jumps.
    """
    if pair_time >= crossfade or interval.fading is None:
        return interval.gaussians
    share = max(pair_time, 0.0) / crossfade
    gaussians, count = interval.gaussians, interval.num_first
    opacities = gaussians.opacities.clone()
    opacities[:, count : 2 * count] *= share
    fading = replace(interval.fading, opacities=interval.fading.opacities * (1 - share))
    return DynamicGaussians.cat([fading, replace(gaussians, opacities=opacities)], dim=1)


def render_interval(
    interval: Interval,
    pair_times: Sequence[float],
    image_size: tuple[int, int],
    *,
    crossfade: float = CROSSFADE,
    background: Float[Tensor, "3"] | float = 0.5,
    backend: str = "auto",
    renderer: Callable[..., RenderOutput] = render,
) -> RenderOutput:
    """Render an interval at pair times, all those beyond the crossfade in one call.

    Args:
        interval: What to look at.
        pair_times: When, in [0, 1].
        image_size: Height and width in pixels.
        crossfade: As of :func:`scene_at`.
        background: One grey value or one colour.
        backend: The rasteriser's backend.
        renderer: What makes the images; a :class:`core.rendering.SteadyRenderer` of a stream's own
            keeps a GPU from waiting.

    Returns:
        Images of one scene (b = 1), in the order of ``pair_times``.
    """
    device = interval.gaussians.means.device

    def draw(scene: DynamicGaussians, times: list[float]) -> RenderOutput:
        at = send(torch.tensor([times]), device)
        return renderer(scene, at, image_size, background, backend=backend)

    fades = interval.ended is not None
    plain = [i for i, time in enumerate(pair_times) if not fades or time >= crossfade]
    if len(plain) == len(pair_times):
        return draw(interval.gaussians, list(pair_times))
    order, parts = list(plain), []
    if plain:
        parts.append(draw(interval.gaussians, [pair_times[i] for i in plain]))
    for i in sorted(set(range(len(pair_times))) - set(plain)):
        order.append(i)
        parts.append(draw(scene_at(interval, pair_times[i], crossfade), [pair_times[i]]))
    return join(parts, order)


def join(parts: Sequence[RenderOutput], order: Sequence[int]) -> RenderOutput:
    """Put images together along time, the ``j``-th of them at place ``order[j]``."""
    if len(parts) == 1:
        return parts[0]
    place = torch.tensor(order).argsort().to(parts[0].rgb.device)
    return RenderOutput(
        *(
            torch.cat([getattr(part, name) for part in parts], dim=1)[:, place]
            for name in ("rgb", "depth", "alpha")
        )
    )


def is_alive(gaussians: DynamicGaussians, start: float, end: float) -> Bool[Tensor, "b n"]:
    """Return which Gaussians can be seen at some pair time in [start, end].

    The opacity window falls with the distance from the anchor, so that the highest opacity is the
    one at the nearest time. A Gaussian that starts and ends with an inverse depth on the same side
    outside [0, 1] counts as unseen, which is exact for linear motion.
    """
    anchors = gaussians.anchor_times
    nearest = (start - anchors).clamp(min=0) + (anchors - end).clamp(min=0)
    opacities = opacities_at(
        gaussians.opacities, gaussians.opacity_slopes, gaussians.opacity_half_lives, nearest
    )
    ends = [
        displace_means(gaussians.means, gaussians.motion, time - anchors)[..., 1]
        for time in (start, end)
    ]
    low, high = torch.minimum(*ends), torch.maximum(*ends)
    return (opacities >= VISIBLE_OPACITY) & (high >= 0) & (low <= 1)


def living_at(interval: Interval, pair_time: float, crossfade: float) -> DynamicGaussians:
    """Return :func:`scene_at` without the Gaussians that are not seen from then on.

    Those that fade in stay although they may not be seen yet.
    """
    scene, own = scene_at(interval, pair_time, crossfade), interval.gaussians
    alive = is_alive(scene, pair_time, 1.0)
    alive[:, -own.num_gaussians :] = is_alive(own, pair_time, 1.0)
    return scene.select(alive[0], dim=1)
