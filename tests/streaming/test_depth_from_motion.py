"""Sessions that find depth from the motion of the camera."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch

from configs.options_inference import EMBEDDED_MODEL
from core.checks import UserError
from core.depth.motion import MotionDepth
from core.depth.motion.camera import focal_length
from core.depth.motion.stream import MotionState
from core.geometry.fit import FrameFit
from core.models import build_model, load_model
from core.models.fast.acceleration import Acceleration, FastModel
from core.models.matching.config import MatchingConfig
from core.models.matching.network import MatchingNetwork
from core.streaming import Session
from core.streaming.depth_from_motion import MatchedMotion
from core.streaming.pair_model import own_inverse_depth
from tests.moving_camera import ExactFlow, View
from tests.pixel_clips import MODEL_SIZE, PixelModel, Pixels

VIEWS = [View(0.14 * i) for i in range(6)]


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


def test_a_shot_starts_from_the_angle_of_view_of_the_one_before() -> None:
    flow = ExactFlow([View(0.12 * i, turn=-0.03 * i, fov=75.0) for i in range(8)])
    motion = MotionDepth(flow=flow)
    with Session(
        Recording(), image_size=MODEL_SIZE, detect_cuts=False, motion_depth=motion
    ) as session:
        for picture in flow.pictures:
            session.push(_rgb(picture))
        session.end_shot()
        assert motion.state.found is None
        assert session.estimated_fov is not None
        assert session.estimated_fov > 65
        session.reset()
        assert motion.state == MotionState()
        assert session.estimated_fov is None


def test_depth_comes_from_one_source() -> None:
    with pytest.raises(ValueError, match="not both"):
        Session(
            PixelModel(),
            image_size=MODEL_SIZE,
            estimate_depth=lambda image: image[:, :1],
            motion_depth=MotionDepth(),
        )


@pytest.fixture(scope="module")
def network() -> MatchingNetwork:
    """A network with a matcher that was trained, for small frames."""
    model = load_model(EMBEDDED_MODEL)
    assert isinstance(model, MatchingNetwork)
    config = MatchingConfig(**{**vars(model.config), "image_height": 96, "image_width": 128})
    small = build_model(config).eval()
    small.load_state_dict(model.state_dict())
    assert isinstance(small, MatchingNetwork)
    return small


def _room() -> list[np.ndarray]:
    return [_rgb(View(0.14 * i).picture()) for i in range(6)]


def test_a_network_with_a_matcher_matches_each_pair_once_and_finds_depth(
    network: MatchingNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: Counter[str] = Counter()
    given: list[torch.Tensor] = []

    def count(module: torch.nn.Module, name: str) -> None:
        module.register_forward_pre_hook(lambda *_: calls.update([name]))

    model = copy.deepcopy(network)
    count(model.static.encoder, "encoder")
    count(model.dynamic.matcher, "matcher")
    count(model.static.heads.first, "heads")
    model.static.heads.register_forward_pre_hook(lambda _, inputs: given.append(inputs[1][0, 0]))
    with Session(model, detect_cuts=False, motion_depth=MotionDepth()) as session:
        intervals = [i for frame in _room() for i in session.push(frame)]
    assert calls == {"encoder": 6, "matcher": 5, "heads": 6}
    assert len(intervals) == 5
    assert not given[0].any(), "nothing has moved"
    last = given[-1]
    assert last.shape == (96, 128)
    truth = torch.from_numpy(View(0.14 * 5).inverse_depth())
    found = last[::2, ::2].double()
    ranks = torch.corrcoef(torch.stack((found.flatten(), truth.flatten())))
    assert ranks[0, 1] > 0.7
    # What is decoded by the matches that are there is what would be decoded without them.
    with torch.inference_mode():
        images = [torch.from_numpy(f).permute(2, 0, 1)[None] / 255 for f in _room()[-2:]]
        keys = [model.encode(i, d[None, None]) for i, d in zip(images, given[-2:], strict=True)]
        expected = model.decode(*keys)
    torch.testing.assert_close(intervals[-1].gaussians.means, expected.means, atol=1e-5, rtol=0)


def test_an_angle_of_view_that_is_kept_is_as_one_that_is_given(
    network: MatchingNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(focal_length, "_LOOKED_AT", 4)
    monkeypatch.setattr(focal_length, "_SURE_DEVIATION", 0.28)
    motion, fit = MatchedMotion(), FrameFit((96, 128), (96, 128))
    angles = []
    with torch.inference_mode():
        for i in range(7):
            frame = torch.from_numpy(_rgb(View(0.12 * i, turn=0.03 * i).picture()))
            motion.see(network, frame.permute(2, 0, 1)[None] / 255, fit)
            angles.append(motion.state.angle.fov)
    kept = angles[-1]
    assert kept is not None
    assert kept != 60
    assert angles == [None] * 4 + [kept] * 3
    assert motion.state.found is not None
    assert motion.state.found.is_scaled
    assert motion.state.found.focal is None


def test_batches_are_matched_in_the_order_of_their_pairs(network: MatchingNetwork) -> None:
    found = []
    for batch_size in (1, 3):
        with Session(
            network, detect_cuts=False, batch_size=batch_size, motion_depth=MotionDepth()
        ) as session:
            intervals = [i for frame in _room() for i in session.push(frame)]
            found.append([i.gaussians for i in intervals + session.end_shot()])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one.means, other.means, atol=1e-4, rtol=0)
        torch.testing.assert_close(one.motion, other.motion, atol=1e-4, rtol=0)


def test_frames_with_depth_of_their_own_need_no_matches(network: MatchingNetwork) -> None:
    """Nor does the next frame take the matches with the frame before them for its own."""
    frames = _room()[:4]
    depth = np.tile(np.linspace(0, 1, 128, dtype=np.float32), (96, 1))
    with Session(network, detect_cuts=False, motion_depth=MotionDepth()) as session:
        intervals = [
            interval
            for i, frame in enumerate(frames)
            for interval in session.push(frame, depth=depth if i == 2 else None)
        ]
    with Session(network, detect_cuts=False) as session:
        plain = [
            interval
            for i, frame in enumerate(frames)
            for interval in session.push(frame, depth=depth if i == 2 else None)
        ]
    for one, other in zip(intervals[1:], plain[1:], strict=True):
        # Depth differs, which moves what is drawn by fractions of a pixel, but no flow does.
        difference = one.gaussians.motion[..., 0, 0] - other.gaussians.motion[..., 0, 0]
        assert difference.abs().mean() < 0.1 * 2 / 128


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("acceleration", "fov"),
    [("none", 60.0), ("graphs", 60.0), ("graphs", None), ("compile", None)],
)
def test_a_gpu_finds_the_depth_that_the_cpu_finds_and_is_not_waited_for(
    network: MatchingNetwork, acceleration: Acceleration, fov: float | None
) -> None:
    found = []
    for device in ("cpu", "cuda"):
        model = copy.deepcopy(network).to(device)
        fast = FastModel(model, acceleration=acceleration if device == "cuda" else "none")
        matching, motion = fast.matching, MatchedMotion(fov)
        fit = FrameFit((96, 128), (96, 128))
        depths = []
        with torch.inference_mode():
            for i, frame in enumerate(_room()):
                image = torch.from_numpy(frame).permute(2, 0, 1)[None].to(device) / 255
                assert matching is not None
                if device == "cuda" and i > 1:
                    torch.cuda.set_sync_debug_mode("error")
                try:
                    depths.append(motion.see(matching, image, fit).inverse_depth)
                finally:
                    if device == "cuda":
                        torch.cuda.set_sync_debug_mode("default")
        found.append([depth.cpu() for depth in depths])
    for one, other in zip(*found, strict=True):
        # Convolutions run in TF32 there; what is uncertain takes another inverse depth.
        assert (one - other).abs().median() < 0.02
    assert found[1][-1].any()


def test_the_own_depth_of_a_model_is_that_of_its_static_gaussians() -> None:
    model = Recording()
    own = own_inverse_depth(model, torch.rand(1, 3, *MODEL_SIZE))
    assert own.shape == MODEL_SIZE
    assert torch.allclose(own[0], torch.linspace(0.3, 0.6, MODEL_SIZE[1]))
