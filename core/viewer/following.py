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
from core.scene_file import SceneReader, open_scene
from core.streaming import StoredScene
from core.viewer.tracks import GroupFollower, GroupTracks, group_intervals, tracks_text

_PROCESSES = 4
"""Which follow a group of intervals each: one needs about twice as long as the rest of a clip."""
_LOOK_S = 0.02
"""Between two looks at the file."""
_Groups = dict[int, GroupTracks]
Follow = Callable[[Path], Callable[[], str | None]]
"""Begins to follow a scene file, which may not be there yet. What it returns is to be called when
the file has ended: it waits and gives what :func:`core.viewer.tracks.write_tracks` would return, or
None where that is left to the caller."""


@contextmanager
def following(device: torch.device) -> Iterator[Follow]:
    """Follow points through a scene file that will be written, see :data:`Follow`.

    Only beside a GPU, and where cores are left. The processes, which first have seconds of imports
    before them, end with the block.

    Args:
        device: Where the scene is made.
    """
    if not pays_beside(device.type):
        yield lambda _: lambda: None
        return
    with follow_beside() as follow:
        yield follow


@contextmanager
def follow_beside() -> Iterator[Follow]:
    """Do what :func:`following` does on any machine."""
    with ExitStack() as stack:
        processes: list[Beside[Path, _Groups]] = [
            stack.enter_context(Beside("tracks of points", _follow, share, _PROCESSES))
            for share in range(_PROCESSES)
        ]

        def follow(scene: Path) -> Callable[[], str | None]:
            for process in processes:
                process.put(scene.absolute())
            return lambda: _joined(processes, scene)

        yield follow


def _joined(processes: list[Beside[Path, _Groups]], scene: Path) -> str | None:
    try:
        found = [process.finish() for process in processes]
    except UserError:
        return None  # the caller finds out what is wrong
    with open_scene(scene) as reader:
        fit = reader.header.fit
    groups = sorted(item for share in found for item in share.items())
    return tracks_text([tracks for _, tracks in groups], fit)


def _follow(items: Items[Path], first: int, step: int) -> _Groups:
    """Follow every ``step``-th group while it comes; return them by their number."""
    torch.set_num_threads(1)
    path = next(items)
    has_ended = False
    while (reader := _opened(path, has_ended)) is None:
        has_ended = _has_ended(items, _LOOK_S)
    with reader:
        scene = StoredScene(reader)
        found: _Groups = {}
        number, follower = first, None
        while True:
            reader.look_again()
            groups = group_intervals([interval.opens for interval in reader.intervals])
            is_complete = reader.is_complete or has_ended
            wait = 0.0
            if number >= len(groups):
                if is_complete:
                    return found
                wait = _LOOK_S
            else:
                follower = follower or GroupFollower(scene, groups[number].start)
                if follower.number < groups[number].stop:
                    follower.advance()
                elif is_complete or number + 1 < len(groups):
                    found[number] = follower.tracks()
                    number, follower = number + step, None
                else:
                    wait = _LOOK_S
            has_ended = has_ended or _has_ended(items, wait)


def _has_ended(items: Items[Path], wait: float) -> bool:
    """Wait so long at most for word that the file has ended."""
    return items.is_next_there(wait) and next(items, None) is None


def _opened(path: Path, has_ended: bool) -> SceneReader | None:
    """Open the file; None where it, or its header, is not there yet."""
    try:
        return open_scene(path)
    except (OSError, UserError):
        if has_ended:
            raise
        return None
