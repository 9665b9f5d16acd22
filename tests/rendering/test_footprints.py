from __future__ import annotations

import torch
from torch.nn.functional import avg_pool2d

from core.geometry.cameras import Lens, look_at
from core.geometry.canonical import pixel_centers
from core.geometry.lift import covariances, lift
from core.rendering import render
from core.rendering.coverage import even_coverage
from core.rendering.footprints import render_enlarged, shapes_of, widen
from core.rendering.perspective import render_perspective
from core.types import DynamicGaussians

SIZE = (24, 40)
LENS = Lens(60.0, SIZE[0] / SIZE[1])
NOW = torch.zeros(1, 1)


def sheet(colors: torch.Tensor | None = None) -> DynamicGaussians:
    """A plane of Gaussians, one for 2 x 2 pixels and smaller than these."""
    rows, columns = SIZE[0] // 2, SIZE[1] // 2
    x, z = (plane.flatten()[None] for plane in pixel_centers(rows, columns))
    one = torch.ones_like(x)
    draw = torch.Generator().manual_seed(2)
    return DynamicGaussians(
        means=torch.stack([x, 0.1 * one, z], dim=-1),
        motion=torch.zeros(1, rows * columns, 0, 3),
        scales=torch.stack([1.2 * one / SIZE[1], one / 100, 1.2 * one / SIZE[0]], dim=-1),
        quats=torch.tensor([1.0, 0, 0, 0]).repeat(1, rows * columns, 1),
        colors=torch.rand(1, rows * columns, 3, generator=draw) if colors is None else colors,
        opacities=0.95 * one,
        opacity_slopes=0 * one,
        opacity_half_lives=0.5 * one,
        anchor_times=0 * one,
    )


def test_at_the_model_s_size_and_below_nothing_changes() -> None:
    gaussians = sheet()
    for size in (SIZE, (SIZE[0] // 2, SIZE[1] // 2)):
        assert widen(gaussians, size, SIZE) is gaussians


def test_an_enlarged_picture_shows_what_the_model_s_does() -> None:
    """Averages of the pixels of an enlarged picture are about the pixels of the model's."""
    gaussians = sheet()
    own = render(gaussians, NOW, SIZE).rgb[0]
    large = (3 * SIZE[0], 3 * SIZE[1])
    errors = [
        (avg_pool2d(picture.rgb[0], 3) - own)[..., 2:-2, 2:-2].abs().mean().item()
        for picture in (
            render_enlarged(gaussians, NOW, large, model_size=SIZE),
            render(gaussians, NOW, large),
        )
    ]
    # An average over a pixel is not the value in its middle. Measured: 0.012 and 0.035.
    assert errors[0] < 0.015 < 0.03 < errors[1], errors


def test_sheets_stay_closed_in_every_view() -> None:
    gaussians = sheet(torch.ones(1, SIZE[0] * SIZE[1] // 4, 3))
    large = (4 * SIZE[0], 4 * SIZE[1])
    focus = lift(gaussians, LENS).means[..., 2].mean()
    beside = look_at(torch.tensor([0.2, 0.1, 0.0]) * focus, torch.tensor([0.0, 0, focus]))
    closer = torch.eye(4)
    closer[2, 3] = -0.5 * focus
    for pose in (torch.eye(4), beside, closer):
        alphas = [
            render_perspective(
                lift(gaussians, LENS), pose[None], LENS, large, model_size=model
            ).alpha[0, 0, 0, 40:-40, 60:-60]
            for model in (SIZE, None)
        ]
        # In the model's own picture the least is 0.75, in the middle of a pixel.
        assert alphas[0].min() > 0.6
        assert alphas[1].min() < 0.3, "without the model's size there are holes"


def test_the_pinhole_camera_at_the_input_viewpoint_sees_the_enlarged_picture() -> None:
    gaussians = sheet()
    gaussians.scales[..., 1] = 0  # the depth axis widens footprints off the optical axis
    large = (2 * SIZE[0], 3 * SIZE[1])
    flat = even_coverage(render_enlarged(gaussians, NOW, large, model_size=SIZE), 0.5, SIZE)
    pose = torch.eye(4)[None]
    seen = render_perspective(lift(gaussians, LENS), pose, LENS, large, model_size=SIZE)
    torch.testing.assert_close(seen.rgb, flat.rgb, atol=2e-3, rtol=0)


def test_shapes_have_the_footprints_that_they_are_made_of() -> None:
    root = torch.randn(1, 50, 2, 2, generator=torch.Generator().manual_seed(3))
    covars = root @ root.mT
    seen = covariances(*shapes_of(covars))[..., [0, 2], :][..., [0, 2]]
    torch.testing.assert_close(seen, covars, rtol=1e-4, atol=1e-5)
