import os
import subprocess
import sys

import pytest

from core.text import printable, source_name, without_secrets


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("frame 1.png", "frame 1.png"),
        ("Übung · 日本\u3000語.png", "Übung · 日本\u3000語.png"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\r\nb\tc", r"a\r\nb\tc"),
        ("a\x9b2Jb", r"a\x9b2Jb"),
        ("a\u202eb\u2028c", r"a\u202eb\u2028c"),
        (os.fsdecode(b"caf\xe9"), r"caf\xe9"),
    ],
)
def test_what_a_terminal_would_obey_is_escaped(text, shown):
    assert printable(text) == shown
    assert source_name(text) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://user:word@host/clip.mp4", "http://host/clip.mp4"),
        ("rtsp://user:w@rd@host:554/cam", "rtsp://host:554/cam"),
        ("RTSP://user@host/cam", "RTSP://host/cam"),
        ("http://host/clip.mp4?token=abc&part=2", "http://host/clip.mp4?..."),
        ("http://user:word@host?token=a b", "http://host?..."),
        ("srt://host:90?passphrase=a@b/c", "srt://host:90?..."),
        ("http://host/#token=abc", "http://host/?..."),
        ("http://host/@name/clip.mp4", "http://host/@name/clip.mp4"),
    ],
)
def test_secrets_of_a_url_are_left_out(url, shown):
    assert source_name(url) == shown


def test_secrets_are_left_out_of_texts_with_urls():
    text = "'http://u:p@a/x?t=1' and rtsp://u:p@b/y?t=2 were lost: is a@b?c right?"
    shown = "'http://a/x?...' and rtsp://b/y?... were lost: is a@b?c right?"
    assert without_secrets(text) == shown


_PROGRAM = """
import sys
from core.checks import UserError, cli_errors
from core.logging import configure_logging, get_logger

@cli_errors
def main():
    configure_logging()
    get_logger("x").warning("log %s", sys.argv[1])
    print("out", sys.argv[1])
    raise UserError(f"no such file: {sys.argv[1]}")

main()
"""


@pytest.mark.parametrize(
    "environment", [{}, {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}]
)
def test_programs_print_any_name_on_one_line(environment):
    name = b"caf\xe9 \x1b[31m\nhttp://me:secret@host/?key=secret"
    run = subprocess.run(
        [sys.executable, "-c", _PROGRAM, name],
        env={**os.environ, **environment},
        capture_output=True,
        check=False,
    )
    assert run.returncode == 2, run.stderr
    shown = rb"caf\xe9 \x1b[31m\nhttp://host/?..."
    assert run.stderr.splitlines() == [b"log " + shown, b"error: no such file: " + shown]
    assert run.stdout.startswith(b"out caf")


@pytest.mark.parametrize("closed", ["1>&-", "2>&-", "1>&- 2>&-"])
def test_programs_run_without_standard_output_and_error(closed):
    run = subprocess.run(["bash", "-c", f'"$0" -c "$1" x {closed}', sys.executable, _PROGRAM])
    assert run.returncode == 2


def test_options_repeat_no_escape_codes():
    program = (
        "from core.command_line import parse\nimport dataclasses\n"
        "@dataclasses.dataclass\nclass O:\n    n: int = 0\nparse(O)"
    )
    for arguments in (["--n", "\x1b[31mx"], ["--\x1b[31mm", "1"]):
        run = subprocess.run(
            [sys.executable, "-c", program, *arguments], capture_output=True, check=False
        )
        assert run.returncode == 2
        assert b"x1b[31m" in run.stderr
        assert b"\x1b" not in run.stderr
