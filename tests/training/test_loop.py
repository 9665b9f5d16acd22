"""Short runs of a micro network on the CPU."""

import json
import math

import cv2
import numpy as np
import pytest
import torch
from safetensors import SafetensorError

from core.checks import UserError
from core.data.augmentation.options import AugmentationOptions
from core.io import weights
from core.io.weights import read_tensors
from core.models import load_model, load_weights
from core.training import DataOptions, OptimizerOptions, loop, train
from core.training.feeding.options import DatasetOptions
from core.training.stages.stage import StepLosses
from core.training.workspace.checkpoints import LATEST, find_checkpoint

pytestmark = pytest.mark.slow


def _lines(workspace, kind):
    lines = [json.loads(line) for line in (workspace / "log.jsonl").read_text().splitlines()]
    return [line for line in lines if line["kind"] == kind]


def test_the_loss_goes_down(make_static_stage, tmp_path, run_options):
    # One picture over and over.
    rows, columns = np.mgrid[0:40, 0:80]
    picture = np.stack([3 * columns, 6 * rows, 255 - 3 * columns], axis=-1).astype(np.uint8)
    path = tmp_path / "clips/gradient/JPEGImages/00000.png"
    path.parent.mkdir(parents=True)
    cv2.imwrite(str(path), picture)
    data = DataOptions(
        datasets=(DatasetOptions(name="frames", path=tmp_path / "clips"),),
        augmentation=AugmentationOptions.none(),
        workers=0,
    )
    run = run_options(steps=60, log_every=10)
    stage = make_static_stage()
    assert train(stage, data, run, OptimizerOptions(lr=3e-3, warmup_steps=2)).finished
    losses = [line["loss"] for line in _lines(run.workspace, "train")]
    assert losses[-1] < 0.2 * losses[0]


def test_stage_two_trains_on_both_sources_and_its_result_loads(
    make_dynamic_stage, clips_root, scenes, optimizer, run_options
):
    data = DataOptions(
        datasets=(DatasetOptions(name="frames", path=clips_root),),
        workers=1,
        procedural=scenes.procedural,
    )
    run = run_options(
        eval_every=4, picture_every=4, eval_clips_path=clips_root, mixed_precision="bf16"
    )
    outcome = train(make_dynamic_stage(), data, run, optimizer)
    assert len(_lines(run.workspace, "train")) == run.steps
    assert {name.split("/")[0] for name in outcome.metrics} == {"procedural", "clips"}
    assert {name.split("/")[1] for name in outcome.metrics} == {
        *("psnr_given", "psnr_middle", "ssim_given", "ssim_middle"),
    }
    assert _lines(run.workspace, "eval")[0]["procedural/psnr_given"] == pytest.approx(
        outcome.metrics["procedural/psnr_given"]
    )
    picture = cv2.imread(str(run.workspace / "samples/step_000004.png"))
    assert picture.shape[1] > 6 * 320
    assert np.unique(picture.reshape(-1, 3), axis=0).shape[0] > 100
    model = load_model(run.workspace)
    trained = read_tensors(run.workspace / LATEST / "model.safetensors")
    for name, value in model.state_dict().items():
        assert torch.equal(value, trained[name]), name


def test_time_is_up_after_a_step_and_everything_is_saved(
    make_static_stage, scenes, optimizer, run_options
):
    run = run_options(steps=1000, max_minutes=1e-6)
    stage = make_static_stage()
    outcome = train(stage, scenes, run, optimizer)
    assert (outcome.stopped_by, outcome.progress.step) == ("time", 1)
    assert find_checkpoint(run.workspace) is not None
    load_weights(stage.build_model(), run.workspace)


def _break_steps(stage, broken_steps):
    """Make the loss NaN in some steps, counted from 0."""
    compute, calls = stage.compute_losses, iter(range(10**6))

    def compute_losses(*arguments):
        losses = compute(*arguments)
        if next(calls) in broken_steps:
            return StepLosses(losses.total * torch.nan, losses.terms)
        return losses

    stage.compute_losses = compute_losses
    return stage


def test_steps_that_are_not_finite_are_skipped_and_counted(
    make_static_stage, scenes, optimizer, run_options
):
    run = run_options(steps=4)
    outcome = train(_break_steps(make_static_stage(), {1, 2}), scenes, run, optimizer)
    assert outcome.progress.skipped_steps == 2
    weights = read_tensors(run.workspace / "model.safetensors")
    assert all(torch.isfinite(value).all() for value in weights.values())
    assert _lines(run.workspace, "train")[-1]["skipped_steps"] == 2


def test_nothing_is_saved_over_while_steps_are_skipped(
    make_static_stage, scenes, optimizer, run_options, monkeypatch
):
    saved, write = [], loop.write_checkpoint

    def record(*arguments):
        saved.append(arguments[-1].progress.step)
        write(*arguments)

    monkeypatch.setattr(loop, "write_checkpoint", record)
    run = run_options(steps=12, steps_per_epoch=2, save_every_epochs=1, max_skipped_steps=4)
    stage = _break_steps(make_static_stage(), range(5, 12))
    with pytest.raises(UserError, match="not finite in 4 steps"):
        train(stage, scenes, run, optimizer)
    assert saved == [2, 4]
    one = _break_steps(make_static_stage(), {1})  # step 6
    assert train(one, scenes, run, optimizer).progress.skipped_steps == 1
    assert saved == [2, 4, 7, 8, 10, 12]


def test_divergence_ends_the_run_with_a_message(make_static_stage, scenes, optimizer, run_options):
    stage = _break_steps(make_static_stage(), range(100))
    with pytest.raises(UserError, match="not finite in 10 steps in a row"):
        train(stage, scenes, run_options(steps=30), optimizer)


def test_impossible_options_name_their_flag(make_static_stage, scenes, run_options):
    for changes in ({"steps": 0}, {"seed": -1}, {"seed": 2**63}, {"max_minutes": 0.0}):
        with pytest.raises(UserError, match=f"--{next(iter(changes))}"):
            run_options(**changes)
    for changes in ({"lr": math.inf}, {"lr": math.nan}, {"weight_decay": math.nan}):
        with pytest.raises(UserError, match=f"--{next(iter(changes))}"):
            OptimizerOptions(**changes)
    with pytest.raises(UserError, match="--lambda_depth"):
        make_static_stage(lambda_depth=math.nan)
    with pytest.raises(UserError, match="--warmup_steps"):
        train(make_static_stage(), scenes, run_options(), OptimizerOptions(warmup_steps=4))


def test_a_run_shorter_than_the_published_warm_up_trains_with_the_defaults(
    make_static_stage, scenes, run_options
):
    run = run_options(steps=30, max_minutes=1e-6)
    train(make_static_stage(), scenes, run, OptimizerOptions())
    (line,) = _lines(run.workspace, "train")
    assert line["lr"] == pytest.approx(OptimizerOptions().lr / 3)
    # A checkpoint knows the warm-up itself, as it did where that was given.
    recorded = json.loads((run.workspace / "options.json").read_text())["options"]
    assert recorded["optimizer.warmup_steps"] == 3
    train(make_static_stage(), scenes, run, OptimizerOptions(warmup_steps=3))


class Killed(BaseException):
    pass


@pytest.mark.parametrize("place", ["save_model", "write_checkpoint"])
def test_killed_while_the_last_step_is_saved_a_run_ends_with_its_result(
    make_static_stage, scenes, optimizer, run_options, monkeypatch, place
):
    run = run_options(steps=4, steps_per_epoch=2, save_every_epochs=1)
    save, calls = getattr(loop, place), iter(range(10))

    def kill(*arguments):
        if next(calls) == 1:
            (run.workspace / ".model.0123.partial.safetensors").touch()
            raise Killed
        save(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(loop, place, kill)
        with pytest.raises(Killed):
            train(make_static_stage(), scenes, run, optimizer)
    assert train(make_static_stage(), scenes, run, optimizer).progress.step == 4
    result = read_tensors(run.workspace / "model.safetensors")
    for name, value in read_tensors(run.workspace / LATEST / "model.safetensors").items():
        assert torch.equal(value, result[name]), name
    assert not list(run.workspace.glob(".*partial*"))


def test_a_full_disk_is_one_line(make_static_stage, scenes, optimizer, run_options, monkeypatch):
    def fail(*arguments, **options):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(weights, "save_file", fail)
    with pytest.raises(UserError, match=r"cannot write .*model\.safetensors: .*No space left"):
        train(make_static_stage(), scenes, run_options(), optimizer)


def test_a_log_with_a_broken_line_is_continued(make_static_stage, scenes, optimizer, run_options):
    first = run_options(steps=4, max_minutes=1e-6)
    train(make_static_stage(), scenes, first, optimizer)
    with (first.workspace / "log.jsonl").open("ab") as file:
        file.write(b'{"step": 2, "kind": "tr\xff')
    train(make_static_stage(), scenes, run_options(steps=4), optimizer)
    assert [line["step"] for line in _lines(first.workspace, "train")] == [1, 2, 3, 4]


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_rasteriser_without_its_device_is_named(
    make_static_stage, scenes, optimizer, run_options
):
    with pytest.raises(UserError, match="--rasterizer cuda"):
        train(make_static_stage(rasterizer="cuda"), scenes, run_options(), optimizer)


def test_out_of_memory_says_what_helps(make_static_stage, scenes, optimizer, run_options):
    stage = make_static_stage()

    def compute_losses(*arguments):
        raise torch.OutOfMemoryError("no more")

    stage.compute_losses = compute_losses
    with pytest.raises(UserError, match="ran out of memory at --batch_size"):
        train(stage, scenes, run_options(), optimizer)


def test_a_finished_run_restores_its_result(make_static_stage, scenes, optimizer, run_options):
    run = run_options(steps=3)
    train(make_static_stage(), scenes, run, optimizer)
    result = run.workspace / "model.safetensors"
    whole = result.read_bytes()
    result.write_bytes(b"")  # as a machine that loses power may leave it
    train(make_static_stage(), scenes, run, optimizer)
    assert result.read_bytes() == whole


def test_a_run_resumes_to_its_last_epoch_with_batches_of_another_size(
    make_static_stage, optimizer, run_options, clips_root, caplog
):
    data = DataOptions(datasets=(DatasetOptions(name="frames", path=clips_root),), workers=0)
    options = {"steps": None, "steps_per_epoch": None}
    first = train(make_static_stage(), data, run_options(**options, epochs=2), optimizer).progress
    assert first.samples == 2 * first.step
    changed = {"epochs": 5, "batch_size": 1, "resume_with_changes": True}
    with caplog.at_level("INFO", "streamsplat"):
        last = train(make_static_stage(), data, run_options(**options, **changed), optimizer)
    assert last.progress.samples * 2 == first.samples * 5
    assert f"step {first.step} is step {2 * first.step} of {5 * first.step}" in caplog.text
