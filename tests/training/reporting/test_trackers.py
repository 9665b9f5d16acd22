"""What trackers receive, read back from what they leave on the disk."""

import json
import shutil
import struct
import sys
import time
from contextlib import suppress

import pytest

from core.checks import UserError
from core.io.stills.images import read_image
from core.training import train
from core.training.reporting.trackers import require_tracker
from core.training.workspace.checkpoints import LATEST

_FRAME = struct.Struct("<IHB")  # checksum, length, kind
_BLOCK = 2**15
_ENDS = (1, 4)  # kinds of frames that are a whole record, or its last part
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


@pytest.mark.slow
def test_tensorboard_forgets_what_was_drawn_before_the_first_checkpoint(
    make_static_stage, scenes, optimizer, run_options
):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run = run_options(tracker="tensorboard", **STEPS)
    for _ in range(2):
        train(make_static_stage(), scenes, run, optimizer)
        shutil.rmtree(run.workspace / LATEST)  # as after a kill before there was one
    reader = events.EventAccumulator(str(run.workspace / "streamsplat"))
    reader.Reload()
    assert [event.step for event in reader.Scalars("train/loss")] == [1, 2, 3, 4]


@pytest.mark.slow
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


def _read_wandb(path):
    """Read the records of an offline run: wandb's messages in the framing of LevelDB's logs."""
    messages = pytest.importorskip("wandb.proto.wandb_internal_pb2")
    data, at, record = path.read_bytes(), len(b":W&B") + 3, b""
    while at + _FRAME.size <= len(data):
        if (left := _BLOCK - at % _BLOCK) < _FRAME.size:  # too small for a frame, left empty
            at += left
            continue
        _, size, kind = _FRAME.unpack_from(data, at)
        at += _FRAME.size
        record += data[at : at + size]
        at += size
        if kind in _ENDS:
            yield messages.Record.FromString(record)
            record = b""


def _wait_for_records(path):
    """Return all records once the last one, of the run's end, is in the file.

    Another process writes it, which may still be at it when the run has ended.
    """
    message = pytest.importorskip("google.protobuf.message")
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with suppress(message.DecodeError):  # of a record that is half there
            records = list(_read_wandb(path))
            if any(record.WhichOneof("record_type") == "exit" for record in records):
                return records
        time.sleep(0.05)
    raise AssertionError(f"{path} has no end after half a minute")


@pytest.mark.slow
def test_an_offline_run_of_wandb_holds_every_number_and_the_pictures(
    make_static_stage, scenes, optimizer, run_options, monkeypatch
):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run = run_options(tracker="wandb", wandb_mode="offline", **STEPS)
    train(make_static_stage(), scenes, run, optimizer)
    (path,) = run.workspace.glob("wandb/offline-run-*/*.wandb")
    history, configured, ended = {}, {}, []
    for record in _wait_for_records(path):
        kind = record.WhichOneof("record_type")
        for item in record.run.config.update or record.config.update:
            configured[item.key or item.nested_key[0]] = json.loads(item.value_json)
        if kind == "history":
            values = {
                item.key or "/".join(item.nested_key): json.loads(item.value_json)
                for item in record.history.item
            }
            history.setdefault(values["_step"], {}).update(values)
        ended += [record.exit.exit_code] if kind == "exit" else []
    lines = [json.loads(line) for line in (run.workspace / "log.jsonl").read_text().splitlines()]
    for line in lines:
        for name in line.keys() - {"step", "kind"}:
            assert history[line["step"]][f"{line['kind']}/{name}"] == pytest.approx(line[name])
    pictures = [step for step, values in sorted(history.items()) if "samples/filenames" in values]
    assert pictures == [2, 4]
    for step in pictures:
        (name,) = history[step]["samples/filenames"]
        expected = read_image(run.workspace / f"samples/step_{step:06d}.png")
        assert (read_image(path.parent / "files" / name) == expected).all()
    assert configured["stage"] == "static"
    assert configured["run.batch_size"] == run.batch_size
    assert ended == [0]


def test_a_tracker_that_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    monkeypatch.setattr("core.training.reporting.trackers.is_wandb_available", lambda: False)
    with pytest.raises(UserError, match=r"--tracker wandb: .*pip install wandb"):
        require_tracker("wandb")
    require_tracker("none")
