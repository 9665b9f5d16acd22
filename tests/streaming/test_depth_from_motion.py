"""Sessions that find depth from the motion of the camera."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from core.checks import UserError
from core.depth.motion import MotionDepth
from core.streaming import Session
from core.streaming.pair_model import own_inverse_depth
from tests.moving_camera import ExactFlow, View
from tests.pixel_clips import MODEL_SIZE, PixelModel, Pixels

VIEWS = [View(0.11 * i) for i in range(6)]


@pytest.fixture(scope="module")
def flow() -> ExactFlow:
    return ExactFlow(VIEWS)


class Recording(PixelModel):
    """Keeps the depth that key frames come with; its own depth is a slope to the right."""

    def __init__(self) -> None:
        self.given: list[torch.Tensor] = []
        self.asked = 0

    def encode(self, images: torch.Tensor, inverse_depths: torch.Tensor) -> Pixels:
        if not inverse_depths.any():
            self.asked += 1
            slope = torch.linspace(0.3, 0.6, MODEL_SIZE[1]).expand_as(inverse_depths)
            return super().encode(images, slope)
        self.given.append(inverse_depths[0, 0])
        return super().encode(images, inverse_depths)


def _rgb(picture: np.ndarray) -> np.ndarray:
    return np.repeat(picture[:, :, None], 3, axis=2)


def _session(model: PixelModel, flow: Callable, **options) -> Session:
    return Session(
        model,
        image_size=MODEL_SIZE,
        detect_cuts=False,
        motion_depth=MotionDepth(flow=flow),
        **options,
    )


def test_key_frames_get_depth_in_one_unit_and_not_each_its_own(flow: ExactFlow) -> None:
    model = Recording()
    with _session(model, flow) as session:
        for picture in flow.pictures:
            session.push(_rgb(picture))
    assert len(model.given) >= len(VIEWS) - 2
    assert len(model.given) + model.asked == len(VIEWS) + 1, "the first frame is asked for, too"
    across, down = torch.linspace(0.3, 0.6, MODEL_SIZE[1]), torch.linspace(0.2, 0.8, MODEL_SIZE[0])
    expected = (across + down[:, None]) / 2
    last = model.given[-1]
    near, far = last[16:24, 20:38].median(), last[16:24, 54:62].median()
    guess_near, guess_far = expected[16:24, 20:38].median(), expected[16:24, 54:62].median()
    assert guess_near < guess_far
    assert near / far > 1.4, "2 in truth"
    assert last.max() < 0.999 or last.min() > 0.001, "not stretched to [0, 1]"


def test_a_shot_s_last_frame_comes_before_the_next_shot_begins() -> None:
    """Depth of the next shot is found from its own frames, whatever came before."""
    flow = ExactFlow([View(0.04 * i) for i in range(10)])
    alone, after = Recording(), Recording()
    with _session(alone, flow, frame_gap=2) as session:
        for picture in flow.pictures:
            session.push(_rgb(picture))
    with _session(after, flow, frame_gap=2) as session:
        for picture in flow.pictures[:2]:
            session.push(_rgb(picture))
        session.end_shot()
        begin = len(after.given)
        for picture in flow.pictures:
            session.push(_rgb(picture))
    assert begin == 0
    assert len(alone.given) >= 2
    for one, other in zip(alone.given, after.given[begin:], strict=True):
        assert torch.equal(one, other)


def test_a_frame_that_cannot_be_used_leaves_depth_as_it_was(flow: ExactFlow) -> None:
    plain, disturbed = Recording(), Recording()
    with _session(plain, flow) as one, _session(disturbed, flow) as other:
        for picture in flow.pictures[:4]:
            one.push(_rgb(picture))
            other.push(_rgb(picture))
            with pytest.raises(UserError, match="pixels"):
                other.push(_rgb(picture)[:-2])
    for expected, got in zip(plain.given, disturbed.given, strict=True):
        assert torch.equal(expected, got)


def test_depth_comes_from_one_source() -> None:
    with pytest.raises(ValueError, match="not both"):
        Session(
            PixelModel(),
            image_size=MODEL_SIZE,
            estimate_depth=lambda image: image[:, :1],
            motion_depth=MotionDepth(),
        )


def test_the_own_depth_of_a_model_is_that_of_its_static_gaussians() -> None:
    model = Recording()
    own = own_inverse_depth(model, torch.rand(1, 3, *MODEL_SIZE))
    assert own.shape == MODEL_SIZE
    assert torch.allclose(own[0], torch.linspace(0.3, 0.6, MODEL_SIZE[1]))
