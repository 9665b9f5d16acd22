import pytest

from core.checks import UserError
from core.training import DynamicOptimizerOptions, OptimizerOptions
from core.training.plan import Plan, learning_rate, plan_run
from core.training.workspace.checkpoints import Progress


def _plan(run, samples_per_epoch=100, warmup_steps=0):
    options = OptimizerOptions(warmup_steps=warmup_steps)
    return plan_run(run, options, samples_per_epoch=samples_per_epoch, samples_per_step=8)


def test_an_epoch_is_a_pass_over_the_data_unless_said_otherwise(run_options):
    assert _plan(run_options(steps=None, steps_per_epoch=None, epochs=3)) == Plan(36, 12, 8)
    assert _plan(run_options(steps=None, steps_per_epoch=5, epochs=3)) == Plan(15, 5)
    assert _plan(run_options(steps=7, steps_per_epoch=None, epochs=3)) == Plan(7, 12)
    assert _plan(run_options(steps=None, steps_per_epoch=None, epochs=3), None) == Plan(3000, 1000)
    assert _plan(run_options(steps=None, steps_per_epoch=None, epochs=3), 101) == Plan(39, 13, 8)
    assert _plan(run_options(steps=None, steps_per_epoch=None, epochs=3), 3) == Plan(3, 1, 8)


def test_epochs_are_counted_from_0_and_the_last_may_be_short():
    plan = Plan(steps=25, steps_per_epoch=10)
    assert plan.epochs == 3
    assert [plan.epoch(step) for step in (0, 9, 10, 24)] == [0, 0, 1, 2]


@pytest.mark.parametrize(("before", "ahead"), [(8, 0), (16, 20), (4, -10)])
def test_epochs_go_on_where_steps_took_other_numbers_of_samples(before, ahead):
    plan = Plan(steps=60, steps_per_epoch=10, samples_per_step=8)
    resumed = plan.resumed_from(Progress(step=20, samples=20 * before))
    assert resumed.last_step == 60 - ahead
    assert resumed.epoch(20) == (20 * before) // 80
    assert resumed.ends_epochs(20)
    assert not resumed.ends_epochs(21)
    # Nothing is remembered: stopped again, it finds the same.
    later = Progress(step=27, samples=20 * before + 7 * 8)
    assert plan.resumed_from(later) == resumed


def test_steps_that_the_user_gave_stay_what_they_are():
    plan = Plan(steps=60, steps_per_epoch=10)
    assert plan.resumed_from(Progress(step=20, samples=999)) == plan


def test_a_warm_up_until_the_end_names_its_flag(run_options):
    with pytest.raises(UserError, match="--warmup_steps 4 leaves nothing"):
        _plan(run_options(steps=4), warmup_steps=4)


@pytest.mark.parametrize(
    ("options", "steps", "warmup"),
    [
        (OptimizerOptions(), 3_000_000, 50_000),
        (DynamicOptimizerOptions(), 3_000_000, 20_000),
        (OptimizerOptions(), 32_000, 3_200),
        (DynamicOptimizerOptions(), 4, 0),
        (OptimizerOptions(warmup_steps=31_999), 32_000, 31_999),
    ],
)
def test_the_default_warm_up_is_the_published_one_but_at_most_a_tenth(
    run_options, options, steps, warmup
):
    run = run_options(steps=steps)
    plan = plan_run(run, options, samples_per_epoch=None, samples_per_step=8)
    assert plan.warmup_steps == warmup


def test_warm_up_is_linear_and_its_first_step_moves():
    options, plan = OptimizerOptions(lr=1.0), Plan(100, 10, warmup_steps=4)
    rates = [learning_rate(step, plan, options) for step in range(5)]
    assert rates == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_cosine_ends_at_the_final_fraction_and_is_halfway_in_the_middle():
    options, plan = OptimizerOptions(lr=2.0, final_lr_fraction=0.1), Plan(101, 10)
    assert learning_rate(0, plan, options) == pytest.approx(2.0)
    assert learning_rate(50, plan, options) == pytest.approx(2.0 * 0.55)
    assert learning_rate(100, plan, options) == pytest.approx(0.2)
    assert learning_rate(500, plan, options) == pytest.approx(0.2)


def test_the_warm_up_counts_steps_and_the_cosine_those_that_the_run_is_ahead():
    options = OptimizerOptions(lr=1.0)
    plan, ahead, behind = (Plan(101, 10, ahead=n, warmup_steps=10) for n in (0, 30, -15))
    assert learning_rate(4, ahead, options) == learning_rate(4, plan, options)
    assert learning_rate(20, ahead, options) == learning_rate(50, plan, options)
    assert learning_rate(20, behind, options) == 1.0
