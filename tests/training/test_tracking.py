"""What trackers receive, read back from what they leave on the disk."""

import json
import sys

import pytest

from core.checks import UserError
from core.training import train
from core.training.checkpoints import LATEST
from core.training.tracking import require_tracker

STEPS = {"picture_every": 2, "eval_every": 2, "log_every": 1}


def test_tensorboard_receives_every_number_and_the_pictures(
    make_static_stage, scenes, optimizer, run_options
):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = run_options(tracker="tensorboard", **STEPS)
    train(make_static_stage(), scenes, run, optimizer)
    reader = events.EventAccumulator(str(run.workspace / "streamsplat"))
    reader.Reload()
    lines = [json.loads(line) for line in (run.workspace / "log.jsonl").read_text().splitlines()]
    for kind, names in (
        ("train", ("loss", "mse", "depth", "grad_norm", "lr", "samples_per_second", "data_wait")),
        ("eval", ("procedural/psnr_given", "procedural/ssim_given")),
    ):
        written = [line for line in lines if line["kind"] == kind]
        for name in names:
            events = reader.Scalars(f"{kind}/{name}")
            assert [event.step for event in events] == [line["step"] for line in written]
            assert [event.value for event in events] == pytest.approx([w[name] for w in written])
    assert [image.step for image in reader.Images("samples")] == [2, 4]


def test_wandb_is_given_the_same_run_again(
    make_static_stage, scenes, optimizer, run_options, monkeypatch
):
    wandb = pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    started, logged = [], []
    begin = wandb.init

    def init(**options):
        started.append(options)
        run = begin(**options)
        log = run.log

        def keep(values, step=None, **rest):
            logged.append((step, dict(values)))
            log(values, step=step, **rest)

        run.log = keep
        return run

    monkeypatch.setattr(wandb, "init", init)
    options = {"tracker": "wandb", "wandb_mode": "offline", "run_name": "mine", **STEPS}
    run = run_options(**options)
    train(make_static_stage(), scenes, run, optimizer)
    longer = run_options(**options, steps=6, resume_with_changes=True)
    train(make_static_stage(), scenes, longer, optimizer)
    first, second = started
    state = json.loads((run.workspace / LATEST / "state.json").read_text())
    assert first["id"] == second["id"] == state["run_id"]
    assert (first["resume"], first["mode"], first["name"]) == ("allow", "offline", "mine")
    assert first["project"] == "streamsplat"
    assert {step for step, values in logged if "train/loss" in values} == set(range(1, 7))
    assert {step for step, values in logged if "samples" in values} == {2, 4, 6}
    assert len(list((run.workspace / "wandb").glob(f"offline-run-*-{state['run_id']}"))) >= 1


def test_a_tracker_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr("core.training.tracking.is_wandb_available", lambda: False)
    with pytest.raises(UserError, match=r"--tracker wandb: .*pip install wandb"):
        require_tracker("wandb")
    require_tracker("none")
