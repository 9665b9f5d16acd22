from __future__ import annotations

import pytest
import torch

from core.geometry.fit import FitMode, FrameFit

MODEL = (288, 512)
SIZES = [(480, 854), (854, 480), (1, 1), (37, 1001), (333, 251), (288, 512), (2000, 3)]
MODES: list[FitMode] = ["stretch", "crop", "pad"]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mode", MODES)
def test_every_size_goes_in_and_comes_out_even(size: tuple[int, int], mode: FitMode) -> None:
    fit = FrameFit(size, MODEL, mode)
    frame = torch.rand(1, 3, *size)
    inside = fit.to_model(frame)
    assert inside.shape == (1, 3, *MODEL)
    shown = fit.to_display(inside)
    assert shown.shape[-2:] == fit.display_size
    assert all(side % 2 == 0 and side >= 2 for side in fit.display_size)
    assert shown.min() >= frame.min() - 1e-5
    assert shown.max() <= frame.max() + 1e-5


@pytest.mark.parametrize("size", [(480, 854), (854, 480), (333, 251)])
@pytest.mark.parametrize("mode", ["stretch", "pad"])
def test_what_is_shown_has_the_proportions_of_the_input(
    size: tuple[int, int], mode: FitMode
) -> None:
    height, width = FrameFit(size, MODEL, mode).display_size
    assert height / width == pytest.approx(size[0] / size[1], rel=0.015)


@pytest.mark.parametrize("size", [(480, 854), (854, 480), (333, 251)])
@pytest.mark.parametrize("mode", MODES)
def test_a_smooth_picture_survives_the_round_trip(size: tuple[int, int], mode: FitMode) -> None:
    fit = FrameFit(size, MODEL, mode)
    rows, columns = torch.linspace(0, 1, size[0]), torch.linspace(0, 1, size[1])
    frame = torch.stack([rows[:, None].expand(size), columns.expand(size)])[None]
    shown = fit.to_display(fit.to_model(frame))
    window = fit.source.of(frame)
    expected = torch.nn.functional.interpolate(window, fit.display_size, mode="bilinear")
    assert (shown - expected).abs().max() < 0.01


def test_crop_takes_the_middle_and_keeps_proportions() -> None:
    window = FrameFit((1000, 512), MODEL, "crop").source
    assert (window.top, window.left, window.height, window.width) == (356, 0, 288, 512)


def test_pad_repeats_the_edge_and_names_the_content() -> None:
    fit = FrameFit((576, 512), MODEL, "pad")
    frame = torch.zeros(1, 1, 576, 512)
    frame[..., 0] = 1
    inside = fit.to_model(frame)
    content = fit.content
    assert (content.top, content.left, content.height, content.width) == (0, 128, 288, 256)
    assert (inside[..., :128] == inside[..., 128:129]).all()
    assert fit.aspect == pytest.approx(288 / 512)


def test_stretch_keeps_the_natural_aspect_for_the_lens() -> None:
    assert FrameFit((854, 480), MODEL, "stretch").aspect == pytest.approx(854 / 480)


def test_a_frame_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="the fit is for"):
        FrameFit((10, 20), MODEL).to_model(torch.zeros(1, 3, 10, 21))


@pytest.mark.parametrize("size", [(480, 854), (854, 480), (333, 251)])
@pytest.mark.parametrize("mode", MODES)
def test_points_lie_where_the_picture_shows_them(size: tuple[int, int], mode: FitMode) -> None:
    """A ramp that holds each pixel's own coordinates is still right after the fit."""
    fit = FrameFit(size, MODEL, mode)
    v, u = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    ramp = fit.to_model(torch.stack([u, v])[None].float())[0]
    points = torch.tensor([[250.0, 140.0], [230.0, 100.0]])
    shown = torch.stack([ramp[:, int(v), int(u)] for u, v in points])
    torch.testing.assert_close(fit.points_to_input(points), shown, atol=0.1, rtol=0)
    torch.testing.assert_close(fit.points_to_model(fit.points_to_input(points)), points)
