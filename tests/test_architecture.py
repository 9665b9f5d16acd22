"""The layout of docs/architecture.md: imports point downwards, and none of them form a circle."""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = [
    {
        *("train", "train_decoder", "splat_inference", "evaluate", "render", "export"),
        *("preprocess_depth_davis", "tools", "__main__"),
    },
    {"configs"},
    {"core.evaluation", "core.viewer"},
    {"core.outputs", "core.tracking"},
    {"core.streaming", "core.training"},
    {"core.data", "core.models", "core.losses", "core.metrics", "core.export"},
    {"core.rendering", "core.depth", "core.scene_file"},
    {"core.geometry", "core.io", "core.devices", "core.recording"},
    {
        *("core.types", "core.checks", "core.logging", "core.command_line"),
        *("core.early_interrupt", "core.early_launcher", "core.lazy"),
    },
    {"core.text"},
]
FLOOR_OF = {package: floor for floor, packages in enumerate(FLOORS) for package in packages}
RASTERIZER = "diff_gaussian_rasterization_orth"
SOURCES = sorted(
    [
        *ROOT.glob("*.py"),
        *(p for top in ("core", "configs", "tools") for p in ROOT.glob(f"{top}/**/*.py")),
    ]
)


def name_of(path: Path) -> str:
    """Return the dotted name of a file's module."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path) for path in SOURCES}
PACKAGES = sorted(name_of(path) for path in SOURCES if path.name == "__init__.py")


def imports_of(path: Path) -> set[str]:
    """Return the modules that a file imports anywhere, also inside functions and for types only."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are absolute"
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            names.update(members & MODULES or {node.module or ""})
    return names


IMPORTS = {name_of(path): imports_of(path) for path in SOURCES}


def package_of(module: str) -> str:
    """Return the package or program on a floor that a module belongs to."""
    parts = module.split(".")
    if parts[0] == "core" and parts[-1] == "__main__":
        return "__main__"
    return ".".join(parts[:2]) if parts[0] == "core" else parts[0]


@pytest.mark.parametrize("module", sorted(MODULES - {"core"}))
def test_imports_point_downwards(module: str) -> None:
    package = package_of(module)
    assert package in FLOOR_OF, f"give {package} a floor here and in docs/architecture.md"
    for imported in IMPORTS[module]:
        target = package_of(imported)
        if target == RASTERIZER:
            assert package == "core.rendering", "only core.rendering imports the rasteriser"
        if target in FLOOR_OF and target != package:
            assert FLOOR_OF[target] > FLOOR_OF[package], f"{module} must not import {imported}"


def assert_no_circle(graph: dict[str, set[str]]) -> None:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"imports form a circle: {' <- '.join(error.args[1])}")


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert_no_circle({module: names - {module} for module, names in IMPORTS.items()})


@pytest.mark.parametrize("package", PACKAGES)
def test_no_parts_of_a_package_import_each_other_in_a_circle(package: str) -> None:
    """Files and folders of one folder, such as run, loop and stages in core.training."""

    def part_of(module: str) -> str | None:
        inside = module.removeprefix(f"{package}.")
        return None if inside == module else inside.split(".")[0]

    graph: dict[str, set[str]] = {}
    for module, names in IMPORTS.items():
        part = part_of(module)
        if part is not None:
            targets = {target for name in names if (target := part_of(name)) not in (None, part)}
            graph.setdefault(part, set()).update(targets)
    assert_no_circle(graph)


def test_training_is_started_from_the_top() -> None:
    """A run calls the loop and the parts; nothing in core.training calls back."""
    for module, names in IMPORTS.items():
        if module.startswith("core.training."):
            assert "core.training.run" not in names, module
            assert "core.training.loop" not in names or module == "core.training.run", module


def test_the_rasterizer_stands_alone() -> None:
    for path in (ROOT / "submodules" / "diff-gaussian-rasterization-orth").rglob("*.py"):
        tree = ast.walk(ast.parse(path.read_text()))
        nodes = [node for node in tree if isinstance(node, ast.Import | ast.ImportFrom)]
        for node in nodes:
            aliases = [alias.name for alias in node.names]
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else aliases
            assert not any(name.split(".")[0] in {"core", "configs"} for name in names), path
