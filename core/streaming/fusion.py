"""Intervals as one scene: continuous at key frames, without faded Gaussians."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

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
"""Default share of an interval within which the Gaussians that it no longer holds fade out."""


def scene_at(interval: Interval, pair_time: float, crossfade: float) -> DynamicGaussians:
    """Return the Gaussians at a time of an interval, with their motion and opacity windows.

    At pair times of ``crossfade`` and more these are the interval's Gaussians. Before, those of the
    second key frame fade in, and those that ended at the first one fade out: at pair time 0 the
    scene is the one with which the last interval ended.
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
        interval: The scene.
        pair_times: When, in [0, 1].
        image_size: Height and width in pixels.
        crossfade: As of :func:`scene_at`.
        background: One grey value or one colour.
        backend: The rasteriser's backend.
        renderer: Renders the images of one scene.

    Returns:
        Images of one scene (b = 1), in the order of ``pair_times``.
    """

    def at_once(*arguments: Any, **options: Any) -> Callable[[], RenderOutput]:
        images = renderer(*arguments, **options)
        return lambda: images

    return start_interval(
        interval,
        pair_times,
        image_size,
        crossfade=crossfade,
        background=background,
        backend=backend,
        start=at_once,
    )()


def start_interval(
    interval: Interval,
    pair_times: Sequence[float],
    image_size: tuple[int, int],
    *,
    crossfade: float = CROSSFADE,
    background: Float[Tensor, "3"] | float = 0.5,
    backend: str = "auto",
    start: Callable[..., Callable[[], RenderOutput]],
) -> Callable[[], RenderOutput]:
    """Start to render as :func:`render_interval` does, and return what gives the images.

    ``start`` starts to render images of one scene; that of the stream's
    :class:`core.rendering.SteadyRenderer` keeps a GPU from waiting.
    """
    device = interval.gaussians.means.device

    def draw(scene: DynamicGaussians, times: list[float]) -> Callable[[], RenderOutput]:
        at = send(torch.tensor([times]), device)
        return start(scene, at, image_size, background, backend=backend)

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
    return lambda: join([part() for part in parts], order)


def join(parts: Sequence[RenderOutput], order: Sequence[int]) -> RenderOutput:
    """Put images together along time, the ``j``-th of them at place ``order[j]``."""
    if len(parts) == 1:
        return parts[0]
    place = send(torch.tensor(order).argsort(), parts[0].rgb.device)
    return RenderOutput(
        *(
            torch.cat([getattr(part, name) for part in parts], dim=1)[:, place]
            for name in ("rgb", "depth", "alpha")
        )
    )


def is_visible_within(gaussians: DynamicGaussians, start: float, end: float) -> Bool[Tensor, "b n"]:
    """Return which Gaussians are visible at some pair time in [start, end].

    The opacity window falls with the distance from the anchor, so that opacity is highest at the
    nearest time. A Gaussian whose inverse depth is on the same side outside [0, 1] at both ends
    counts as invisible, which is exact for linear motion.
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


def pruned_scene_at(interval: Interval, pair_time: float, crossfade: float) -> DynamicGaussians:
    """Return :func:`scene_at` without the Gaussians that are invisible from then on.

    Those that fade in are kept although they may not be visible yet.
    """
    scene, own = scene_at(interval, pair_time, crossfade), interval.gaussians
    visible = is_visible_within(scene, pair_time, 1.0)
    visible[:, -own.num_gaussians :] = is_visible_within(own, pair_time, 1.0)
    return scene.select(visible[0], dim=1)
