from __future__ import annotations

from dataclasses import replace

import torch

from core.geometry.canonical import depth_from_inverse_depth
from core.geometry.fit import FrameFit
from core.outputs.pictures import (
    FrameImages,
    depth_pictures,
    rendered_pictures,
    side_by_side_pictures,
    to_8bit,
)
from core.streaming import Interval
from core.streaming.reconstruct import RenderedFrame

SIZE = (32, 64)
FIT = FrameFit(SIZE, SIZE, "crop")


def frame(inverse_depth: torch.Tensor, alpha: float) -> RenderedFrame:
    alphas = torch.full((1, 1, *SIZE), alpha)
    return RenderedFrame(
        index=0,
        name="0",
        is_key=True,
        target=torch.full((1, 3, *SIZE), 0.25),
        rgb=torch.full((1, 3, *SIZE), 0.75),
        depth=depth_from_inverse_depth(inverse_depth.expand(1, 1, *SIZE)) * alphas,
        alpha=alphas,
        interval=Interval(0, 0, 0.0, 0.0, None, opens=True),  # pyright: ignore[reportArgumentType]
        time=0.0,
        stream_time=0.0,
    )


def images(inverse_depth: torch.Tensor, alpha: float) -> FrameImages:
    return FrameImages.of([frame(inverse_depth, alpha)])


def test_bytes_are_rounded_and_clamped() -> None:
    values = torch.tensor([-1.0, 0.0, 0.5, 0.999, 1.0, 2.0]).reshape(1, 1, 1, 6).expand(1, 3, 1, 6)
    assert to_8bit(values)[0, :, 0].tolist() == [0, 0, 128, 255, 255, 255]


def test_input_is_left_and_reconstruction_right() -> None:
    picture = side_by_side_pictures(images(torch.zeros(1), 1.0), FIT)[0]
    assert picture.shape == (32, 128, 3)
    assert (picture[:, :64] == 64).all()
    assert (picture[:, 64:] == 191).all()
    assert torch.equal(rendered_pictures(images(torch.zeros(1), 1.0), FIT)[0], picture[:, 64:])


def test_nearer_is_brighter_whatever_the_opacity() -> None:
    ramp = torch.linspace(0, 1, SIZE[1])
    opaque, thin = (depth_pictures(images(ramp, alpha), FIT)[0].int() for alpha in (1.0, 0.3))
    assert (opaque - thin).abs().max() <= 4, "depth is divided by alpha"
    brightness = opaque[0].sum(-1)
    assert (brightness.diff() >= -3).all()
    assert brightness[-1] > brightness[0] + 300


def test_the_range_of_colours_is_the_same_for_every_frame() -> None:
    """A scene that is nowhere near does not get the colours of nearness."""
    half, full = torch.linspace(0, 0.5, SIZE[1]), torch.linspace(0, 1, SIZE[1])
    low = depth_pictures(images(half, 1.0), FIT)[0]
    high = depth_pictures(images(full, 1.0), FIT)[0]
    assert (low[0, -1].int() - high[0, SIZE[1] // 2].int()).abs().max() <= 6


def test_where_nothing_is_there_is_no_depth() -> None:
    empty = frame(torch.ones(1), 0.0)
    assert (
        depth_pictures(FrameImages.of([replace(empty, depth=torch.zeros(1, 1, *SIZE))]), FIT)[
            0
        ].max()
        == 0
    )


def test_several_frames_become_the_pictures_of_each() -> None:
    ramp = torch.linspace(0, 1, SIZE[1])
    frames = [frame(ramp, 1.0), frame(ramp.flip(0), 0.4)]
    for draw in (rendered_pictures, side_by_side_pictures, depth_pictures):
        together = draw(FrameImages.of(frames), FIT)
        for one, picture in zip(frames, together, strict=True):
            assert torch.equal(draw(FrameImages.of([one]), FIT)[0], picture)
