"""Follows points through a scene file while it is written; in a process of its own.

It imports PyTorch, which takes about as long as to follow points through a hundred intervals;
copies of it follow.
"""

from __future__ import annotations

import os
from pathlib import Path

import torch

from core.checks import UserError
from core.io.processes.beside import Items
from core.io.processes.copies import in_copies
from core.scene_file import SceneReader, open_scene
from core.streaming import StoredScene
from core.viewer.tracks import GroupFollower, GroupTracks, group_intervals

_COPIES = max(2, min(8, (os.cpu_count() or 1) // 2))
"""Which follow a group of intervals each: one needs about twice as long as the rest of a clip."""
_LOOK_S = 0.02
"""Between two looks at the file."""


def follow(items: Items[Path]) -> list[GroupTracks]:
    """Follow all groups of a scene file, which may come later than its path does."""
    torch.set_num_threads(1)
    path = next(items)
    shares = in_copies(lambda first: _follow_share(items, path, first), _COPIES)
    return [tracks for _, tracks in sorted(item for share in shares for item in share.items())]


def _follow_share(items: Items[Path], path: Path, first: int) -> dict[int, GroupTracks]:
    """Follow every :data:`_COPIES`-th group; return them by their number."""
    has_ended = False
    while (reader := _opened(path, has_ended)) is None:
        has_ended = items.is_next_there(_LOOK_S)
    with reader:
        scene = StoredScene(reader)
        found: dict[int, GroupTracks] = {}
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
                    number, follower = number + _COPIES, None
                else:
                    wait = _LOOK_S
            # Nobody takes what comes: that the file has ended is all that can.
            has_ended = has_ended or items.is_next_there(wait)


def _opened(path: Path, has_ended: bool) -> SceneReader | None:
    """Open the file; None where it, or its header, is not there yet."""
    try:
        return open_scene(path)
    except (OSError, UserError):
        if has_ended:
            raise
        return None
