"""Command lines of interrupted runs, and what is said of them."""

from dataclasses import replace

import pytest
import tyro

from configs import options, options_decoder
from core.checks import UserError
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
    parsed = tyro.cli(
        options.Options if name == "static" else options_decoder.Options,  # type: ignore[arg-type]
        args=[*program.arguments[1:], "--workspace", str(tmp_path / "run")],
        use_underscores=True,
    )
    assert program.arguments[0] == ("train.py" if name == "static" else "train_decoder.py")
    assert {dataset.name for dataset in parsed.data.datasets} == set(resuming.LAYOUTS)
    assert (parsed.run.steps, parsed.run.steps_per_epoch, parsed.run.batch_size) == (12, 3, 1)
    assert parsed.model.preset == "tiny"
    if name == "dynamic":
        assert parsed.model.num_frames == 4


def test_what_is_wrong_is_said(resuming):
    from interrupting import Kill
    from run_differences import Difference

    kill = Kill("at a save", last_line=4, saved=2, half_saved=True, damaged=False)
    equal = Difference(0, 0, 0, 0, same_bits=True)
    noisy = Difference(1e-4, 1e-3, 1e-5, 1e-3, same_bits=False)
    far = replace(noisy, weights_median=1e-3)
    result = resuming.StageResult("static", noise=equal, interrupted=equal, kills=[kill])
    assert resuming.judge(result, "cpu") == []
    assert resuming.judge(replace(result, interrupted=noisy), "cpu") == [
        "static: the interrupted run differs from one that was not"
    ]
    assert resuming.judge(replace(result, noise=noisy), "cpu") == [
        "static: runs of the same command differ"
    ]
    on_gpu = replace(result, noise=noisy, interrupted=noisy)
    assert resuming.judge(on_gpu, "cuda") == []
    assert len(resuming.judge(replace(on_gpu, interrupted=far), "cuda")) == 1
    damaged = replace(result, kills=[replace(kill, damaged=True)])
    assert "damaged checkpoint" in resuming.judge(damaged, "cpu")[0]
    said = resuming.describe([on_gpu], resuming.Options())
    assert "| static | killed 1 times, and these | 1.0e-04 | 1.0e-03 |" in said
    assert "| static | at a save | 4 | 2 | yes |" in said


def test_impossible_options_name_their_flag(resuming, tmp_path):
    for changes in ({"kills": 0}, {"repeats": 1}, {"stages": ("dynamic", "static")}):
        with pytest.raises(UserError, match=f"--{next(iter(changes))}"):
            resuming.Options(**changes)
    with pytest.raises(UserError, match="--folder"):
        resuming.Options(folder=tmp_path)
