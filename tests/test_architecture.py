"""The house: imports point downwards only, and packages of one floor never meet."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = [
    {"train", "train_decoder", "splat_inference", "preprocess_depth_davis"},
    {"configs"},
    {"core.outputs", "core.tracking", "core.viewer"},
    {"core.streaming", "core.training"},
    {"core.data", "core.models", "core.losses", "core.metrics", "core.export"},
    {"core.rendering", "core.depth"},
    {"core.geometry", "core.io", "core.devices"},
    {
        *("core.types", "core.checks", "core.command_line", "core.logging"),
        *("core.early_interrupt", "core.early_launcher"),
    },
]
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
RASTERIZER = "diff_gaussian_rasterization_orth"
SOURCES = sorted(
    [*ROOT.glob("*.py"), *(ROOT / "core").rglob("*.py"), *(ROOT / "configs").rglob("*.py")]
)


def room_of(module: str) -> str:
    """Return the package on a floor that a dotted module name belongs to."""
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "core" else parts[0]


def imported_modules(path: Path) -> set[str]:
    """Return the absolute names of everything that a file imports, at any depth."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            module = node.module or ""
            names.update(
                f"{module}.{alias.name}" if module == "core" else module for alias in node.names
            )
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downwards(path: Path) -> None:
    room = room_of(".".join(path.relative_to(ROOT).with_suffix("").parts))
    if room == "core.__init__":
        return
    assert room in FLOOR_OF, f"{room} has no floor; add it to docs/architecture.md and to this test"
    for module in imported_modules(path):
        target = room_of(module)
        if target == RASTERIZER:
            assert room == "core.rendering", "only core.rendering knows the rasteriser"
        if target in FLOOR_OF and target != room:
            assert FLOOR_OF[target] > FLOOR_OF[room], f"{room} must not import {module}"


def test_the_rasterizer_stands_alone() -> None:
    for path in (ROOT / "submodules" / "diff-gaussian-rasterization-orth").rglob("*.py"):
        assert not any(
            name.split(".")[0] in {"core", "configs"} for name in imported_modules_loose(path)
        ), path


def imported_modules_loose(path: Path) -> set[str]:
    """Like :func:`imported_modules`, for files that may use relative imports."""
    tree = ast.parse(path.read_text())
    imports = [n for n in ast.walk(tree) if isinstance(n, ast.Import)]
    froms = [n for n in ast.walk(tree) if isinstance(n, ast.ImportFrom) and n.level == 0]
    return {a.name for n in imports for a in n.names} | {n.module or "" for n in froms}
