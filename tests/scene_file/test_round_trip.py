from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.checks import UserError
from core.geometry.canonical import pixel_centers
from core.geometry.lift import covariances
from core.geometry.motion import displace_means
from core.scene_file import GRADES, SceneHeader, SceneWriter, grid_of, open_scene
from core.types import DynamicGaussians
from tests.scene_file.conftest import GRID, HEADER, MakeScene, Write, key_frame, moving

COUNT = GRID[0] * GRID[1]
CELL = torch.tensor([2 / GRID[1], 0, 2 / GRID[0]])
ROUNDING = 1e-6


def read_all(path: Path) -> list[DynamicGaussians]:
    with open_scene(path) as scene:
        return [scene.read_interval(i) for i in range(len(scene.intervals))]


def valid(inverse_depth: torch.Tensor) -> torch.Tensor:
    return (inverse_depth >= 0) & (inverse_depth <= 1)


@pytest.mark.parametrize("name", ["fine", "small"])
@pytest.mark.parametrize("turned", ["not at all", "about the view axis", "anyhow"])
def test_errors_are_at_most_half_a_step(
    make_scene: MakeScene, write: Write, name: str, turned: str
) -> None:
    grade = GRADES[name]  # pyright: ignore[reportArgumentType] (one of the two)
    shot = make_scene(3, degree=2, turned=turned)
    for before, after in zip(shot, read_all(write(shot, grade=grade)), strict=True):
        assert torch.equal(after.anchor_times, before.anchor_times)
        cells = torch.where(CELL > 0, CELL, 1.0)
        steps = torch.tensor([grade.position, 3 * grade.inverse_depth, grade.position])
        assert ((after.means - before.means).abs() <= steps * cells / 2 + ROUNDING).all()
        along = 2 * grade.motion_inverse_depth + grade.motion_inverse_depth / 2
        steps = torch.tensor([grade.motion / 2, along, grade.motion / 2])
        assert ((after.motion - before.motion).abs() <= steps * cells + ROUNDING).all()
        for field, step, change in (
            ("scales", grade.root_scale, lambda value: value**0.25),
            ("colors", grade.color, torch.clone),
            ("opacities", grade.opacity, torch.clone),
            ("opacity_slopes", grade.root_slope, torch.sqrt),
        ):
            error = (change(getattr(after, field)) - change(getattr(before, field))).abs()
            if field == "scales" and turned == "not at all":
                error = error[..., [0, 2]]  # the third is their mean
            assert error.max() <= step / 2 + ROUNDING, field
        fades = after.opacity_slopes > 0
        error = (after.opacity_half_lives - before.opacity_half_lives).abs()[fades]
        assert error.max() <= grade.half_life / 2 + ROUNDING
        if turned == "anyhow":
            assert (after.quats - before.quats).abs().max() <= grade.quaternion / 2 + ROUNDING
        else:
            same_scales = before.scales
            found, expected = (covariances(same_scales, g.quats) for g in (after, before))
            turn = grade.angle * math.pi / 256 / 2
            spread = same_scales.amax(dim=-1).square() - same_scales.amin(dim=-1).square()
            error = (found - expected).abs().amax(dim=(-2, -1))
            assert (error <= spread * math.sin(turn) + ROUNDING).all()


def test_a_key_frame_is_the_same_in_both_of_its_intervals(
    make_scene: MakeScene, write: Write
) -> None:
    first, second = read_all(write(make_scene(3)))
    for name in ("means", "scales", "quats", "colors", "opacities"):
        left, right = getattr(first, name)[:, COUNT:], getattr(second, name)[:, :COUNT]
        assert torch.equal(left, right), name


@pytest.mark.parametrize("degree", [1, 2])
@pytest.mark.parametrize("name", ["fine", "small"])
def test_who_is_rendered_at_key_frames_is_kept(write: Write, degree: int, name: str) -> None:
    """Also where inverse depths lie at the very edge, beyond, and far beyond."""
    values = torch.tensor([0.0, 1.0, -1e-7, 1 + 2e-7, 1e-4, 1 - 1e-4, -1e-4, -0.4, 1.6, -40, 40])
    shot: list[DynamicGaussians] = []
    frames = [key_frame(seed, "not at all") for seed in range(3)]
    for i, frame in enumerate(frames):
        frame["means"][0, : len(values), 1] = values.roll(i)
    for i in range(2):
        halves = [moving(frames[i + a], float(a), degree, 9 * i + a) for a in (0, 1)]
        for half in halves:
            half.motion[0, :30, :, 1] *= 1e-4  # stays near the edge
        shot.append(DynamicGaussians.cat(halves, dim=1))
    grade = GRADES[name]  # pyright: ignore[reportArgumentType]
    for before, after in zip(shot, read_all(write(shot, grade=grade)), strict=True):
        for time in (0.0, 1.0):
            seen = [
                valid(displace_means(g.means, g.motion, time - g.anchor_times)[..., 1])
                for g in (before, after)
            ]
            near = (before.means[..., 1].abs() < 30).expand_as(seen[0])
            assert torch.equal(seen[0][near], seen[1][near])
            assert torch.equal(valid(before.means[..., 1]), valid(after.means[..., 1]))


def test_what_does_not_vary_is_exact_and_costs_nothing(write: Write) -> None:
    x, z = (plane.flatten() for plane in pixel_centers(*GRID))
    one = {name: value[:, :1].expand_as(value) for name, value in key_frame(0, "anyhow").items()}
    one["means"] = torch.stack([x, torch.full_like(x, 0.3), z], dim=-1)[None]
    one["scales"] = torch.full((1, COUNT, 3), 0.0625)
    scene = moving(one, 0.0, 1, 0).map(lambda value: value[:, :1].expand_as(value))
    before = replace(scene, means=one["means"])
    shot = [
        DynamicGaussians.cat([before, replace(before, anchor_times=torch.ones(1, COUNT))], dim=1)
    ]
    path = write(shot)
    assert path.stat().st_size < 800
    (after,) = read_all(path)
    for name, value in vars(shot[0]).items():
        error = (getattr(after, name) - value).abs().max()
        assert error <= (ROUNDING if name in ("means", "scales", "opacity_slopes") else 0), name


def test_times_are_found(make_scene: MakeScene, write: Write) -> None:
    path = write(make_scene(3), make_scene(1), make_scene(2))  # 0 to 2, 3, 4 to 5 seconds
    with open_scene(path) as scene:
        assert scene.is_complete
        assert scene.window == (0, 5)
        assert [part.shot for part in scene.intervals] == [0, 0, 1, 2]
        assert [part.opens for part in scene.intervals] == [True, False, True, True]
        assert [part.is_static for part in scene.intervals] == [False, False, True, False]
        found = [scene.locate(time) for time in (0, 0.25, 1, 1.5, 2, 2.7, 3, 3.5, 4, 4.5, 5)]
        assert found == [
            *((0, 0), (0, 0.25), (0, 1), (1, 0.5), (1, 1), (1, 1)),
            *((2, 0), (2, 0), (3, 0), (3, 0.5), (3, 1)),
        ]
        for outside in (-0.1, 5.1, math.nan):
            with pytest.raises(UserError, match="from 0 to 5 seconds"):
                scene.locate(outside)


def test_a_file_is_read_while_it_grows(make_scene: MakeScene, tmp_path: Path) -> None:
    shot, path = make_scene(4), tmp_path / "scene.ssplat"
    with SceneWriter(path, HEADER) as writer:
        with open_scene(path) as scene:
            assert scene.intervals == ()
            with pytest.raises(UserError, match="no interval that is complete"):
                scene.locate(0)
        for i, gaussians in enumerate(shot):
            writer.append(gaussians, i, i + 1, opens=i == 0)
            assert path.stat().st_size == writer.num_bytes
            with open_scene(path) as scene:
                assert not scene.is_complete
                assert len(scene.intervals) == i + 1
                growing = scene.read_interval(i)
    complete = read_all(path)
    assert len(complete) == 3
    assert torch.equal(growing.means, complete[2].means)


def test_an_open_file_is_looked_at_again(make_scene: MakeScene, tmp_path: Path) -> None:
    path, shot = tmp_path / "scene.ssplat", make_scene(4)
    with SceneWriter(path, HEADER) as writer, open_scene(path) as reader:
        for number, gaussians in enumerate(shot):
            writer.put(gaussians, number, number + 1, opens=number == 0)
            reader.look_again()
            assert len(reader.intervals) == number, "one is still being encoded"
            assert not reader.is_complete
        writer.close()
        reader.look_again()
        assert reader.is_complete
        assert reader.window == (0, 3)
        again = [reader.read_interval(number) for number in range(3)]
    for before, after in zip(again, read_all(path), strict=True):
        assert torch.equal(before.means, after.means)


def test_what_was_written_before_an_error_stays(make_scene: MakeScene, tmp_path: Path) -> None:
    shot, path = make_scene(4), tmp_path / "scene.ssplat"

    def interrupted() -> None:
        with SceneWriter(path, HEADER) as writer:
            writer.append(shot[0], 0, 1, opens=True)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(read_all(path)) == 1


def test_the_writer_refuses_what_does_not_fit(make_scene: MakeScene, tmp_path: Path) -> None:
    (gaussians,) = make_scene(2)
    with SceneWriter(tmp_path / "scene.ssplat", HEADER) as writer:
        with pytest.raises(ValueError, match="one scene of 1 times 60"):
            writer.append(gaussians, 0, 0, opens=True)
        broken = gaussians.map(torch.clone)
        broken.opacities[0, 5] = math.nan
        with pytest.raises(ValueError, match="not finite"):
            writer.append(broken, 0, 1, opens=True)
        with pytest.raises(ValueError, match="opens no shot"):
            writer.append(gaussians, 0, 1, opens=False)
        writer.append(gaussians, 0, 1, opens=True)
        for first, second, opens in ((1, 0.5, False), (2, 3, False), (1, 2, True), (2, 1e13, True)):
            with pytest.raises(ValueError, match="does not follow"):
                writer.append(gaussians, first, second, opens=opens)
        (curved,) = make_scene(2, degree=9)
        with pytest.raises(ValueError, match="degree 9"):
            writer.append(curved, 1, 2, opens=False)
    assert len(read_all(tmp_path / "scene.ssplat")) == 1, "what is refused leaves no trace"
    with pytest.raises(UserError, match="cannot write"):
        SceneWriter(tmp_path, HEADER)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"grid_size": (5000, 2)}, "sides of 1 to 4096"),
        ({"grid_size": (2048, 2048)}, "at most 2097152"),
        ({"image_size": (0, 5)}, "sides of 1 to 16384"),
        ({"background": (0.0, 2.0, 0.0)}, "background"),
        ({"frames_per_second": math.inf}, "frame rate"),
    ],
)
def test_impossible_headers_are_refused(values: dict, said: str) -> None:
    arguments = {"image_size": (48, 80), "grid_size": GRID, "frame_size": (48, 80), **values}
    with pytest.raises(UserError, match=said):
        SceneHeader(**arguments)


def test_a_long_name_is_cut_between_letters(make_scene: MakeScene, write: Write) -> None:
    header = SceneHeader(HEADER.image_size, GRID, HEADER.frame_size, source="ä" * 700)
    with open_scene(write(make_scene(1), header=header)) as scene:
        assert scene.header.source == "ä" * 512


def test_grids_have_square_cells() -> None:
    assert grid_of(144 * 256, (288, 512)) == (144, 256)
    assert grid_of(8 * 16, (32, 64)) == (8, 16)
    with pytest.raises(ValueError, match="square cells"):
        grid_of(100, (288, 512))


def test_slopes_of_zero_do_not_fade(make_scene: MakeScene, write: Write) -> None:
    for before, after in zip(shot := make_scene(2), read_all(write(shot)), strict=True):
        still = before.opacity_slopes == 0
        assert still.sum() > 20
        assert (after.opacity_slopes[still] == 0).all()
        assert np.isfinite(after.opacity_half_lives.numpy()).all()
