"""Command lines of interrupted runs, and the report about them."""

import math
from dataclasses import replace

import pytest

from configs import options, options_decoder
from core.checks import UserError
from core.command_line import parse
from core.data.miniature import write_miniature


@pytest.fixture
def resuming():
    import resuming

    return resuming


@pytest.mark.parametrize("name", ["static", "dynamic"])
def test_the_programs_take_the_command_lines(resuming, tmp_path, name):
    asked = resuming.Options(data="combined", steps=12, save_every=3, batch_size=1, num_frames=4)
    for layout in resuming.LAYOUTS:
        write_miniature(layout, tmp_path / "data" / layout, sequences=1, image_size=(16, 32))
    program = resuming.describe_program(name, asked, tmp_path)
    module = options if name == "static" else options_decoder
    arguments = [*program.arguments[1:], "--workspace", str(tmp_path / "run")]
    parsed = parse(module.Options, args=arguments)
    data = parsed.data.locate(module.PATHS)
    assert program.arguments[0] == ("train.py" if name == "static" else "train_decoder.py")
    assert {dataset.name for dataset in data.datasets} == set(resuming.LAYOUTS)
    assert (parsed.run.steps, parsed.run.steps_per_epoch, parsed.run.batch_size) == (12, 3, 1)
    assert parsed.model.preset == "tiny"
    if name == "dynamic":
        assert parsed.model.num_frames == 4


@pytest.fixture
def result(resuming):
    """A stage whose runs were equal."""
    from interrupting import Kill
    from repeated_steps import Repeat
    from run_differences import Difference

    return resuming.StageResult(
        "static",
        noise=Difference(0, 0, 0, 0, same_bits=True),
        interrupted=Difference(0, 0, 0, 0, same_bits=True),
        kills=[Kill("at a save", last_line=4, saved=2, half_saved=True, damaged=False)],
        beginnings=[Repeat(1, 0, 0), Repeat(2, 0, 0)],
        repeats=[Repeat(1, 0, 0), Repeat(2, 0, 0)],
    )


def test_any_difference_of_one_process_on_the_cpu_is_reported(resuming, result):
    from repeated_steps import Repeat

    on_cpu = resuming.Options()
    noisy = replace(result.noise, loss_median=1e-4, same_bits=False)
    assert resuming.judge(result, on_cpu) == []
    for changes, expected in (
        ({"interrupted": noisy}, "the interrupted run differs from one that was not"),
        ({"noise": noisy}, "runs of the same command differ"),
        ({"repeats": [Repeat(1, 0, 1e-9)]}, "steps differ from themselves"),
        ({"repeats": [Repeat(3, 0, 0)]}, "no first step"),
        ({"kills": [replace(result.kills[0], damaged=True)]}, "damaged checkpoint"),
    ):
        (problem,) = resuming.judge(replace(result, **changes), on_cpu)
        assert problem.startswith("static: ")
        assert expected in problem


@pytest.mark.parametrize("device", ["cpu", "cuda"])
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (9e-4, 9e-4, []),  # below the floor of bfloat16
        (1e-3, 0.0, ["first"]),
        (0.0, 2.9e-1, []),  # three times the noise of second steps
        (0.0, 3.1e-1, ["second"]),
        (math.inf, math.inf, ["first", "second"]),
    ],
)
def test_elsewhere_steps_are_as_far_from_themselves_as_first_steps(
    resuming, result, monkeypatch, device, first, second, expected
):
    from repeated_steps import Repeat

    options = resuming.Options(processes=2)
    if device == "cuda":
        monkeypatch.setattr(resuming.torch.cuda, "device_count", lambda: 1)
        options = resuming.Options(device="cuda")
    wide = replace(result.noise, loss_median=0.3, same_bits=False)
    noisy = replace(
        result,
        noise=wide,
        interrupted=wide,
        beginnings=[Repeat(1, 1e-6, 1e-3), Repeat(2, 1e-1, 1e-1)],
        repeats=[Repeat(1, 0, 0.1), Repeat(1, first, 0), Repeat(2, second, 0), Repeat(3, 1, 1)],
    )
    problems = resuming.judge(noisy, options)
    assert [problem.split()[2] for problem in problems] == expected
    (unknown,) = resuming.judge(replace(noisy, repeats=[Repeat(1, 0, 0)]), options)
    assert "no second step" in unknown


def test_tables_hold_what_was_found(resuming, result):
    from repeated_steps import Repeat

    noisy = replace(result.noise, loss_median=1e-4, loss_largest=1e-3, same_bits=False)
    repeats = [Repeat(1, 0, 2e-5), Repeat(1, 4e-7, 4e-5), Repeat(3, 1e-2, 0)]
    found = replace(result, interrupted=noisy, repeats=repeats)
    printed = resuming.describe([found], resuming.Options())
    assert "| static | killed 1 times, and these | 1.0e-04 | 1.0e-03 |" in printed
    assert "| static | at a save | 4 | 2 | yes |" in printed
    taken = "after a checkpoint, taken twice"
    assert f"| static | first, {taken} | 2 | 2.0e-07 | 4.0e-07 | 3.0e-05 | 4.0e-05 |" in printed
    assert f"| static | second, {taken} | 0 | | | | |" in printed
    assert f"| static | all, {taken} | 3 | 4.0e-07 | 1.0e-02 | 2.0e-05 | 4.0e-05 |" in printed
    assert "| static | all, of runs not interrupted | 2 | 0 | 0 | 0 | 0 |" in printed


def test_impossible_options_name_their_flag(resuming, tmp_path):
    for changes in (
        {"kills": 0},
        {"repeats": 1},
        {"save_every": 2},
        {"steps": 7},
        {"stages": ("dynamic", "static")},
    ):
        with pytest.raises(UserError, match=f"--{next(iter(changes))}"):
            resuming.Options(**changes)
    with pytest.raises(UserError, match="--folder"):
        resuming.Options(folder=tmp_path)
