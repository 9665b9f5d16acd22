from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator

from core.metrics import psnr, ssim
from core.training.reporting.pictures import _color_wheel, _motion_panel, draw_samples
from core.training.reporting.validation import evaluating, validate
from core.training.stages.stage import NonFiniteSceneError
from core.types import ClipBatch

SIZE = (32, 64)


def _samples(count, num_frames):
    generator = torch.Generator().manual_seed(0)
    times = torch.linspace(0, 1, num_frames) if num_frames > 1 else torch.zeros(1)
    maps = (1, num_frames, 1, *SIZE)
    return [
        ClipBatch(
            frames=torch.rand(1, num_frames, 3, *SIZE, generator=generator),
            inverse_depths=torch.rand(maps, generator=generator),
            masks=torch.zeros(maps),
            times=times[None],
            motion=torch.zeros(1, 2, 2, 16, 32),
            motion_known=torch.zeros(1, 2, 16, 32, dtype=torch.bool),
            has_depth=torch.tensor([True]),
            has_mask=torch.tensor([False]),
        )
        for _ in range(count)
    ]


def test_given_and_middle_frames_are_measured_apart(make_dynamic_stage):
    stage = make_dynamic_stage(num_frames=4)
    model, sets = stage.build_model(), {"a": _samples(2, 4), "b": _samples(1, 4)}
    metrics = validate(
        Accelerator(cpu=True), stage, model, sets, lambda x, y: (x - y).mean((1, 2, 3))
    )
    groups = {"given": [0, 3], "middle": [1, 2]}
    assert set(metrics) == {
        f"{name}/{metric}_{group}"
        for name in "ab"
        for metric in ("psnr", "ssim", "lpips")
        for group in groups
    }
    model.eval()
    for group, views in groups.items():
        for metric in (psnr, ssim):
            values = []
            for sample in sets["a"]:
                with torch.no_grad():
                    images = stage.reconstruct(model, sample).views.rgb.clamp(0, 1)
                values.append(metric(images[0, views], sample.frames[0, views]).mean())
            expected = torch.stack(values).mean().item()
            assert metrics[f"a/{metric.__name__}_{group}"] == pytest.approx(expected, rel=1e-6)


def test_a_single_frame_has_no_middle_and_two_frames_neither(make_static_stage, make_dynamic_stage):
    for stage in (make_static_stage(), make_dynamic_stage(num_frames=2)):
        samples = _samples(1, stage.num_frames)
        metrics = validate(Accelerator(cpu=True), stage, stage.build_model(), {"a": samples})
        assert set(metrics) == {"a/psnr_given", "a/ssim_given"}


def test_the_network_trains_again_afterwards(make_dynamic_stage):
    model = make_dynamic_stage().build_model().train()
    with evaluating(model):
        assert not model.training
        assert not torch.is_grad_enabled()
    assert model.training
    assert not model.static.training, "the frozen part does not"
    assert torch.is_grad_enabled()


def test_the_sheet_shows_motion_and_the_middle_of_pairs(make_static_stage, make_dynamic_stage):
    accelerator = Accelerator(cpu=True)
    static, dynamic = make_static_stage(), make_dynamic_stage()
    heights = []
    for stage, panels in ((static, 3), (dynamic, 6)):
        sets = {name: _samples(4, stage.num_frames) for name in "ab"}
        sheet = draw_samples(accelerator, stage, stage.build_model(), sets)
        assert sheet.shape[1] == 6 + panels * (320 + 6)
        heights.append(sheet.shape[0])
    assert set(heights) == {6 + 6 * (24 + 160 + 6)}, "three rows of each"


def test_directions_have_the_colours_of_the_wheel_and_no_motion_is_white():
    hue = torch.tensor([[0.0, 1 / 3, 2 / 3, 0.25]])
    colors = _color_wheel(hue, torch.tensor([[1.0, 1.0, 1.0, 0.0]]))[0]
    expected = torch.tensor([[1.0, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]])
    torch.testing.assert_close(colors, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize(("pixels", "label", "colorful"), [(0.02, "1.0 px", 0), (4.0, "4.0 px", 1)])
def test_what_hardly_moves_is_white(make_dynamic_stage, pixels, label, colorful):
    stage = make_dynamic_stage()
    (batch,) = _samples(1, stage.num_frames)
    with torch.no_grad():
        gaussians = stage.reconstruct(stage.build_model().eval(), batch).gaussians
        moving = torch.zeros_like(gaussians.motion)
        moving[..., 0, 0] = 2 * pixels / SIZE[1]  # to the right
        panel = _motion_panel(
            replace(gaussians, motion=moving), batch.times[:, 1], SIZE, stage.options.rasterizer
        )
    assert panel.label.endswith(label)
    saturation = panel.image.max(axis=-1) - panel.image.min(axis=-1)
    assert (saturation > 100).any() == bool(colorful)
    assert colorful or saturation.max() < 10


def test_a_broken_network_is_a_warning_and_stays_in_training(make_static_stage, caplog):
    stage = make_static_stage()
    model = stage.build_model().train()
    with torch.no_grad():
        next(model.encoder.parameters()).fill_(torch.nan)
    sets, accelerator = {"a": _samples(1, 1)}, Accelerator(cpu=True)
    with caplog.at_level("WARNING", "streamsplat"):
        assert validate(accelerator, stage, model, sets) == {}
    assert "not finite on a" in caplog.text
    with pytest.raises(NonFiniteSceneError):
        draw_samples(accelerator, stage, model, sets)
    assert model.training
