"""LPIPS in a run: without weights an error at the start, with them a loss from an epoch on."""

import json

import pytest
import torch
import torchvision

from core.checks import UserError
from core.training import train


@pytest.fixture(scope="module")
def backbone(tmp_path_factory):
    path = tmp_path_factory.mktemp("vgg") / "vgg16.pth"
    torch.manual_seed(0)
    features = torchvision.models.vgg16(weights=None).features
    torch.save(features.state_dict(prefix="features."), path)
    return path


def test_missing_weights_end_a_run_that_will_need_them_before_it_begins(
    make_static_stage, scenes, optimizer, run_options, tmp_path
):
    run = run_options(steps=5, steps_per_epoch=1)
    missing = {"lpips_backbone_path": tmp_path / "vgg16.pth", "lpips_from_epoch": 4}
    message = r"--lpips_backbone_path .*vgg16\.pth: no such file.*epoch 4 of 5.*--lambda_lpips 0"
    with pytest.raises(UserError, match=message):
        train(make_static_stage(**missing), scenes, run, optimizer)
    assert not (run.workspace / "log.jsonl").exists()
    assert train(make_static_stage(**missing, lambda_lpips=0.0), scenes, run, optimizer).finished
    short = run_options("short", steps=4, steps_per_epoch=1)
    assert train(make_static_stage(**missing), scenes, short, optimizer).finished


def test_the_perceptual_loss_begins_at_its_epoch_and_counts(
    make_dynamic_stage, scenes, optimizer, run_options, backbone
):
    stage = make_dynamic_stage(
        lpips_backbone_path=backbone, lpips_from_epoch=1, lambda_lpips=0.7, num_frames=2
    )
    run = run_options(steps=3, steps_per_epoch=2, batch_size=1, eval_every=3)
    outcome = train(stage, scenes, run, optimizer)
    first, second, third = (
        line
        for line in map(json.loads, (run.workspace / "log.jsonl").read_text().splitlines())
        if line["kind"] == "train"
    )
    assert "lpips" not in {*first, *second}
    assert third["lpips"] > 0
    parts = third["mse"] + 3 * third["mask"] + 0.01 * third["depth"] + 0.7 * third["lpips"]
    assert third["loss"] == pytest.approx(parts, rel=1e-5)
    assert outcome.metrics["procedural/lpips_given"] > 0


def test_weights_that_are_damaged_and_not_needed_are_left_aside(
    make_static_stage, scenes, optimizer, run_options, tmp_path, caplog
):
    path = tmp_path / "vgg16.pth"
    path.write_bytes(b"no weights")
    run = run_options(eval_every=4)
    with caplog.at_level("WARNING", "streamsplat"):
        outcome = train(make_static_stage(lpips_backbone_path=path), scenes, run, optimizer)
    assert set(outcome.metrics) == {"procedural/psnr_given", "procedural/ssim_given"}
    assert "Validation goes without LPIPS" in caplog.text
