"""Guesses the layout of a folder, for error messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from core.data.datasets.names import DatasetName

# Ordered: a YouTube-VOS tree would pass for two clips.
_SIGNS: dict[DatasetName, tuple[str, ...]] = {
    "davis": ("ImageSets/2017",),
    "re10k": ("train/*.torch", "test/*.torch"),
    "co3d": ("*/set_lists/*.json",),
    "vos": ("train/JPEGImages/*/*", "valid/JPEGImages/*/*"),
    "frames": ("*/JPEGImages/*.jpg", "*/JPEGImages/*.jpeg", "*/JPEGImages/*.png"),
}
_MOST_FOLDERS = 50


@dataclass(frozen=True)
class Guess:
    """A dataset, and the folder that should be given for it."""

    layout: DatasetName
    """Which layout."""
    folder: Path
    """Its root."""


def guess_layout(path: Path, wanted: DatasetName) -> Guess | None:
    """Find a dataset at ``path``, in a folder right below it, or around it.

    Only names of files are read.

    Args:
        path: An existing folder.
        wanted: The layout that was expected; it is searched for first.

    Returns:
        The dataset, or None if there is none.
    """
    folders = list(_candidates(path))
    passes: list[list[DatasetName]] = [[wanted], list(_SIGNS)]
    for layouts in passes:
        for folder in folders:
            for layout in layouts:
                if any(next(folder.glob(sign), None) is not None for sign in _SIGNS[layout]):
                    return Guess(layout, folder)
    return None


def _candidates(path: Path) -> Iterator[Path]:
    yield path
    inner = sorted(entry for entry in path.iterdir() if entry.is_dir())
    yield from inner[:_MOST_FOLDERS]
    yield from list(path.absolute().parents)[:2]
