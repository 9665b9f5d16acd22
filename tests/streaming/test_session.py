from __future__ import annotations

import copy
import gc
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from core.checks import UserError
from core.geometry.canonical import normalize_inverse_depth
from core.geometry.fit import FrameFit
from core.geometry.motion import opacities_at
from core.models import StreamSplat
from core.models.fast.acceleration import FastModel
from core.rendering import render
from core.streaming import IncompleteShotError, Interval, Session
from core.streaming.cuts import CutDetector
from core.streaming.fusion import is_visible_within
from core.streaming.intake import Intake
from core.streaming.pair_model import device_of
from core.types import DynamicGaussians

SIZE = (32, 64)
Draw = Callable[[int], np.ndarray]
Check = Callable[..., None]


def offline(
    model: StreamSplat, frames: list[np.ndarray], depths: list[np.ndarray]
) -> list[DynamicGaussians]:
    """Encode both frames of each pair anew and decode the pair, as the method is written down."""
    fit = FrameFit((36, 72), SIZE)

    def inputs(index: int) -> tuple[Tensor, Tensor]:
        image = torch.from_numpy(frames[index]).permute(2, 0, 1)[None].float() / 255
        depth = torch.from_numpy(depths[index])[None, None]
        return fit.to_model(image), normalize_inverse_depth(fit.to_model(depth))

    with torch.inference_mode():
        return [
            model.decode(model.encode(*inputs(first)), model.encode(*inputs(second)))
            for first, second in pairwise(range(len(frames)))
        ]


@pytest.mark.parametrize("batch", [1, 3])
def test_a_session_gives_what_pairs_by_themselves_give(
    network: StreamSplat, frame: Draw, depth: Draw, batch: int
) -> None:
    frames, depths = [frame(i) for i in range(6)], [depth(i) for i in range(6)]
    intervals: list[Interval] = []
    with Session(network, batch_size=batch) as session:
        for i in range(6):
            intervals += session.push(frames[i], depth=depths[i])
    assert [(i.first, i.second) for i in intervals] == list(pairwise(range(6)))
    for interval, pair in zip(intervals, offline(network, frames, depths), strict=True):
        for name, value in vars(interval.gaussians).items():
            if batch == 1:
                assert torch.equal(value, getattr(pair, name))
            else:  # other sizes of the same matrix products round differently
                torch.testing.assert_close(value, getattr(pair, name), atol=1e-4, rtol=1e-4)


def test_beyond_the_crossfade_a_session_renders_its_pairs(
    network: StreamSplat, frame: Draw, depth: Draw, assert_images_agree: Check
) -> None:
    inside = [0.05, 0.25, 0.5, 0.9, 1.0]
    with Session(network, crossfade=0.05) as session:
        for i in range(4):
            session.push(frame(i), depth=depth(i))
        for interval in session.intervals:
            rendered = session.render([interval.first_time + t for t in inside])
            pair = render(interval.gaussians, torch.tensor([inside]), SIZE)
            for name in ("rgb", "depth", "alpha"):
                assert_images_agree(getattr(rendered, name), getattr(pair, name), atol=1e-5)


def test_each_frame_passes_each_network_once(network: StreamSplat, frame: Draw) -> None:
    calls: Counter[str] = Counter()

    def count(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, inputs: tuple[Tensor, ...], output: object) -> None:
            calls[name] += len(inputs[0])

        return hook

    parts = {
        "encoder": network.static.encoder,
        "upsampler": network.static.upsampler,
        "heads": network.static.heads,
        "condition": network.dynamic.condition,
        "decoder": network.dynamic.decoder,
    }
    handles = [part.register_forward_hook(count(name)) for name, part in parts.items()]
    estimates = []

    def estimate(image: Tensor) -> Tensor:
        estimates.append(image.shape)
        return image[:, :1]

    with Session(network, estimate_depth=estimate) as session:
        for i in range(5):
            session.push(frame(i))
            if session.window is not None:
                session.render(session.window)
    for handle in handles:
        handle.remove()
    once = dict.fromkeys(("encoder", "upsampler", "heads", "condition"), 5)
    assert calls == {**once, "decoder": 4}
    assert estimates == [(1, 3, 36, 72)] * 5


@pytest.mark.parametrize("max_persistent", [0, 50])
def test_the_scene_is_continuous_at_key_frames(
    network: StreamSplat,
    frame: Draw,
    depth: Draw,
    assert_images_agree: Check,
    max_persistent: int,
) -> None:
    without = []
    with Session(network, max_persistent=max_persistent) as session:
        for i in range(6):
            session.push(frame(i), depth=depth(i))
            if i >= 2:
                key = i - 1.0
                before, after = session.render([key, key + 1e-6]).rgb[0]
                assert_images_agree(before, after, atol=1e-3)
                left, right = session.intervals
                pairs = (left.gaussians, 1.0), (right.gaussians, 0.0)
                ends = [render(scene, torch.tensor([[t]]), SIZE).rgb for scene, t in pairs]
                without.append((ends[0] - ends[1]).abs().max().item())
    assert min(without) > 0.02, "the test would see a jump"


def test_a_key_frame_has_one_set_of_gaussians_and_two_deformations(
    network: StreamSplat, frame: Draw
) -> None:
    with Session(network) as session:
        for i in range(3):
            session.push(frame(i))
        left, right = session.intervals
        n = left.num_first
        for name in ("means", "scales", "quats", "colors", "opacities"):
            backward = getattr(left.gaussians, name)[:, n : 2 * n]
            assert torch.equal(backward, getattr(right.gaussians, name)[:, :n])
        assert not torch.equal(left.gaussians.motion[:, n:], right.gaussians.motion[:, :n])
        assert (left.gaussians.anchor_times[:, n:] == 1).all()
        assert (right.gaussians.anchor_times[:, :n] == 0).all()


def test_what_has_faded_is_pruned_without_changing_the_picture(
    network: StreamSplat, frame: Draw, assert_images_agree: Check
) -> None:
    with Session(network) as session:
        for i in range(2):
            session.push(frame(i))
        (interval,) = session.intervals
        whole = interval.gaussians
        steep = torch.full_like(whole.opacity_slopes, 40.0)
        early = torch.full_like(whole.opacity_half_lives, 0.3)
        faded = interval.gaussians.__class__(
            **{
                **vars(whole),
                "opacity_slopes": steep,
                "opacity_half_lives": early,
            }
        )
        changed = interval.__class__(0, 1, 0.0, 1.0, faded, opens=True)
        session._timeline.state = replace(session._timeline.state, closed=(changed,))
        n = interval.num_first
        scene = session.scene(0.6)
        assert scene.num_gaussians <= n, "those of the first frame are gone"
        assert session.scene(0.1).num_gaussians > n
        opacity = opacities_at(
            scene.opacities,
            scene.opacity_slopes,
            scene.opacity_half_lives,
            torch.zeros_like(scene.opacities),
        )
        assert (opacity >= 1 / 255).all()
        times = torch.tensor([[0.6, 0.8, 1.0]])
        pruned, whole = (render(gaussians, times, SIZE).rgb for gaussians in (scene, faded))
        assert_images_agree(pruned, whole, atol=1e-6)


def test_any_time_of_the_last_two_intervals_can_be_rendered(
    network: StreamSplat, frame: Draw
) -> None:
    with Session(network) as session:
        assert session.window is None
        with pytest.raises(UserError, match="no frame was pushed"):
            session.render(0.0)
        for i, time in enumerate([3.0, 3.5, 5.0, 9.0]):
            session.push(frame(i), time=time)
            assert session.window == ([3.0, 3.0, 3.0, 3.5][i], time)
        times = [9.0, 3.5, 4.25, 5.0, 7.0]
        together = session.render(times).rgb[0]
        for time, image in zip(times, together, strict=True):
            assert torch.equal(session.render(time).rgb[0, 0], image)
        assert session.interval_at(4.25).pair_time(4.25) == 0.5
        for time in (3.4, 9.1):
            with pytest.raises(UserError, match=r"from 3\.5 to 9"):
                session.render(time)


@pytest.mark.parametrize("max_persistent", [0, 50])
def test_the_scene_of_a_time_is_what_is_rendered_then_and_later(
    network: StreamSplat,
    frame: Draw,
    depth: Draw,
    assert_images_agree: Check,
    max_persistent: int,
) -> None:
    def picture(scene: DynamicGaussians, time: float) -> Tensor:
        return render(scene, torch.tensor([[time - 2]]), SIZE).rgb[0]

    with Session(network, max_persistent=max_persistent) as session:
        for i in range(4):
            session.push(frame(3 * i), depth=depth(i))
        interval = session.intervals[-1]
        scenes = {time: session.scene(time) for time in (2.00001, 2.02, 2.06, 2.5)}
        for time, scene in scenes.items():
            # One image at a time and another set of Gaussians: sums are in another order.
            assert_images_agree(picture(scene, time), session.render(time).rgb[0], atol=1e-5)
        end = session.render(3.0).rgb[0]
        for time in (2.06, 2.5):
            assert_images_agree(picture(scenes[time], 3.0), end, atol=1e-5)
        n = interval.num_first
        for time in (2.00001, 2.02):
            scene = scenes[time]
            fading_in = interval.gaussians.means[0, n : 2 * n]
            held = (scene.means[0, None] == fading_in[:, None]).all(-1).any(1)
            seen = is_visible_within(interval.gaussians, time - 2, 1.0)[0, n : 2 * n]
            assert held[seen].all(), "what fades in is held before it can be seen"


def test_a_first_frame_can_be_seen_at_once(network: StreamSplat, frame: Draw) -> None:
    with Session(network) as session:
        assert session.push(frame(0), time=2.0) == []
        alone = session.render(2.0)
        assert alone.rgb.shape == (1, 1, 3, *SIZE)
        assert session.scene(2.0).num_gaussians == session.intervals[0].num_first
        (static,) = session.end_shot()
    assert static.is_static
    assert torch.equal(render(static.gaussians, torch.zeros(1, 1), SIZE).rgb, alone.rgb)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"frame": np.zeros((36, 70, 3), np.uint8)}, "70 by 36 pixels"),
        ({"frame": np.zeros((36, 72), np.uint8)}, r"\(36, 72\)"),
        ({"frame": np.zeros((36, 72, 4), np.uint8)}, r"\(36, 72, 4\)"),
        ({"frame": np.zeros((36, 72, 3), np.int32)}, "int32"),
        ({"frame": np.full((36, 72, 3), np.nan, np.float32)}, "nan"),
        ({"frame": np.full((36, 72, 3), 200, np.float32)}, "200"),
        ({"frame": "frame.png"}, "str"),
        ({"frame": np.zeros((0, 72, 3), np.uint8)}, r"\(0, 72, 3\)"),
        ({"time": 1.0}, "greater than"),
        ({"time": float("nan")}, "nan"),
        ({"depth": np.zeros((3, 4, 5), np.float32)}, r"\(3, 4, 5\)"),
        ({"depth": np.full((36, 72), np.inf, np.float32)}, "not finite"),
    ],
)
def test_a_bad_frame_is_one_line_and_changes_nothing(
    network: StreamSplat, frame: Draw, bad: dict, message: str
) -> None:
    with Session(network) as session, Session(network) as undisturbed:
        for i in range(2):
            session.push(frame(i), time=float(i))
            undisturbed.push(frame(i), time=float(i))
        with pytest.raises(UserError, match=message) as caught:
            session.push(**{"frame": frame(2), "time": 2.0, **bad})
        assert "\n" not in str(caught.value)
        for i in range(2, 4):
            session.push(frame(i), time=float(i))
            undisturbed.push(frame(i), time=float(i))
        times = [1.5, 2.5, 3.0]
        assert torch.equal(session.render(times).rgb, undisturbed.render(times).rgb)


def test_frames_of_every_kind_are_the_same_frame(network: StreamSplat, frame: Draw) -> None:
    pixels = frame(0)
    floats = torch.from_numpy(pixels).permute(2, 0, 1).float() / 255
    kinds = [pixels, torch.from_numpy(pixels), floats, floats[None], floats.numpy()]
    seen = []
    for kind in kinds:
        with Session(network) as session:
            session.push(kind)
            seen.append(session.render(0.0).rgb)
    assert all(torch.equal(seen[0], other) for other in seen[1:])


def test_a_bad_frame_leaves_a_batch_as_it_was(network: StreamSplat, frame: Draw) -> None:
    with Session(network, batch_size=2) as session:
        session.push(frame(0))
        with pytest.raises(UserError, match="alike"):
            session.push(np.zeros((20, 30, 3), np.uint8))
        (interval,) = session.push(frame(1))
        assert [seen.time for seen in interval.frames] == [0, 1]


def test_arrays_that_torch_dislikes_are_taken(network: StreamSplat, frame: Draw) -> None:
    frozen = frame(0).copy()
    frozen.flags.writeable = False
    with warnings.catch_warnings(), Session(network) as session:
        warnings.simplefilter("error")
        session.push(frozen)
        session.push(frame(1)[::-1])
        with pytest.raises(UserError, match="no time"):
            session.render([])
        assert session.render(np.int64(1)).rgb.shape[1] == 1
        with pytest.raises(UserError, match="type"):
            session.push(frame(2).astype(">f4"))


def test_a_reset_session_is_as_new(network: StreamSplat, frame: Draw) -> None:
    with Session(network, max_persistent=10) as session:
        for i in range(4):
            session.push(frame(i))
        session.reset()
        assert session.window is None
        assert session.push(np.zeros((20, 30, 3), np.uint8)) == []
        assert session.window == (0, 0)
    with pytest.raises(UserError, match="closed"):
        session.push(frame(0))
    with pytest.raises(UserError, match="closed"):
        session.render(0.0)
    session.close()


@pytest.mark.slow
@pytest.mark.parametrize("max_persistent", [0, 100])
def test_what_a_session_keeps_does_not_grow(
    network: StreamSplat, frame: Draw, max_persistent: int
) -> None:
    def held() -> int:
        gc.collect()
        tensors = [value for value in gc.get_objects() if type(value) is Tensor]
        storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
        return sum(storages.values())

    sizes = []
    with Session(network, max_persistent=max_persistent) as session:
        for i in range(12):
            session.push(frame(i))
            if i in (3, 11):
                sizes.append(held())
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(
    "options",
    [
        {"crossfade": 1.0},
        {"crossfade": -0.1},
        {"max_persistent": -1},
        {"max_persistent": 2.5},
        {"max_persistent": 4 * 32 * 64 + 1},
        {"max_persistent": 10**20},
        {"fit": "foo"},
        {"frame_gap": 0},
        {"batch_size": 0},
    ],
)
def test_impossible_options_are_refused(network: StreamSplat, options: dict) -> None:
    (name,) = options
    with pytest.raises(ValueError, match=name):
        Session(network, **options)


def test_times_come_in_any_kind_of_number(network: StreamSplat, frame: Draw) -> None:
    with Session(network) as session:
        session.push(frame(0), torch.tensor(0.0))  # type: ignore[arg-type]
        session.push(frame(1), np.float32(2))  # type: ignore[arg-type]
        expected = session.render([1.0, 2.0]).rgb
        assert torch.equal(session.render(torch.tensor([1.0, 2.0])).rgb, expected)
        assert torch.equal(session.render(np.array(1.0)).rgb, expected[:, :1])
        for odd in ("1", None, [None], "ab"):
            with pytest.raises(UserError, match="expected a number"):
                session.render(odd)  # type: ignore[arg-type]
        with pytest.raises(UserError, match="expected a number"):
            session.push(frame(2), time="3")  # type: ignore[arg-type]
        with pytest.raises(UserError, match="beyond what double precision holds"):
            session.push(frame(2), time=10**400)
        assert session.window == (0.0, 2.0)


class Failing:
    """A network that runs out of memory when it is told to."""

    def __init__(self, network: StreamSplat) -> None:
        self.network, self.config = network, network.config
        self.fails: str | None = None

    def __getattr__(self, name: str) -> Callable:
        def call(*arguments: object) -> object:
            if self.fails == name:
                raise torch.OutOfMemoryError(name)
            return getattr(self.network, name)(*arguments)

        return call


@pytest.mark.parametrize("fails", ["encode", "decode", "static_gaussians"])
@pytest.mark.parametrize(
    "options", [{}, {"max_persistent": 64}, {"frame_gap": 2}, {"frame_gap": 2, "batch_size": 2}]
)
def test_a_failure_of_any_kind_leaves_the_stream_as_it_was(
    network: StreamSplat, frame: Draw, fails: str, options: dict
) -> None:
    model = Failing(network)
    # The fourth frame is another picture, at which the detector sees a cut.
    frames = [frame(0), frame(1), frame(2), *(255 - frame(i) for i in (40, 41, 42, 43))]

    def run(failing: str | None) -> list[Interval]:
        intervals: list[Interval] = []
        failures = 0
        with Session(model, device="cpu", **options) as session:
            for step in [*(partial(session.push, picture) for picture in frames), session.end_shot]:
                before = session.intervals, session.window
                model.fails = failing
                try:
                    intervals += step()
                except torch.OutOfMemoryError:
                    failures += 1
                    assert (session.intervals, session.window) == before
                    model.fails = None
                    intervals += step()
        assert (failures > 0) == (failing is not None)
        return intervals

    expected, got = run(None), run(fails)
    assert [(i.first, i.second) for i in got] == [(i.first, i.second) for i in expected]
    for one, other in zip(got, expected, strict=True):
        assert [seen.time for seen in one.frames] == [seen.time for seen in other.frames]
        for name, value in vars(one.gaussians).items():
            assert torch.equal(value, getattr(other.gaussians, name))


def test_what_ended_is_looked_at_only_while_it_fades(network: StreamSplat, frame: Draw) -> None:
    with Session(network, crossfade=0.05) as session:
        for i in range(3):
            session.push(frame(i))
        interval = session.intervals[-1]
        assert interval.ended is not None
        session.render([1.05, 1.5, 2.0])
        assert "fading" not in vars(interval)
        session.render(1.01)
        assert "fading" in vars(interval)


@pytest.mark.parametrize("estimate", [None, lambda image: image[:, :1]])
def test_frames_may_be_written_over_once_they_are_pushed(estimate: Callable | None) -> None:
    intake = Intake(SIZE, torch.device("cpu"), "stretch", estimate)
    picture, depth = torch.rand(*SIZE, 3), torch.rand(*SIZE)
    prepared = [intake.prepare(picture, None if estimate else depth) for _ in range(2)]
    before = [prepared[0].image.clone(), prepared[0].inverse_depth().clone()]
    picture.zero_()
    depth.zero_()
    assert torch.equal(prepared[1].image, before[0])
    assert torch.equal(prepared[1].inverse_depth(), before[1])


def test_key_frames_are_every_so_manyth_frame_and_the_last_one(
    network: StreamSplat, frame: Draw
) -> None:
    with Session(network, frame_gap=3) as session:
        closed = [session.push(frame(i), name=f"frame {i}") for i in range(6)]
        closed.append(session.end_shot())
    assert [len(intervals) for intervals in closed] == [0, 0, 0, 1, 0, 0, 1]
    intervals = [interval for part in closed for interval in part]
    assert [(i.first_time, i.second_time) for i in intervals] == [(0, 3), (3, 5)]
    assert [[f.time for f in i.frames] for i in intervals] == [[0, 1, 2, 3], [4, 5]]
    assert [[i.is_key(f) for f in i.frames] for i in intervals] == [[1, 0, 0, 1], [0, 1]]
    assert intervals[1].frames[0].name == "frame 4"
    assert intervals[1].frames[0].image.shape == (1, 3, *SIZE)


def test_depth_is_asked_for_key_frames_only(network: StreamSplat, frame: Draw, depth: Draw) -> None:
    asked: list[int] = []

    def ask(index: int) -> np.ndarray:
        asked.append(index)
        return depth(index)

    with Session(network, frame_gap=2) as session, Session(network) as given:
        for i in range(4):
            session.push(frame(i), i, partial(ask, i))
        intervals = session.intervals, session.end_shot()
        for i in (0, 2, 3):
            given.push(frame(i), i, depth(i))
        for got, expected in zip((*intervals[0], *intervals[1]), given.intervals, strict=True):
            assert torch.equal(got.gaussians.means, expected.gaussians.means)
    assert asked == [0, 2, 3]


def test_a_shot_ends_before_frames_whose_depth_cannot_be_used(
    network: StreamSplat, frame: Draw
) -> None:
    def damaged() -> np.ndarray:
        raise UserError("the depth map is damaged")

    other = 255 - frame(40)
    with Session(network, frame_gap=5) as session:
        for i in range(4):
            session.push(frame(i), i, damaged if i in (2, 3) else None, name=f"0{i}")
        with pytest.raises(IncompleteShotError, match="frame 02: the depth map is damaged") as cut:
            session.push(other, 4)
        (interval,) = cut.value.intervals
        assert [seen.time for seen in interval.frames] == [0, 1]
        with pytest.raises(UserError, match="frame 4: the depth map is damaged"):
            session.push(other, 4, damaged)
        session.push(other, 4)
        (static,) = session.end_shot()
        assert (static.is_static, static.first, static.first_time) == (True, 2, 4)


def test_a_session_is_where_its_model_is(network: StreamSplat) -> None:
    elsewhere = copy.deepcopy(network).to("meta")
    for model in (elsewhere, FastModel(elsewhere)):
        assert device_of(model) == torch.device("meta")
    assert device_of(network) == device_of(object()) == torch.device("cpu")


@pytest.mark.gpu
def test_a_session_on_a_fast_model_works_on_its_gpu(network: StreamSplat, frame: Draw) -> None:
    with Session(FastModel(copy.deepcopy(network).to("cuda"))) as session:
        session.push(frame(0))
        session.push(torch.from_numpy(frame(1).copy()) / 255)
        assert session.render([0.5]).rgb.device.type == "cuda"


def test_the_device_encodes_key_frames_while_the_host_looks_for_cuts(
    network, frame, monkeypatch
) -> None:
    order: list[str] = []
    encode = network.encode
    monkeypatch.setattr(network, "encode", lambda *given: order.append("encode") or encode(*given))
    monkeypatch.setattr(CutDetector, "is_cut", lambda *given: bool(order.append("cut")))
    session = Session(network, frame_gap=2)
    for i in range(3):
        session.push(frame(i))
    assert order == ["encode", "cut", "cut", "encode", "cut"]
