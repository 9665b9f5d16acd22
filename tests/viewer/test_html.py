from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from core.checks import UserError
from core.scene_file import SceneHeader, SceneWriter
from core.viewer import html, write_player

HEADER = SceneHeader((48, 80), (6, 10), (96, 160), source="</script>")


def test_the_page_holds_the_scene_and_asks_nothing_of_a_network(tmp_path: Path) -> None:
    scene, page = tmp_path / "scene.ssplat", tmp_path / "scene.html"
    with SceneWriter(scene, HEADER):
        pass
    write_player(page, scene)
    text = page.read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="text/plain" id="scene">([^<]*)</script>', text)
    assert base64.b64decode(data) == scene.read_bytes()
    assert not re.search(r"https?:|\ssrc=|@import|url\(", text)


def test_what_is_no_scene_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, page = tmp_path / "scene.ssplat", tmp_path / "scene.html"
    scene.write_bytes(b"something else")
    with pytest.raises(UserError, match="is no scene file"):
        write_player(page, scene)
    with SceneWriter(scene, HEADER):
        pass
    monkeypatch.setattr(html, "_MAX_SCENE", 10)
    with pytest.raises(UserError, match="browsers open pages of scenes up to"):
        write_player(page, scene)
    assert not page.exists()
