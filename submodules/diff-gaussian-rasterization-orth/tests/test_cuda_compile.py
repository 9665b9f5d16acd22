"""The kernels compile, and their cubins are kept, on machines without a GPU."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from diff_gaussian_rasterization_orth import cuda
from diff_gaussian_rasterization_orth.cuda import compiler

UNITS = sorted(path.stem for path in Path(compiler.__file__).parent.glob("*.cu"))
ELF = b"\x7fELF"


@pytest.fixture(autouse=True)
def _toolchain() -> None:
    if reason := compiler.missing_toolchain():
        pytest.skip(reason)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(compiler, "_said", set())
    folder = compiler.cache_folder()
    assert folder is not None
    return folder


@pytest.mark.parametrize("arch", ["sm_80", "sm_90", "sm_120"])
@pytest.mark.parametrize("unit", UNITS)
def test_every_unit_compiles(unit: str, arch: str) -> None:
    if compiler.code_type(arch) == "ptx":
        pytest.skip(f"NVRTC {compiler.nvrtc_version()} does not know {arch}")
    assert compiler.compile_unit(unit, arch, degree=1).startswith(ELF)


@pytest.mark.parametrize("degree", [0, 2, 3, 7])
@pytest.mark.parametrize("unit", ["project_forward", "project_backward"])
def test_projection_compiles_for_every_degree(unit: str, degree: int) -> None:
    assert compiler.compile_unit(unit, "sm_90", degree).startswith(ELF)


def test_architecture_that_nvrtc_has_dropped_is_explained() -> None:
    with pytest.raises(compiler.KernelCompilationError, match=r"sm_10: .*It knows sm_.*older GPU"):
        compiler.compile_unit("blend_forward", "sm_10", degree=0)


def test_gpu_newer_than_nvrtc_gets_ptx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "_known_architectures", lambda: (80, 90))
    assert [compiler.code_type(arch) for arch in ("sm_90", "sm_100")] == ["cubin", "ptx"]


def test_damaged_file_is_compiled_again(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler.find_code("blend_forward", "sm_90", degree=0)
    (path,) = cache.iterdir()
    whole = path.read_bytes()
    for damaged in (b"", whole[:-100], whole[:1000] + b"?" + whole[1001:]):
        path.write_bytes(damaged)
        compiler.find_code("blend_forward", "sm_90", degree=0)
        assert path.read_bytes() == whole


def test_second_load_does_not_compile(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    compiler.find_code("blend_forward", "sm_90", degree=0)
    assert len(list(cache.iterdir())) == 1

    def refuse(*_: object, **__: object) -> bytes:
        raise AssertionError("compiled again")

    monkeypatch.setattr(compiler, "compile_unit", refuse)
    compiler.find_code("blend_forward", "sm_90", degree=0)


def test_what_a_cubin_depends_on_is_in_its_key(
    cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {
        compiler._key("blend_forward", "sm_90", 0),
        compiler._key("blend_forward", "sm_80", 0),
        compiler._key("blend_backward", "sm_90", 0),
        compiler._key("blend_forward", "sm_90", 1),
    }
    monkeypatch.setattr(compiler, "nvrtc_version", lambda: (99, 9))
    keys.add(compiler._key("blend_forward", "sm_90", 0))
    assert len(keys) == 5


def test_folder_that_cannot_be_written_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "a file, not a folder"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    monkeypatch.setattr(compiler, "_said", set())
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            compiler.find_code("blend_forward", "sm_90", degree=0)
    assert sum("cannot be kept" in message for message in caplog.messages) == 1
    assert sum("compiling" in message for message in caplog.messages) == 1


def test_a_user_without_a_home_keeps_no_code(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_home() -> None:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(compiler.Path, "home", no_home)
    assert compiler.cache_folder() is None
    assert compiler.find_code("blend_forward", "sm_90", degree=0).startswith(ELF)


def test_old_driver_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    def fake_driver(version: int) -> object:
        return SimpleNamespace(cuDriverGetVersion=lambda: (0, version))

    monkeypatch.setattr(compiler, "driver", lambda: fake_driver(11080))
    assert "knows CUDA up to 11.8" in (compiler.old_driver() or "")
    monkeypatch.setattr(compiler, "driver", lambda: fake_driver(12040))
    assert compiler.old_driver() is None


def test_availability_is_one_sentence() -> None:
    reason = cuda.unavailable_reason()
    assert reason is None or reason.endswith(".")
