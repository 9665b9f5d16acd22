"""What a page shows beside its scene: tracks of points, and the input frames as an MP4."""

from __future__ import annotations

import base64
import re
import threading
from concurrent.futures import Future
from pathlib import Path

from core.checks import UserError
from core.logging import get_logger
from core.viewer.following import follow_beside

_logger = get_logger(__name__)

TRACKS, INPUT = "tracks", "input"
Parts = dict[str, bytes]
"""Tracks as text of JSON, and input frames as an MP4 that begins when the scene does."""

_PART = re.compile(rb'<script type="text/plain" id="(\w+)" data-length="(\d+)">')


def embed(parts: Parts) -> bytes:
    """Return parts as elements of a page; what is cut short of one is found by its length."""
    texts = {
        name: base64.b64encode(data) if name == INPUT else data for name, data in parts.items()
    }
    return b"".join(
        f'</script>\n<script type="text/plain" id="{name}" data-length="{len(text)}">'.encode()
        + text
        for name, text in texts.items()
    )


def extract(page: bytes, scene: bytes) -> Parts:
    """Return the parts that a page holds of a scene file; none if the page is another scene's."""
    start = page.find(b'id="scene">') + len(b'id="scene">')
    coded = base64.b64encode(scene)
    if page[start : start + len(coded) + 1] != coded + b"<":
        return {}
    parts: Parts = {}
    for match in _PART.finditer(page, start + len(coded)):
        name, text = match[1].decode(), page[match.end() :][: int(match[2])]
        if len(text) == int(match[2]):
            parts[name] = base64.b64decode(text) if name == INPUT else text
    return parts


def find_parts(scene: Path) -> Future[Parts]:
    """Find, in a thread of its own, what belongs to a scene file.

    The page of its name in its folder holds all parts; without one, tracks are followed anew.
    """
    found: Future[Parts] = Future()

    def find() -> None:
        try:
            found.set_result(_find(scene))
        except (OSError, UserError) as error:
            _logger.warning("tracks and input frames are left out: %s", error)
            found.set_result({})
        except BaseException as error:
            found.set_exception(error)

    # Nobody waits for it at the end of the program.
    threading.Thread(target=find, name="parts", daemon=True).start()
    return found


def _find(scene: Path) -> Parts:
    page = scene.with_suffix(".html")
    parts = extract(page.read_bytes(), scene.read_bytes()) if page.is_file() else {}
    if TRACKS not in parts:
        # In this process, PyTorch would abort where the program ends meanwhile.
        with follow_beside() as follow:
            text = follow(scene)()
        if text is not None:
            parts = {TRACKS: text.encode(), **parts}
        elif threading.main_thread().is_alive():
            _logger.warning("tracks are left out: %s cannot be followed to its end.", scene.name)
    return parts
