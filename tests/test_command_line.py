from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from core.command_line import parse


@dataclass(frozen=True)
class Inner:
    long_name: int = 1
    """Words that do not fit into one line of the source, and of which the second line begins with
    a word that stands at no line's beginning."""


@dataclass(frozen=True)
class Outer:
    """Do something."""

    inner: Inner = field(default_factory=Inner)
    """A group."""


@dataclass(frozen=True)
class Derived(Outer):
    """Do something else."""


def test_options_are_read_with_underscores():
    assert parse(Outer, args=["--inner.long_name", "2"]) == Outer(Inner(2))


@pytest.mark.parametrize("options", [Outer, Derived])
def test_help_texts_wrap_at_the_width_of_the_screen_alone(options, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    with pytest.raises(SystemExit):
        parse(options, args=["--help"])
    assert "begins with a word that stands" in capsys.readouterr().out


def test_indented_lines_of_a_description_stay_lines(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        parse(Outer, description="A program.\n\nCommands:\n  one a\n  two b\n", args=["--help"])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    assert lines.index("  two b") == lines.index("  one a") + 1
