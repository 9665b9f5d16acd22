from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NODE = shutil.which("node")

pytestmark = pytest.mark.slow


@pytest.mark.skipif(
    NODE is None or not (ROOT / "viewer" / "node_modules").is_dir(),
    reason="needs node, and npm ci in viewer/",
)
def test_the_checked_in_player_is_the_build_of_its_source(tmp_path: Path) -> None:
    assert NODE is not None
    fresh = tmp_path / "player.html"
    subprocess.run([NODE, ROOT / "viewer" / "build.mjs", fresh], check=True, timeout=60)
    checked_in = ROOT / "core" / "viewer" / "assets" / "player.html"
    assert fresh.read_bytes() == checked_in.read_bytes(), "run make viewer, and commit it"
