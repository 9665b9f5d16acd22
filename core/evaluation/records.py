"""What is known so far, in files: one for each clip that is finished."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from core.checks import UserError
from core.io import write_bytes
from core.io.atomic import remove_partial_files

_SETTINGS = "settings.json"
_CLIPS = "clips"
Record = dict[str, Any]


def dump_json(value: object) -> bytes:
    """Return readable JSON that is the same for the same value."""
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


class Records:
    """The finished clips of one evaluation.

    Args:
        folder: Where the evaluation writes.
        settings: All that its numbers depend on.

    Raises:
        UserError: If the folder holds an evaluation with other settings, or cannot be written to.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder = folder
        path = folder / _SETTINGS
        text = dump_json(settings)
        if path.is_file():
            _expect_equal(folder, _load(path), json.loads(text))
        else:
            write_bytes(path, text)
        (folder / _CLIPS).mkdir(exist_ok=True)

    def has(self, clip: str) -> bool:
        """Whether a clip is finished."""
        return self._path(clip).is_file()

    def write(self, clip: str, record: Record, times: Record) -> None:
        """Note a finished clip; ``times`` may differ from run to run."""
        write_bytes(self._path(clip, "times.json"), dump_json(times))
        write_bytes(self._path(clip), dump_json(record))

    def read(self, clip: str) -> tuple[Record, Record]:
        """Return what was noted of a clip.

        Raises:
            UserError: If that cannot be read.
        """
        return _load(self._path(clip)), _load(self._path(clip, "times.json"))

    def remove_partial(self) -> None:
        """Remove what a program that was killed left half written."""
        remove_partial_files(self.folder)
        remove_partial_files(self.folder / _CLIPS)

    def _path(self, clip: str, suffix: str = "json") -> Path:
        return self.folder / _CLIPS / f"{quote(clip, safe='')}.{suffix}"


def _load(path: Path) -> Record:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise UserError(
            f"cannot read {path} ({error}); remove it to have it made again."
        ) from error


def _expect_equal(folder: Path, before: Record, now: Record) -> None:
    names = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    if names:
        name = names[0]
        raise UserError(
            f"{folder} holds an evaluation with another {name} ({_short(before.get(name))} rather "
            f"than {_short(now.get(name))}), which cannot be continued; choose another "
            "--output_dir, or remove the folder."
        )


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else f"{text[:97]}..."
