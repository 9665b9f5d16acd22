import pytest

from core.checks import UserError
from core.training.plan import Plan, plan_run
from core.training.workspace.checkpoints import Progress


def _plan(run, samples_per_epoch=100, warmup_steps=0):
    return plan_run(
        run, samples_per_epoch=samples_per_epoch, samples_per_step=8, warmup_steps=warmup_steps
    )


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
    going_on = plan.going_on_from(Progress(step=20, samples=20 * before))
    assert going_on.last_step == 60 - ahead
    assert going_on.epoch(20) == (20 * before) // 80
    assert going_on.ends_epochs(20)
    assert not going_on.ends_epochs(21)
    # Nothing is remembered: stopped again, it finds the same.
    later = Progress(step=27, samples=20 * before + 7 * 8)
    assert plan.going_on_from(later) == going_on


def test_steps_that_the_user_gave_stay_what_they_are():
    plan = Plan(steps=60, steps_per_epoch=10)
    assert plan.going_on_from(Progress(step=20, samples=999)) == plan


def test_a_warm_up_until_the_end_names_its_flag(run_options):
    with pytest.raises(UserError, match="--warmup_steps 4 leaves nothing"):
        _plan(run_options(steps=4), warmup_steps=4)
