"""What was found out about a dataset, kept from one run to the next."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from core.checks import UserError
from core.io.atomic import write_bytes
from core.logging import get_logger

CACHE_VARIABLE = "STREAMSPLAT_CACHE"
_VERSION = 1
_logger = get_logger(__name__)


def default_cache_folder() -> Path:
    """Return where indices are kept: ``$STREAMSPLAT_CACHE``, or the user's cache folder.

    Not beside the data, which often may not be written to and is shared by many.
    """
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "streamsplat" / "datasets"


class IndexCache:
    """One JSON file of notes about one folder of a dataset.

    The notes are hints: a file that is damaged, of another version or about another folder counts
    as empty, and one that cannot be written is a warning.

    Args:
        layout: Which reader keeps notes.
        folder: The folder that they are about.
        cache_folder: Where the file lies; None for :func:`default_cache_folder`.
    """

    def __init__(self, layout: str, folder: Path, cache_folder: Path | None = None) -> None:
        self._about = {"version": _VERSION, "layout": layout, "folder": str(folder.resolve())}
        digest = hashlib.sha256(self._about["folder"].encode()).hexdigest()[:16]
        self.path = (cache_folder or default_cache_folder()) / f"{layout}-{digest}.json"

    def load(self) -> dict[str, Any]:
        """Return the notes; empty where there are none."""
        try:
            content = json.loads(self.path.read_bytes())
            if {key: content[key] for key in self._about} == self._about:
                return dict(content["notes"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return {}

    def save(self, notes: dict[str, Any]) -> None:
        """Write the notes; the file appears whole or not at all."""
        try:
            write_bytes(self.path, json.dumps({**self._about, "notes": notes}).encode())
        except UserError as error:
            _logger.warning(
                "the index of %s is not kept and will be built again: %s",
                self._about["folder"],
                error,
            )
