"""Writes a miniature into a folder, atomically, and never over other files."""

from __future__ import annotations

import json
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from core.checks import UserError
from core.data.miniature.clips import MiniatureClip, Recipe, draw_clip
from core.data.miniature.layouts import SPLITS, WRITERS

LAYOUTS = tuple(WRITERS)
"""Names of the layouts."""
_MARKER = ".miniature.json"
_LAYOUT_BLOCK = 1000


def write_miniature(
    layout: str,
    root: str | Path,
    *,
    sequences: int = 3,
    frames: int = 8,
    image_size: tuple[int, int] = (72, 128),
    seed: int = 0,
    depth: bool = True,
    on_progress: Callable[[int], object] | None = None,
) -> Path:
    """Write a small, valid instance of a data set's layout, made of procedural scenes.

    The same arguments make the same files. An older miniature in the same folder is replaced.

    Args:
        layout: One of ``LAYOUTS``.
        root: Folder of the data set; made if missing.
        sequences: Sequences of each split (train and val, valid or test; frames have no splits).
        frames: Frames of a sequence.
        image_size: Height and width of the images, each at least 16.
        seed: Chooses the scenes; each layout shows others.
        depth: Write depth maps, of 16 bits, beside the images.
        on_progress: Called with the number of clips just drawn.

    Returns:
        ``root``.

    Raises:
        UserError: If ``root`` holds anything but an older miniature, or cannot be written to.
        ValueError: If there is no such layout.
    """
    if layout not in WRITERS:
        raise ValueError(f"write_miniature: layout is {layout!r}; expected one of {LAYOUTS}.")
    root = Path(root)
    recipe = Recipe(sequences, frames, image_size, seed, depth)
    first = LAYOUTS.index(layout) * _LAYOUT_BLOCK

    def draw(number: int) -> MiniatureClip:
        clip = draw_clip(recipe, first + number)
        if on_progress:
            on_progress(1)
        return clip

    older = _older_files(root)
    partial = root / f".{secrets.token_hex(4)}.partial"
    try:
        partial.mkdir(parents=True)
        WRITERS[layout](partial, recipe, draw)
        names = [path.relative_to(partial).as_posix() for path in _files(partial)]
        marker = {"layout": layout, **asdict(recipe), "files": names}
        _remove(root, older)
        for entry in partial.iterdir():
            os.replace(entry, root / entry.name)  # noqa: PTH105
        (root / _MARKER).write_text(json.dumps(marker, indent=1), encoding="utf-8")
    except OSError as error:
        raise UserError(
            f"cannot write to {root}: {error.strerror or error}; choose a place with room and "
            "rights."
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return root


def count_clips(layout: str, sequences: int) -> int:
    """Return how many clips :func:`write_miniature` draws."""
    return sequences * len(SPLITS[layout])


def _older_files(root: Path) -> list[Path]:
    """Return the files of the miniature in ``root``; none if there is nothing.

    Raises:
        UserError: If there is anything else, hidden files excepted.
    """
    if not root.exists():
        return []
    if not root.is_dir():
        raise UserError(f"{root} is a file; give a folder, which is made if it is missing.")
    found = [path for path in _files(root) if not path.name.startswith(".")]
    own = {root / name for name in _marked_files(root / _MARKER)}
    foreign = [path for path in found if path not in own]
    if foreign:
        raise UserError(
            f"{root} holds files that no miniature has, such as {foreign[0].relative_to(root)}; "
            "give a new folder, or empty this one first."
        )
    return found


def _marked_files(marker: Path) -> list[str]:
    try:
        names = json.loads(marker.read_text(encoding="utf-8"))["files"]
        return [str(name) for name in names]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _remove(root: Path, files: Sequence[Path]) -> None:
    for path in files:
        path.unlink()
    for folder, _, _ in os.walk(root, topdown=False):
        if Path(folder) != root and not any(Path(folder).iterdir()):
            Path(folder).rmdir()


def _files(root: Path) -> list[Path]:
    return sorted(Path(folder) / name for folder, _, names in os.walk(root) for name in names)
