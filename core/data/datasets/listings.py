"""Which files lie in the folders of a dataset, listed once and remembered while nothing changes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from core.checks import UserError
from core.data.datasets.index_cache import IndexCache
from core.io.images import natural_key

_SETTLED_NS = 2_000_000_000
"""Age at which a folder's time stamp can be trusted: file systems count in steps of up to 2 s."""


class FolderListings:
    """Names in the folders below ``root``, from the cache where a folder did not change since.

    A folder's time stamp changes whenever a name comes or goes, so that each folder costs one look
    at its stamp where a listing may take a network disk seconds.

    Args:
        root: The dataset.
        cache: Where listings are kept.
    """

    def __init__(self, root: Path, cache: IndexCache) -> None:
        self.root = root
        self._cache = cache
        self._known: dict[str, Any] = cache.load()
        self._seen: dict[str, Any] = {}
        self._changed = False

    def files(self, folder: Path) -> list[str]:
        """Return the files of a folder in natural order; none where it does not exist.

        Hidden files are left out.

        Raises:
            UserError: If the folder may not be read.
        """
        return self._list(folder)["files"]

    def folders(self, folder: Path) -> list[str]:
        """Return the folders within a folder in natural order; none where it does not exist.

        Raises:
            UserError: If the folder may not be read.
        """
        return self._list(folder)["folders"]

    def save(self) -> None:
        """Keep what was asked for since this object was made, if any of it is new."""
        if self._changed or len(self._seen) != len(self._known):
            settled = {name: entry for name, entry in self._seen.items() if entry["settled"]}
            self._cache.save(settled)

    def _list(self, folder: Path) -> dict[str, Any]:
        name = os.path.relpath(folder, self.root)
        if name not in self._seen:
            self._seen[name] = self._look(folder, self._known.get(name))
        return self._seen[name]

    def _look(self, folder: Path, known: dict[str, Any] | None) -> dict[str, Any]:
        try:
            stamp = folder.stat().st_mtime_ns
            if known is not None and known["stamp"] == stamp:
                return known
            files, folders = _names(folder)
        except (FileNotFoundError, NotADirectoryError):
            stamp, files, folders = 0, [], []
        except OSError as error:
            raise UserError(
                f"cannot read the folder {folder}: {error.strerror or error}."
            ) from error
        settled = time.time_ns() - stamp > _SETTLED_NS
        found = {"stamp": stamp, "settled": settled, "files": files, "folders": folders}
        self._changed |= found != known
        return found


def _names(folder: Path) -> tuple[list[str], list[str]]:
    files: list[Path] = []
    folders: list[Path] = []
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                (folders if entry.is_dir() else files).append(Path(entry.name))
    return (
        [path.name for path in sorted(files, key=natural_key)],
        [path.name for path in sorted(folders, key=natural_key)],
    )
