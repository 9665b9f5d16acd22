from __future__ import annotations

from collections.abc import Callable
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from core.data.procedural import ProceduralOptions, ProceduralSource
from core.io import list_frames, read_image
from core.models import StreamSplat
from core.streaming import CutDetector, Session

SIZE = (72, 128)


def cuts(frames: list[np.ndarray]) -> list[int]:
    detector = CutDetector()
    return [i for i, frame in enumerate(frames) if detector.is_cut(frame)]


@pytest.fixture(scope="module")
def clips(real_clips: Path) -> dict[str, list[np.ndarray]]:
    folders = sorted(real_clips.glob("*/JPEGImages"))
    size = (256, 144)
    return {
        folder.parent.name: [cv2.resize(read_image(f), size) for f in list_frames(folder)]
        for folder in folders
    }


@pytest.mark.parametrize("gap", [1, 2, 3])
def test_no_motion_in_real_clips_is_a_cut(clips: dict[str, list[np.ndarray]], gap: int) -> None:
    for name, frames in clips.items():
        for start in range(gap):
            assert cuts(frames[start::gap]) == [], name


@pytest.mark.parametrize("gap", [1, 3])
def test_every_joint_of_two_real_clips_is_a_cut(
    clips: dict[str, list[np.ndarray]], gap: int
) -> None:
    for (first, a), (second, b) in permutations(clips.items(), 2):
        before, after = a[::gap][-8:], b[::gap][:4]
        assert cuts(before + after) == [len(before)], f"{first} to {second}"


def test_a_cut_at_the_second_frame_is_seen_as_a_rule(clips: dict[str, list[np.ndarray]]) -> None:
    """Nothing is known of the shot then: what is missed here looks alike at thumbnail size."""
    found = [
        cuts([a[start], b[start]]) == [1]
        for a, b in permutations(clips.values(), 2)
        for start in (0, 10, 20)
    ]
    assert sum(found) / len(found) > 0.9


def procedural(index: int, count: int) -> list[np.ndarray]:
    options = ProceduralOptions(
        height=SIZE[0], width=SIZE[1], object_motion=0.25, camera_motion=0.1
    )
    views = ProceduralSource(options, seed=3).sample_scenes([index])
    frames = views.render(torch.linspace(0, 1, count)[None]).frames[0]
    return list((frames * 255).round().byte().permute(0, 2, 3, 1).numpy())


def test_procedural_shots_are_told_apart() -> None:
    """Clips of 8 frames move as fast as procedural scenes can."""
    shots = [procedural(index, 8) for index in range(6)]
    joined = [frame for shot in shots for frame in shot]
    assert cuts(joined) == [8, 16, 24, 32, 40]


def test_exposure_and_noise_are_no_cuts() -> None:
    shot = procedural(0, 12)
    rng = np.random.default_rng(0)
    gains = [1, 1, 1.3, 1.3, 1, 0.8, 0.8, 1, 1.25, 1, 1, 1]
    lit = [
        np.clip(frame * gain + rng.normal(0, 12, frame.shape), 0, 255).astype(np.uint8)
        for frame, gain in zip(shot, gains, strict=True)
    ]
    assert cuts(lit) == []


def test_plain_pictures_are_shots_too() -> None:
    black, red, blue = (np.full((*SIZE, 3), color, np.uint8) for color in (0, (200, 20, 20), 60))
    blue[..., 2] = 220
    frames = [black] * 3 + procedural(0, 3) + [red] * 3 + [blue] * 3 + [black] * 2
    assert cuts(frames) == [3, 6, 9, 12]


def test_floating_point_frames_count_alike() -> None:
    shots = procedural(1, 3) + procedural(2, 3)
    as_floats = [torch.from_numpy(frame).permute(2, 0, 1) / 255 for frame in shots]
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        detector = CutDetector()
        seen = [detector.is_cut(frame.to(dtype)) for frame in as_floats]
        assert seen == [False] * 3 + [True] + [False] * 2


def test_a_session_does_not_smear_two_shots(network: StreamSplat, frame: Callable) -> None:
    one, other = frame(0), procedural(2, 1)[0][:36, :72]
    with Session(network, max_persistent=20) as session:
        closed = [session.push(image) for image in (one, one, one, other, other)]
        spans = [[(i.first, i.second, i.opens) for i in part] for part in closed]
        assert spans == [[], [(0, 1, True)], [(1, 2, False)], [], [(3, 4, True)]]
        assert session.intervals[-1].fading is None
        # Between the shots the old one stands still.
        session.reset()
        for image in (one, one, other):
            session.push(image)
        end, held, new = session.render([1.0, 1.7, 2.0]).rgb[0]
        assert torch.equal(end, held)
        assert (held - new).abs().mean() > 0.05


def test_a_shot_of_one_frame_is_shown_as_it_is(network: StreamSplat, frame: Callable) -> None:
    one, other = frame(0), procedural(2, 1)[0][:36, :72]
    with Session(network) as session:
        assert session.push(one) == []
        (static,) = session.push(other)
        assert (static.first, static.second, static.is_static) == (0, 0, True)
        assert len(session.push(one)) == 1
    with Session(network, batch_size=4) as session:
        closed = [session.push(image) for image in (one, other, one, one)]
        closed.append(session.end_shot())
        assert [[i.first for i in part] for part in closed] == [[], [0], [1], [], [2]]


def test_cuts_between_key_frames_are_found(network: StreamSplat, frame: Callable) -> None:
    one, other = frame(0), procedural(2, 1)[0][:36, :72]
    with Session(network, frame_gap=4) as session:
        closed = [session.push(image) for image in (one, one, other, other, other)]
        (before,), (after,) = closed[2], session.end_shot()
    assert (before.first_time, before.second_time) == (0, 1)
    assert (after.first_time, after.second_time, after.opens) == (2, 4, True)


def test_cuts_are_not_looked_for_on_request(network: StreamSplat, frame: Callable) -> None:
    other = procedural(2, 1)[0][:36, :72]
    with Session(network, detect_cuts=False) as session:
        session.push(frame(0))
        (interval,) = session.push(other)
        assert (interval.first, interval.second) == (0, 1)
