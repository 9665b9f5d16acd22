"""A scene and its player as one HTML file, which needs neither a server nor a network."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import torch

from core.checks import UserError
from core.io import write_bytes
from core.scene_file import open_scene
from core.viewer.parts import INPUT, TRACKS, embed
from core.viewer.tracks import write_tracks

_PLAYER = Path(__file__).parent / "assets" / "player.html"
_PLACE_OF_SCENE = b"/*scene*/"
_SERVED = b"live"
"""In place of the scene where a server sends it."""
_MAX_SCENE = 384 << 20
"""Most bytes of a scene: browsers hold no longer text than its base64."""


def served_player() -> bytes:
    """Return the page whose scene comes from the server that it comes from."""
    return _PLAYER.read_bytes().replace(_PLACE_OF_SCENE, _SERVED)


def write_player(
    path: Path,
    scene: Path,
    video: Path | None = None,
    *,
    device: torch.device | str = "cpu",
    tracks: Callable[[], str | None] = lambda: None,
) -> None:
    """Write a page that plays a scene file.

    The scene is inside in base64, which takes a third more bytes than the file, and so are tracks
    of points, which are made here.

    Args:
        path: The page.
        scene: The scene file.
        video: Its input frames as an MP4 that begins when the scene does, to be shown beside it.
        device: Where tracks are computed.
        tracks: Gives those that were computed before, see :mod:`core.viewer.following`.

    Raises:
        UserError: If the scene cannot be read, is no scene file or too long for a browser, or the
            page cannot be written.
    """
    with open_scene(scene):  # says what else it is
        size = scene.stat().st_size
    if size > _MAX_SCENE:
        raise UserError(
            f"{scene.name} has {size / 1e6:.0f} MB, and browsers open pages of scenes up to "
            f"{_MAX_SCENE / 1e6:.0f} MB; render.py makes videos of it."
        )
    parts = {TRACKS: (tracks() or write_tracks(scene, device)).encode()}
    if video is not None:
        parts[INPUT] = _read(video)
    before, after = _PLAYER.read_bytes().split(_PLACE_OF_SCENE)
    # What a page that is cut short lacks are these parts, and only then the end of the scene.
    write_bytes(path, b"".join([before, base64.b64encode(_read(scene)), embed(parts), after]))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}.") from error
