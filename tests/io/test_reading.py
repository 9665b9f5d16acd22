from __future__ import annotations

import os

import pytest

from core.checks import UserError
from core.io import read_depth, read_image
from core.io.reading import one_line_errors, read_file


def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    for name, read in (("a.png", read_image), ("a.npy", read_depth), ("a.exr", read_depth)):
        os.mkfifo(tmp_path / name)
        with pytest.raises(UserError, match=rf"{name} is a pipe or a device"):
            read(tmp_path / name)
    with pytest.raises(UserError, match="/dev/zero is a pipe or a device"):
        read_file("/dev/zero", "image")


def test_a_missing_file_says_why(tmp_path):
    with pytest.raises(UserError, match=r"cannot read the image .*none: No such file"):
        read_file(tmp_path / "none", "image")


@pytest.mark.parametrize("error", [MemoryError, RecursionError, OverflowError, SyntaxError])
def test_whatever_a_library_raises_becomes_one_message(error):
    with pytest.raises(UserError, match="it is damaged"), one_line_errors("it is damaged"):
        raise error
    with pytest.raises(KeyboardInterrupt), one_line_errors("it is damaged"):
        raise KeyboardInterrupt
