from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from core.checks import UserError
from core.geometry.canonical import canonical_from_pixels
from core.geometry.fit import FrameFit
from core.streaming import Interval
from core.tracking import PointTracks, Tracker, grid_points, track
from core.types import DynamicGaussians

SIZE = (32, 64)
FIT = FrameFit(SIZE, SIZE)
NEAR, FAR = 0.8, 0.2
BACKGROUND = torch.tensor([0.5, 0.25])
"""Pixels per key frame along u and v."""
SQUARE = torch.tensor([5.0, 0.0])
CORNER, SIDE = torch.tensor([8.0, 12.0]), 8


def in_square(points: Tensor, time: float) -> Tensor:
    low = CORNER + time * SQUARE - 0.5
    return ((points >= low) & (points < low + SIDE)).all(-1)


def key_frame(number: int, anchor: float) -> DynamicGaussians:
    """Lift each pixel of a square that moves before a background that moves too."""
    height, width = SIZE
    v, u = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    points = torch.stack([u, v], dim=-1).reshape(-1, 2).float()
    square = in_square(points, number)
    speed = torch.where(square[:, None], SQUARE, BACKGROUND) * torch.tensor(
        [2 / width, -2 / height]
    )
    motion = torch.stack([speed[:, 0], torch.zeros(len(speed)), speed[:, 1]], dim=-1)
    one = torch.ones(1, len(points))
    return DynamicGaussians(
        means=canonical_from_pixels(points, torch.where(square, NEAR, FAR), SIZE)[None],
        motion=motion[None, :, None],
        scales=torch.tensor([1 / width, 1 / width, 1 / height]).expand(1, len(points), 3),
        quats=torch.tensor([1.0, 0, 0, 0]).expand(1, len(points), 4),
        colors=torch.zeros(1, len(points), 3),
        opacities=0.95 * one,
        opacity_slopes=8 * one,
        opacity_half_lives=0.5 * one,
        anchor_times=anchor * one,
    )


def interval(first: int, *, opens: bool | None = None) -> Interval:
    """Return the scene from one key frame to the next; key frames are one unit of time apart."""
    scene = DynamicGaussians.cat([key_frame(first, 0.0), key_frame(first + 1, 1.0)], dim=1)
    times = float(first), float(first + 1)
    return Interval(first, first + 1, *times, scene, first == 0 if opens is None else opens)


POINTS = torch.tensor([[11.2, 16.0], [40.0, 8.0], [24.3, 15.0], [62.5, 20.0]])
"""In the square; before nothing; where the square will pass; where the picture ends soon."""
TIMES = [i / 4 for i in range(21)]


def truth(points: Tensor, start: float, time: float) -> Tensor:
    speed = torch.where(in_square(points, start)[:, None], SQUARE, BACKGROUND)
    return points + (time - start) * speed


def test_points_move_with_what_they_are_on_and_hide_behind_what_passes() -> None:
    tracks = track((interval(i) for i in range(5)), POINTS, 0.0, TIMES, FIT)
    expected = torch.stack([truth(POINTS, 0.0, t) for t in TIMES])
    assert tracks.times.tolist() == TIMES
    torch.testing.assert_close(tracks.points, expected, atol=0.1, rtol=0)
    torch.testing.assert_close(
        tracks.inverse_depths, torch.tensor([NEAR, FAR, FAR, FAR]).expand(21, 4), atol=0.01, rtol=0
    )
    assert tracks.visible[:, 0].all()
    assert tracks.visible[:, 1].all()
    edge = torch.tensor(SIDE - 0.5)
    for time, place, visible in zip(TIMES, expected[:, 2], tracks.visible[:, 2], strict=True):
        inside = place - CORNER - time * SQUARE  # of the square, whose edges are blurred
        if (inside > 0.5).all() and (inside < edge - 1).all():
            assert not visible, time
        elif (inside < -1.5).any() or (inside > edge + 1).any():
            assert visible, time
    assert not tracks.visible[:, 2].all()
    assert tracks.visible[-1, 2]
    beyond = expected[:, 3, 0] - 63.5
    decided = beyond.abs() > 0.1
    assert torch.equal(tracks.visible[decided, 3], beyond[decided] < 0)


@pytest.mark.gpu
def test_tracks_on_the_gpu_are_those_on_the_cpu() -> None:
    def there(number: int) -> Interval:
        scene = interval(number)
        return replace(scene, gaussians=scene.gaussians.to("cuda"))

    expected = track((interval(i) for i in range(5)), POINTS, 0.0, TIMES, FIT)
    tracks = track((there(i) for i in range(5)), POINTS, 0.0, TIMES, FIT)
    assert tracks.points.device.type == "cuda"
    torch.testing.assert_close(tracks.points.cpu(), expected.points, atol=1e-3, rtol=0)
    assert (tracks.visible.cpu() == expected.visible).float().mean() > 0.97


def test_points_may_be_chosen_at_any_time() -> None:
    starts = torch.tensor([0.0, 1.5, 2.0, 2.75])
    points = torch.tensor([[30.0, 5.0], [20.0, 15.0], [21.0, 17.0], [50.0, 25.0]])
    tracks = track((interval(i) for i in range(4)), points, starts, TIMES[:17], FIT)
    for n, start in enumerate(starts.tolist()):
        asked = torch.tensor([t >= start for t in TIMES[:17]])
        assert tracks.points[~asked, n].isnan().all()
        assert tracks.inverse_depths[~asked, n].isnan().all()
        assert not tracks.visible[~asked, n].any()
        assert tracks.visible[asked, n].any()
        expected = [truth(points[n : n + 1], start, t)[0] for t in TIMES[:17] if t >= start]
        torch.testing.assert_close(tracks.points[asked, n], torch.stack(expected), atol=0.1, rtol=0)


def test_times_may_leave_intervals_out() -> None:
    dense = track((interval(i) for i in range(4)), POINTS, 0.0, TIMES[:17], FIT)
    sparse = track((interval(i) for i in range(4)), POINTS, 0.0, [0.5, 3.5], FIT)
    assert torch.equal(sparse.points, dense.points[[2, 14]])
    assert torch.equal(sparse.visible, dense.visible[[2, 14]])
    for intervals in ([], [interval(0)]):
        none = track(intervals, POINTS, 0.0, [], FIT)
        assert none.points.shape == (0, 4, 2)
        assert none.visible.shape == none.inverse_depths.shape == (0, 4)
        assert none.visible.dtype == torch.bool


def test_a_time_of_single_precision_is_the_time_that_is_asked_for() -> None:
    tracks = track([interval(0)], POINTS[:1], torch.tensor([0.1]), [0.1], FIT)
    torch.testing.assert_close(tracks.points[0], POINTS[:1], atol=1e-4, rtol=0)
    assert tracks.visible.all()


def test_a_tracker_is_what_track_uses_and_keeps_nothing_of_the_past() -> None:
    at_once = track((interval(i) for i in range(3)), POINTS, 0.0, [1.0, 2.0, 3.0], FIT)
    tracker = Tracker(POINTS, 0.0, FIT)
    parts, seen = [], []
    for i in range(3):
        new = interval(i)
        parts.append(tracker.advance(new))
        seen.append(weakref.ref(new.gaussians.means))
        del new
    gc.collect()
    assert [reference() is None for reference in seen] == [True] * 3
    step_by_step = PointTracks.cat(parts)
    assert torch.equal(step_by_step.points, at_once.points)
    assert torch.equal(step_by_step.visible, at_once.visible)
    assert torch.equal(at_once.element(1).points, parts[1].points)


def test_a_cut_ends_the_tracks_of_its_shot() -> None:
    points = torch.tensor([[11.0, 16.0], [11.0, 16.0]])
    tracker = Tracker(points, torch.tensor([0.0, 2.0]), FIT)
    before = tracker.advance(interval(0))
    still = replace(interval(2, opens=True), second=2, second_time=2.0, gaussians=key_frame(0, 0.0))
    after = tracker.advance(still)
    assert before.visible.tolist() == [[True, False]]
    assert after.visible.tolist() == [[False, True]]
    torch.testing.assert_close(after.points[0, 0], before.points[0, 0])
    last = tracker.advance(interval(3, opens=True))
    assert not last.visible.any()


def test_a_point_chosen_between_two_shots_stays_where_it_was_chosen() -> None:
    starts = torch.tensor([1.0, 1.5, 2.0, -0.5])
    intervals = [interval(0), interval(2, opens=True), interval(3)]
    tracks = track(intervals, POINTS, starts, [1.0, 2.0, 4.0], FIT)
    assert tracks.points[0, 1].isnan().all()
    torch.testing.assert_close(tracks.points[1:, 1], POINTS[1].expand(2, 2), atol=1e-4, rtol=0)
    assert tracks.inverse_depths[:, 1].isnan().all()
    assert not tracks.visible[:, 1].any()
    assert tracks.visible[:, 0].tolist() == [True, False, False]
    assert tracks.points[1:, 2].isfinite().all(), "chosen at the new shot's first key frame"
    assert tracks.points[:, 3].isnan().all(), "chosen before the stream"


def test_points_are_those_of_the_input_frames() -> None:
    fit = FrameFit((48, 160), SIZE, "crop")  # the model sees columns 32 to 127
    points = torch.tensor([[33.0, 20.0], [100.0, 40.0]])
    tracks = track([interval(0)], points, 0.0, [0.0, 1.0], fit)
    torch.testing.assert_close(tracks.points[0], points, atol=1e-4, rtol=0)
    torch.testing.assert_close(tracks.points[1], points + BACKGROUND * 48 / 32, atol=0.05, rtol=0)
    padded = FrameFit((32, 32), SIZE, "pad")
    gone = track([interval(0)], torch.tensor([[31.4, 4.0]]), 0.0, [0.0, 1.0], padded)
    assert gone.visible.tolist() == [[True], [False]]


def test_errors_name_what_is_wrong() -> None:
    with pytest.raises(UserError, match=r"point 1 is \(64, 3\).*\(-0.5, -0.5\) to \(63.5, 31.5\)"):
        Tracker(torch.tensor([[0.0, 0.0], [64.0, 3.0]]), 0.0, FIT)
    with pytest.raises(UserError, match="point 0 is"):
        Tracker(torch.tensor([[torch.nan, 0.0]]), 0.0, FIT)
    with pytest.raises(UserError, match="not finite"):
        Tracker(POINTS, torch.inf, FIT)
    with pytest.raises(ValueError, match=r"shape \(4,\)"):
        Tracker(POINTS[:, 0], 0.0, FIT)
    tracker = Tracker(POINTS, 0.0, FIT)
    with pytest.raises(UserError, match=r"at time 1\.5; the interval lasts from 0 to 1"):
        tracker.advance(interval(0), [1.5])
    tracker.advance(interval(0))
    with pytest.raises(ValueError, match="begins at key frame 2"):
        tracker.advance(interval(2))
    with pytest.raises(ValueError, match="begins at key frame 0"):
        tracker.advance(interval(0))
    with pytest.raises(ValueError, match=r"shape \(3,\).*4 points"):
        Tracker(POINTS, torch.zeros(3), FIT)
    with pytest.raises(UserError, match="time 7, after the stream's end"):
        track([interval(0)], POINTS, 0.0, [0.5, 7.0], FIT)


def test_no_points_and_nothing_to_see() -> None:
    none = track([interval(0)], POINTS[:0], 0.0, [0.0, 1.0], FIT)
    assert none.points.shape == (2, 0, 2)
    scene = interval(0)
    faded = replace(scene.gaussians, opacities=0 * scene.gaussians.opacities)
    tracks = track([replace(scene, gaussians=faded)], POINTS, 0.0, [0.0, 1.0], FIT)
    assert not tracks.visible.any()
    torch.testing.assert_close(tracks.points[1], POINTS, atol=1e-4, rtol=0)


def test_grid_points() -> None:
    points = grid_points((30, 60), 4)
    assert points.shape == (8, 2)
    torch.testing.assert_close(points[:2], torch.tensor([[7.0, 7.0], [22.0, 7.0]]))
    torch.testing.assert_close(points.mean(0), torch.tensor([29.5, 14.5]))
    with pytest.raises(UserError, match="at least 1"):
        grid_points((30, 60), 0)
