from dataclasses import asdict, replace

import pytest

from core.checks import UserError
from core.training import DataOptions, DatasetOptions, OptimizerOptions, ReportOptions, train
from core.training.workspace.resuming import MAY_DIFFER, flatten, list_differences


def test_options_become_flat_numbers_and_text(tmp_path):
    nested = {"run": {"seed": 0, "path": tmp_path, "report": {"none": None}}, "betas": (0.9, 0.95)}
    assert flatten(nested) == {
        "run.seed": 0,
        "run.path": str(tmp_path),
        "run.report.none": None,
        "betas": "0.9, 0.95",
    }


def test_options_of_several_datasets_go_by_their_names():
    one, two = ({"data": {"datasets": ({"name": "davis", "weight": w},)}} for w in (1.0, 2.0))
    assert list_differences(flatten(one), flatten(two)) == [
        "datasets.davis.weight was 1.0 and is 2.0"
    ]


def test_only_what_changes_learning_counts():
    before = {"run.lr": 0.1, "run.log_every": 5, "run.gone": 1}
    now = {"run.lr": 0.2, "run.log_every": 6, "run.new": 2}
    assert list_differences(before, now) == [
        "gone was 1 and is None",
        "lr was 0.1 and is 0.2",
        "new was None and is 2",
    ]
    assert list_differences(before, before) == []


def test_what_may_differ_exists(make_dynamic_stage, run_options, tmp_path):
    stage = make_dynamic_stage()
    data = DataOptions(datasets=(DatasetOptions(name="frames", path=tmp_path),))
    groups = {"run": run_options(), "data": data, "model": stage.options}
    names = {
        name.rpartition(".")[2] for group in groups.values() for name in flatten(asdict(group))
    }
    assert names >= MAY_DIFFER


def test_other_options_are_listed_and_can_be_allowed(
    make_static_stage, scenes, optimizer, run_options, caplog
):
    train(make_static_stage(), scenes, run_options(), optimizer)
    longer = {"steps": 6, "save_every_minutes": 7.0}
    changed = OptimizerOptions(lr=1e-3, warmup_steps=2)
    with pytest.raises(UserError, match="other options") as caught:
        train(make_static_stage(lambda_depth=0.5), scenes, run_options(**longer), changed)
    message = str(caught.value)
    for part in (
        "lr was 0.003 and is 0.001",
        "lambda_depth was 0.05 and is 0.5",
        "steps was 4 and is 6",
        "--resume_with_changes",
    ):
        assert part in message
    assert "save_every" not in message
    with caplog.at_level("WARNING", "streamsplat"):
        outcome = train(
            make_static_stage(lambda_depth=0.5),
            scenes,
            run_options(**longer, resume_with_changes=True),
            changed,
        )
    assert outcome.progress.step == 6
    assert "lr was 0.003 and is 0.001" in caplog.text
    # From now on the new ones are those of the run.
    report = ReportOptions(log_every=3, eval_every=0, picture_every=0)
    same = replace(run_options(steps=6), report=report)
    assert train(make_static_stage(lambda_depth=0.5), scenes, same, changed).finished


def test_a_checkpoint_of_another_stage_or_network_is_refused(
    make_static_stage, make_dynamic_stage, scenes, optimizer, run_options
):
    run = run_options(resume_with_changes=True)
    train(make_static_stage(), scenes, run, optimizer)
    with pytest.raises(UserError, match=r"of stage 'static', this is stage 'dynamic'"):
        train(make_dynamic_stage(), scenes, run, optimizer)
    with pytest.raises(UserError, match="another network: encoder_layers was 1 and is 2"):
        train(make_static_stage({"encoder_layers": 2}), scenes, run, optimizer)
