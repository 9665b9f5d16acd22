"""Where data sets lie: an option, else an environment variable, else a constant."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.checks import UserError

DatasetName = Literal["re10k", "co3d", "davis", "vos", "frames"]
"""The layouts; frames is a folder of clips."""


@dataclass(frozen=True, kw_only=True)
class DatasetPaths:
    """The constants of one program."""

    file: str
    """The file in which they are written, as the user knows it."""
    re10k: Path
    """RE10K_PATH."""
    co3d: Path
    """CO3D_PATH."""
    davis: Path
    """DAVIS_PATH."""
    vos: Path
    """VOS_PATH."""
    frames: Path
    """FRAMES_PATH."""

    def locate(self, name: DatasetName, given: Path | None) -> Path:
        """Return the folder of a data set.

        Args:
            name: Which.
            given: Value of the option ``--<name>_path``, which goes before the environment variable
                ``STREAMSPLAT_<NAME>_PATH``, which goes before the constant.

        Raises:
            UserError: If it is not there; the message names all three.
        """
        option, constant = f"--{name}_path", f"{name.upper()}_PATH"
        variable = f"STREAMSPLAT_{constant}"
        if given is not None:
            path, source = given, option
        elif os.environ.get(variable):
            path, source = Path(os.environ[variable]), f"environment variable {variable}"
        else:
            path, source = getattr(self, name), f"{constant} in {self.file}"
        if not path.is_dir():
            what = "is a file, not a folder" if path.exists() else "is not there"
            raise UserError(
                f"the {name} data set {path} ({source}) {what}; say where it is with {option}, the "
                f"environment variable {variable}, or {constant} in {self.file}."
            )
        return path
