"""What readers of others make of the files of one time."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import export_readers
import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from core.export.gltf import write_glb
from core.export.ply import write_ply
from core.export.sog import write_sog
from core.export.splat import write_splat
from core.export.splats import Splats
from core.export.spz import write_spz
from core.geometry.cameras import Lens
from core.geometry.motion import freeze_at
from core.metrics.psnr import psnr
from core.rendering import render
from core.types import DynamicGaussians

pytestmark = pytest.mark.slow  # readers compile their kernels, or are other programs


@dataclass(frozen=True)
class Bounds:
    """The largest errors that a format may have."""

    means: float
    covars: float
    colors: float
    opacities: float
    psnr: float


EXACT = Bounds(means=1e-6, covars=1e-4, colors=1e-6, opacities=1e-6, psnr=90)
# Half a step of everything: scales 1/32 of a natural logarithm, twice that in a covariance.
SPZ = Bounds(means=3.1e-5, covars=0.07, colors=0.004, opacities=0.002, psnr=50)
SPLAT = Bounds(means=1e-6, covars=0.04, colors=0.002, opacities=0.002, psnr=50)
SOG = Bounds(means=3e-5, covars=0.06, colors=0.005, opacities=0.002, psnr=50)
WRITERS: dict[str, tuple[Callable[[Path, Splats], None], Bounds]] = {
    "ply": (write_ply, EXACT),
    "glb": (write_glb, EXACT),
    "spz": (write_spz, SPZ),
    "spz4": (partial(write_spz, version=4), SPZ),
    "splat": (write_splat, SPLAT),
    "sog": (write_sog, SOG),
}
PAIRS = [(name, reader) for name, readers in export_readers.READERS.items() for reader in readers]
LENS = Lens(60.0, 24 / 40)
SIZE = (48, 80)


@pytest.mark.parametrize(("name", "reader"), PAIRS)
def test_a_reader_of_others_sees_the_same_scene(
    name: str,
    reader: str,
    scene: DynamicGaussians,
    splats: Splats,
    tmp_path: Path,
) -> None:
    write, bounds = WRITERS[name]
    path = tmp_path / f"scene.{name.rstrip('4')}"
    write(path, splats)
    if reader == "splat-transform" and shutil.which(reader) is None:
        pytest.skip("no splat-transform: npm install --global @playcanvas/splat-transform")
    read = export_readers.READERS[name][reader](path)
    assert len(read) == len(splats)
    assert [file for file in tmp_path.iterdir() if "partial" in file.name] == []

    _, index = cKDTree(read.means).query(splats.means)  # some formats sort
    assert len(set(index)) == len(splats)
    read = read.select(index)
    np.testing.assert_allclose(read.means, splats.means, rtol=0, atol=bounds.means)
    np.testing.assert_allclose(read.colors, splats.colors, rtol=0, atol=bounds.colors)
    np.testing.assert_allclose(read.opacities, splats.opacities, rtol=0, atol=bounds.opacities)
    expected = export_readers.covars_of(splats)
    size = np.linalg.norm(expected, axis=(1, 2))
    assert (
        np.linalg.norm(export_readers.covars_of(read) - expected, axis=(1, 2))
        < bounds.covars * size
    ).all()

    ours = render(freeze_at(scene, 0.25), torch.zeros(1, 1), SIZE, 0.5).rgb[0]
    exported, seen = (export_readers.picture(s, LENS, SIZE) for s in (splats, read))
    assert psnr(seen, exported).item() > bounds.psnr
    assert psnr(seen, ours).item() > 35, "the input view is kept"


@pytest.mark.parametrize("name", WRITERS)
def test_a_scene_of_nothing_is_a_file(name: str, splats: Splats, tmp_path: Path) -> None:
    path = tmp_path / f"scene.{name.rstrip('4')}"
    WRITERS[name][0](path, splats.select(np.arange(0)))
    assert path.stat().st_size < 10_000


def test_gltf_is_valid_but_for_what_the_validator_does_not_know(
    splats: Splats, tmp_path: Path
) -> None:
    program = """
        const bytes = new Uint8Array(require("fs").readFileSync(process.argv[1]));
        require("gltf-validator").validateBytes(bytes).then(r => console.log(JSON.stringify(r)));
    """
    if shutil.which("node") is None or "gltf-validator" not in installed_node_packages():
        pytest.skip("no gltf-validator in NODE_PATH: npm install gltf-validator")
    path = tmp_path / "scene.glb"
    write_glb(path, splats)
    result = subprocess.run(
        ["node", "-e", program, path], capture_output=True, text=True, check=True
    )
    report = json.loads(result.stdout)
    assert report["info"]["totalVertexCount"] == len(splats)
    for issue in report["issues"]["messages"]:
        assert "KHR_gaussian_splatting" in json.dumps(issue), issue
        assert issue["code"] in {"UNSUPPORTED_EXTENSION", "MESH_PRIMITIVE_INVALID_ATTRIBUTE"}


def installed_node_packages() -> set[str]:
    folder = Path(os.environ.get("NODE_PATH", "no such folder"))
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()
