"""An index of a dataset on disk, kept from one run to the next."""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from core.checks import UserError
from core.io.atomic import write_bytes
from core.io.stills.images import sort_naturally
from core.logging import get_logger

CACHE_VARIABLE = "STREAMSPLAT_CACHE"
_VERSION = 2
_SETTLED_NS = 2_000_000_000
"""Age at which a folder's time stamp can be trusted: file systems count in steps of up to 2 s."""
_logger = get_logger(__name__)


def default_cache_folder() -> Path | None:
    """Return where indices are kept: ``$STREAMSPLAT_CACHE``, or the user's cache folder.

    Not beside the data, which often is read-only and shared. None for a user without a home.
    """
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    try:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    except RuntimeError:
        return None
    return Path(base) / "streamsplat" / "datasets"


class IndexCache:
    """One JSON file of notes about one folder of a dataset.

    A file that is damaged, of another version or about another folder counts as empty; one that
    cannot be written is a warning. Without a folder nothing is kept.

    Args:
        layout: The reader that writes the notes.
        folder: The folder that they describe.
        cache_folder: Where the file lies; None for :func:`default_cache_folder`.
    """

    def __init__(self, layout: str, folder: Path, cache_folder: Path | None = None) -> None:
        self._about = {"version": _VERSION, "layout": layout, "folder": str(folder.resolve())}
        digest = hashlib.sha256(os.fsencode(self._about["folder"])).hexdigest()[:16]
        cache_folder = cache_folder or default_cache_folder()
        self.path = None if cache_folder is None else cache_folder / f"{layout}-{digest}.json"

    def load(self) -> dict[str, Any]:
        """Return the notes; empty where there are none."""
        if self.path is None:
            return {}
        try:
            content = json.loads(self.path.read_bytes())
            if {key: content[key] for key in self._about} == self._about:
                return dict(content["notes"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return {}

    def save(self, notes: dict[str, Any]) -> None:
        """Write the notes atomically."""
        if self.path is None:
            return
        try:
            write_bytes(self.path, json.dumps({**self._about, "notes": notes}).encode())
        except UserError as error:
            _logger.warning(
                "the index of %s is not kept and will be built again: %s",
                self._about["folder"],
                error,
            )


class FolderListings:
    """Names in the folders below ``root``, from the cache while a folder does not change.

    A folder's time stamp changes whenever a name is added or removed. Reading it is one call, where
    listing a folder on a network disk may take seconds.

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
        """Write the listings that this object returned, if any of them is new."""
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
        [path.name for path in sort_naturally(files)],
        [path.name for path in sort_naturally(folders)],
    )
