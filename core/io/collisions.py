"""No program writes over what it reads, whatever the names by which both are given."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from core.checks import UserError
from core.text import source_name

_FILE_SCHEME = "file:"
_STANDARD_INPUT = {"-": "/dev/stdin", "pipe:": "/dev/stdin", "pipe:0": "/dev/stdin"}


def refuse_overwriting(
    folder: Path, names: Iterable[str], inputs: Iterable[tuple[str, str | Path | None]]
) -> None:
    """Check that files written into a folder replace no input, and will not be taken for one.

    Files and folders are compared as the system identifies them, through links and mounts alike.

    Args:
        folder: Where files will be written; it need not exist.
        names: The files, as paths from there.
        inputs: Options and what they give: a file, a folder whose files are read, or None. What is
            not there, or is no path, is passed over.

    Raises:
        UserError: If an input is such a file, or the folder itself; or if a folder bears the name
            of such a file.
    """
    outputs = {}
    for path in (folder / name for name in names):
        if path.is_dir():
            raise UserError(f"{path} is a folder; remove it or choose another output folder.")
        outputs[_identity(path)] = path
    outputs.pop(None, None)
    for option, given in inputs:
        source = _path(given)
        if source is None:
            continue
        if source.is_dir() and _identity(source) == _identity(folder):
            raise UserError(
                f"{option} {source} is the folder that is written to: what is written would be "
                "read as input the next time. Choose another folder for the output."
            )
        for path in _files(source) if outputs else ():
            if (output := outputs.get(_identity(path))) is not None:
                raise UserError(
                    f"{option} {source_name(path)} would be replaced by the output {output}; "
                    "choose another folder for the output."
                )


def _files(source: Path) -> Iterator[Path]:
    if source.is_dir():
        yield from source.iterdir()
    else:
        yield source


def _path(given: str | Path | None) -> Path | None:
    """Return the path that an input stands for; None for a camera or a URL."""
    if given is None or isinstance(given, Path):
        return given
    given = _STANDARD_INPUT.get(given, given)
    if given.startswith(_FILE_SCHEME):
        given = given.removeprefix(_FILE_SCHEME)
        given = given.removeprefix("//") if given.startswith("///") else given
    return None if "://" in given else Path(given)


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
