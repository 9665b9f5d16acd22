"""Compile the kernels with NVRTC at first use and keep the result on disk."""

from __future__ import annotations

import functools
import hashlib
import importlib
import importlib.util
import logging
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

from diff_gaussian_rasterization_orth import constants

_SOURCES = Path(__file__).parent
_STANDARD = "c++17"
_DIGEST_SIZE = hashlib.sha256().digest_size
_LOGGER = logging.getLogger("diff_gaussian_rasterization_orth.cuda")
_OLDEST_DRIVER = 12000
"""CUDA 12.0, the first that loads kernels without a context."""
_LOCK = threading.RLock()
_said: set[str] = set()


class KernelCompilationError(RuntimeError):
    """NVRTC or the driver refused a kernel; the message holds its log."""


def missing_toolchain() -> str | None:
    """Say why kernels cannot be compiled here, or None."""
    # Importing it takes longer than loading kernels that were compiled before.
    if not _is_installed("cuda.core"):
        return (
            "NVIDIA's cuda-core is not installed; "
            f"install it: pip install 'cuda-core[cu{_torch_cuda_major()}]'."
        )
    try:
        nvrtc_version()
    except Exception as error:  # the loader raises its own types, by platform
        return (
            f"NVRTC cannot be loaded ({error}); "
            f"install it: pip install 'cuda-core[cu{_torch_cuda_major()}]'."
        )
    return None


def old_driver() -> str | None:
    """Say why the driver cannot load kernels, or None."""
    status, version = driver().cuDriverGetVersion()
    if status == 0 and version >= _OLDEST_DRIVER:
        return None
    major, minor = version // 1000, version % 1000 // 10
    return (
        f"the driver of the GPU knows CUDA up to {major}.{minor}, and at least "
        f"{_OLDEST_DRIVER // 1000}.0 is needed; update the driver."
    )


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ImportError:  # of the package around it
        return False


@functools.cache
def cuda_core() -> Any:
    """Import ``cuda.core``, which no machine without a GPU needs to have."""
    return importlib.import_module("cuda.core")


@functools.cache
def driver() -> Any:
    """Import the bindings of the CUDA driver, which cuda-core brings along."""
    return importlib.import_module("cuda.bindings.driver")


def _torch_cuda_major() -> str:
    import torch

    return (torch.version.cuda or "13").split(".")[0]


@functools.cache
def nvrtc_version() -> tuple[int, int]:
    """Return the version of NVRTC, major and minor."""
    nvrtc = importlib.import_module("cuda.bindings.nvrtc")
    status, major, minor = nvrtc.nvrtcVersion()
    if int(status) != 0:
        raise RuntimeError(f"nvrtcVersion returned {status}")
    return major, minor


def code_type(arch: str) -> str:
    """Return ``"cubin"``, or ``"ptx"`` for a GPU that is newer than NVRTC.

    The driver finishes PTX when it loads it, for whatever GPU there is.
    """
    return "ptx" if _number(arch) > max(_known_architectures()) else "cubin"


@functools.cache
def _known_architectures() -> tuple[int, ...]:
    nvrtc = importlib.import_module("cuda.bindings.nvrtc")
    status, known = nvrtc.nvrtcGetSupportedArchs()
    if int(status) != 0:
        raise RuntimeError(f"nvrtcGetSupportedArchs returned {status}")
    return tuple(known)


def _number(arch: str) -> int:
    return int(arch.removeprefix("sm_"))


def compile_unit(unit: str, arch: str, degree: int) -> bytes:
    """Compile one ``.cu`` file; needs no GPU.

    Args:
        unit: File name without its ending, such as ``"blend_forward"``.
        arch: Architecture, such as ``"sm_90"``.
        degree: Degree of the motion polynomial that the projection kernels are specialised for.

    Returns:
        The cubin, or PTX; see :func:`code_type`.

    Raises:
        KernelCompilationError: If NVRTC has dropped the architecture or refuses the source.
    """
    path = _SOURCES / f"{unit}.cu"
    kind = code_type(arch)
    options = cuda_core().ProgramOptions(
        name=path.name,
        arch=arch if kind == "cubin" else f"compute_{max(_known_architectures())}",
        std=_STANDARD,
        include_path=str(_SOURCES),
        define_macro=_macros(degree),
    )
    try:
        program = cuda_core().Program(path.read_text(), code_type="c++", options=options)
        compiled = program.compile(kind)
    except Exception as error:  # cuda-core's exception types differ between its versions
        raise KernelCompilationError(
            f"cuda backend: NVRTC {'.'.join(map(str, nvrtc_version()))} cannot compile "
            f"{path.name} for {arch}: {_one_line(error)}. It knows sm_"
            f"{', sm_'.join(map(str, _known_architectures()))}; for an older GPU, install the "
            "cuda-core and torch of an older CUDA."
        ) from error
    return bytes(compiled.code)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).replace("\0", "").split()).rstrip(".")


def find_code(unit: str, arch: str, degree: int) -> bytes:
    """Return a unit's machine code, from the disk cache where it is there.

    Args:
        unit: File name without its ending.
        arch: Architecture of the GPU that will run it.
        degree: Degree of the motion polynomial.

    Raises:
        KernelCompilationError: If it cannot be compiled.
    """
    with _LOCK:
        folder = cache_folder()
        if folder is None:
            _say_once(f"compiling the CUDA kernels for {arch}; set XDG_CACHE_HOME to keep them")
            return compile_unit(unit, arch, degree)
        path = folder / f"{unit}-{arch}-{_key(unit, arch, degree)}.{code_type(arch)}"
        code = _kept(path)
        if code is None:
            _say_once(f"compiling the CUDA kernels for {arch} (kept in {folder})")
            code = compile_unit(unit, arch, degree)
            _keep(path, code)
        return code


def cache_folder() -> Path | None:
    """Where compiled kernels are kept: the user's cache folder, as the platform defines it.

    None for a user without a home.
    """
    if configured := os.environ.get("XDG_CACHE_HOME"):
        base = Path(configured)
    elif sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        base = Path(local)
    else:
        try:
            base = Path.home() / ".cache"
        except RuntimeError:
            return None
    return base / "diff_gaussian_rasterization_orth"


def _macros(degree: int) -> list[tuple[str, str]]:
    numbers = {name: value for name, value in vars(constants).items() if name.isupper()}
    return [
        ("MOTION_DEGREE", str(degree)),
        *((name, f"{float(value)!r}f") for name, value in sorted(numbers.items())),
    ]


def _key(unit: str, arch: str, degree: int) -> str:
    """Hash of everything that the cubin depends on."""
    digest = hashlib.sha256(repr((arch, _macros(degree), _STANDARD, nvrtc_version())).encode())
    for path in [_SOURCES / f"{unit}.cu", *sorted(_SOURCES.glob("*.cuh"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def _kept(path: Path) -> bytes | None:
    """Return the code of a file, or None where there is none that is whole."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, code = content[:_DIGEST_SIZE], content[_DIGEST_SIZE:]
    return code if hashlib.sha256(code).digest() == digest else None


def _keep(path: Path, code: bytes) -> None:
    """Write beside and move into place, so that a second process never reads half a file."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(hashlib.sha256(code).digest() + code)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as error:
        _say_once(
            f"the CUDA kernels cannot be kept in {path.parent} ({error.strerror}); they will be "
            "compiled again by every process. Set XDG_CACHE_HOME to a folder that can be written"
        )


def _say_once(message: str) -> None:
    if message not in _said:
        _said.add(message)
        _LOGGER.warning(message)
