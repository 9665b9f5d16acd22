"""Steps that were taken twice, found in logs and compared by hand."""

import json

import pytest


@pytest.fixture
def repeated():
    import repeated_steps

    return repeated_steps


def _lines(first, losses):
    return {
        step: {"loss": loss, "grad_norm": 2 * loss} for step, loss in enumerate(losses, start=first)
    }


def test_steps_are_compared_with_the_time_before(repeated):
    starts = [
        repeated.Start(0, _lines(1, [9.0, 8.0, 4.0, 5.0])),
        repeated.Start(2, _lines(3, [4.0])),
        repeated.Start(2, {}),  # killed before it did anything
        repeated.Start(2, _lines(3, [2.0, 5.0, 7.0])),
        repeated.Start(4, _lines(5, [7.0])),
    ]
    found = [(repeat.since, repeat.loss) for repeat in repeated.compare_starts(starts)]
    assert found == [(1, 0.0), (1, 0.5), (2, 0.0), (1, 0.0)]


def test_a_step_that_was_skipped_once_is_all_apart(repeated):
    starts = [repeated.Start(0, {1: {"loss": 3.0, "grad_norm": 1.0}}), repeated.Start(0, {1: {}})]
    assert repeated.compare_starts(starts) == [repeated.Repeat(1, 1.0, 1.0)]
    assert repeated.compare_starts(starts[1:] * 2) == [repeated.Repeat(1, 0.0, 0.0)]


def test_beginnings_are_compared_in_all_pairs(repeated, tmp_path):
    for name, losses in (("a", [1.0, 2.0, 3.0]), ("b", [1.0, 1.0, 3.0]), ("c", [0.5, 2.0, 3.0])):
        (tmp_path / name).mkdir()
        lines = [
            {"step": step, "kind": kind, **line}
            for step, line in _lines(1, losses).items()
            for kind in ("train", "eval")
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (tmp_path / name / "log.jsonl").write_text(text + '{"step": 4, "ki')
    found = repeated.compare_beginnings([tmp_path / name for name in "abc"], steps=2)
    first, second, both = (repeated.spread(found, since) for since in (1, 2, None))
    assert (first.count, first.loss_median, first.loss_largest) == (3, 0.5, 0.5)
    assert (second.grad_norm_median, second.grad_norm_largest) == (0.5, 0.5)
    assert both.count == 6
    assert repeated.spread(found, 3) is None


def test_what_is_no_number_is_infinitely_far(repeated):
    nan = float("nan")
    assert repeated.relative(nan, 1.0) == repeated.relative(1.0, nan) == float("inf")
    assert repeated.relative(-2.0, 2.0) == 2.0
    assert repeated.relative(0.0, 0.0) == 0.0
