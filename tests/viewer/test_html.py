from __future__ import annotations

import base64
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch

from core.checks import UserError
from core.geometry.canonical import pixels_from_canonical
from core.scene_file import SceneHeader, SceneWriter, open_scene
from core.streaming import StoredScene
from core.tracking import grid_points, track
from core.viewer import html, write_player
from core.viewer.parts import find_parts
from core.viewer.tracks import write_tracks
from tests.viewer.conftest import WriteScene

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


def test_the_page_holds_tracks_and_the_input(write_scene: WriteScene, tmp_path: Path) -> None:
    scene, page, video = write_scene("crop"), tmp_path / "scene.html", tmp_path / "input.mp4"
    video.write_bytes(b"frames")
    write_player(page, scene, video)
    text = page.read_text(encoding="utf-8")
    pattern = r'<script type="[a-z/]+" id="(tracks|input)" data-length="(\d+)">([^<]*)</script>'
    parts = {name: content for name, length, content in re.findall(pattern, text)}
    assert base64.b64decode(parts["input"]) == b"frames"
    tracks = json.loads(parts["tracks"])
    count = tracks["count"]
    moving, still = tracks["groups"]
    assert moving["times"] == [0, 0.5, 1, 1.5, 2]
    assert still["times"] == [3]
    with open_scene(scene) as reader:
        fit, stored = reader.header.fit, StoredScene(reader)
        intervals = [stored.interval(number) for number in range(2)]
    window = fit.source
    assert window.height / window.width == pytest.approx(9 / 16, rel=0.02)
    points = grid_points((window.height, window.width), 20)
    points += torch.tensor([window.left, window.top])
    assert len(points) == count
    expected = track(intervals, points, 0.0, moving["times"], fit)
    levels = np.frombuffer(base64.b64decode(moving["places"]), "<u2").reshape(5, count, 3) / 65535
    x, d, z = levels[..., 0] * 4 - 2, levels[..., 1], levels[..., 2] * 4 - 2
    places = torch.from_numpy(np.stack([x, d, z], axis=-1)).float()
    seen = fit.points_to_input(pixels_from_canonical(places, fit.model_size))
    torch.testing.assert_close(seen, expected.points, atol=0.01, rtol=0)
    torch.testing.assert_close(
        places[..., 1], expected.inverse_depths.clamp(0, 1), atol=1e-4, rtol=0
    )
    bits = np.unpackbits(np.frombuffer(base64.b64decode(moving["visible"]), np.uint8))
    assert (bits[: 5 * count].reshape(5, count) == expected.visible.numpy()).all()


def test_a_server_finds_what_a_page_holds_of_its_scene(
    write_scene: WriteScene, tmp_path: Path
) -> None:
    scene, page, video = write_scene(), tmp_path / "scene.html", tmp_path / "input.mp4"
    tracks = write_tracks(scene).encode()
    assert find_parts(scene).result(100) == {"tracks": tracks}, "without a page"
    video.write_bytes(b"frames")
    write_player(page, scene, video)
    assert find_parts(scene).result(100) == {"tracks": tracks, "input": b"frames"}
    whole = page.read_bytes()
    page.write_bytes(whole[: whole.index(b'id="input"') + 32])
    assert find_parts(scene).result(100) == {"tracks": tracks}, "cut short"
    other = write_scene(turned_in_picture=True)
    page.write_bytes(whole)
    assert list(find_parts(other).result(100)) == ["tracks"], "a page of another scene"


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
