"""Tracks of the player, computed by other processes: while a scene file is written, or served.

Beside a GPU they take as long as the rest of a clip, mostly in Python, whose lock the rest needs.
The process begins before this one has imported PyTorch, which takes seconds in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from core.checks import UserError
from core.io.processes.beside import Beside, pays_beside

if TYPE_CHECKING:
    from core.viewer.tracks import GroupTracks

_FOLLOW = "core.viewer.growing_tracks:follow"
_DRIVERS = (Path("/dev/nvidiactl"), Path("/dev/dxg"))
"""One of them is there where a GPU of NVIDIA can be used: on Linux, and on that within Windows."""
Follow = Callable[[Path], Callable[[], str | None]]
"""Begins to follow a scene file, which may not be there yet. What it returns is to be called when
the file has ended: it waits and gives what :func:`core.viewer.tracks.write_tracks` would return, or
None where that is left to the caller."""


@contextmanager
def following(device: str) -> Iterator[Follow]:
    """Follow points through a scene file that will be written, see :data:`Follow`.

    Only beside a GPU, and where cores are left. The processes, the first of which has seconds of
    imports before it, end with the block.

    Args:
        device: Where the scene will be made, as :func:`core.devices.choose_device` takes it.
    """
    has_driver = any(path.exists() for path in _DRIVERS)
    is_gpu = device.startswith("cuda") or (device == "auto" and has_driver)
    if not pays_beside("cuda" if is_gpu else "cpu"):
        yield lambda _: lambda: None
        return
    with follow_beside() as follow:
        yield follow


@contextmanager
def follow_beside() -> Iterator[Follow]:
    """Do what :func:`following` does on any machine."""
    with Beside[Path, "list[GroupTracks]"]("tracks of points", _FOLLOW) as process:

        def follow(scene: Path) -> Callable[[], str | None]:
            process.put(scene.absolute())
            return lambda: _text(process, scene)

        yield follow


def _text(process: Beside[Path, list[GroupTracks]], scene: Path) -> str | None:
    # Here, since they import PyTorch.
    from core.scene_file import open_scene
    from core.viewer.tracks import tracks_text

    try:
        groups = process.finish()
    except UserError:
        return None  # the caller finds out what is wrong
    with open_scene(scene) as reader:
        return tracks_text(groups, reader.header.fit)
