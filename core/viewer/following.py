"""Tracks of the player, computed by other processes: while a scene file is written, or served.

Beside a GPU they take as long as the rest of a clip, mostly in Python, whose lock the rest needs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import torch

from core.checks import UserError
from core.io.beside import Beside, Items, pays_beside
from core.scene_file import open_scene
from core.viewer.tracks import GroupTracks, follow_group, group_intervals, tracks_text

_PROCESSES = 3
"""Which follow a group of intervals each; one takes longer than the rest of a clip."""
_LOOK_S = 0.1
"""Between two looks at the file."""
_Groups = dict[int, GroupTracks]


@contextmanager
def following(scene: Path, device: torch.device) -> Iterator[Callable[[], str | None]]:
    """Follow points through a scene file that will be written.

    Only beside a GPU, and where cores are left; the processes end with the block.

    Args:
        scene: The file, which may not be there yet.
        device: Where the scene is made.

    Yields:
        What waits until the file is read and gives what :func:`core.viewer.tracks.write_tracks`
        would return; None where that is left to the caller. To be called when the file has ended.
    """
    if not pays_beside(device.type):
        yield lambda: None
        return
    with follow_beside(scene) as result:
        yield result


@contextmanager
def follow_beside(scene: Path) -> Iterator[Callable[[], str | None]]:
    """Do what :func:`following` does on any machine."""
    with ExitStack() as stack:
        processes: list[Beside[None, _Groups]] = [
            stack.enter_context(Beside(f"tracks of {scene.name}", _follow, scene, share))
            for share in range(_PROCESSES)
        ]

        def result() -> str | None:
            try:
                found = [process.finish() for process in processes]
            except UserError:
                return None  # the caller finds out what is wrong
            with open_scene(scene) as reader:
                fit = reader.header.fit
            groups = sorted(item for share in found for item in share.items())
            return tracks_text([tracks for _, tracks in groups], fit)

        yield result


def _follow(items: Items[None], scene: Path, share: int) -> _Groups:
    """Follow every third group as soon as it is in the file; return them by their number."""
    torch.set_num_threads(1)
    found: _Groups = {}
    has_ended = False
    while True:
        groups, is_complete = _groups(scene, has_ended)
        own = range(share, len(groups), _PROCESSES)
        number = next((number for number in own if number not in found), None)
        if number is not None:
            found[number] = follow_group(scene, "cpu", groups[number])
        elif is_complete:
            return found
        if not has_ended and items.is_next_there(_LOOK_S if number is None else 0):
            has_ended = next(items, None) is None


def _groups(scene: Path, has_ended: bool) -> tuple[list[range], bool]:
    """Return the groups that will not change, and whether they are all."""
    try:
        with open_scene(scene) as reader:
            groups = group_intervals([interval.opens for interval in reader.intervals])
            is_complete = reader.is_complete or has_ended
    except (OSError, UserError):
        if has_ended:
            raise
        return [], False  # the file, or its header, is not there yet
    return (groups if is_complete else groups[:-1]), is_complete
