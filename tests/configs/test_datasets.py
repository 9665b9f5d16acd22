from __future__ import annotations

from pathlib import Path

import pytest

from configs import options, options_decoder
from configs.datasets import DatasetPaths
from core.checks import UserError


@pytest.fixture
def paths(tmp_path, monkeypatch):
    for variable in ("RE10K", "CO3D", "DAVIS", "VOS", "FRAMES"):
        monkeypatch.delenv(f"STREAMSPLAT_{variable}_PATH", raising=False)
    folders = dict.fromkeys(("re10k", "co3d", "davis", "vos", "frames"), tmp_path / "constant")
    for folder in ("option", "variable", "constant"):
        (tmp_path / folder).mkdir()
    return DatasetPaths("configs/options.py", folders)


def test_the_option_goes_before_the_variable_before_the_constant(paths, tmp_path, monkeypatch):
    assert paths.locate("davis", None) == tmp_path / "constant"
    monkeypatch.setenv("STREAMSPLAT_VOS_PATH", str(tmp_path / "variable"))
    assert paths.locate("davis", None) == tmp_path / "constant"
    monkeypatch.setenv("STREAMSPLAT_DAVIS_PATH", str(tmp_path / "variable"))
    assert paths.locate("davis", None) == tmp_path / "variable"
    assert paths.locate("davis", tmp_path / "option") == tmp_path / "option"
    monkeypatch.setenv("STREAMSPLAT_DAVIS_PATH", "")
    assert paths.locate("davis", None) == tmp_path / "constant"


def test_a_path_that_is_not_there_names_option_variable_and_constant(paths, tmp_path, monkeypatch):
    (tmp_path / "constant").rmdir()
    monkeypatch.setenv("STREAMSPLAT_CO3D_PATH", "/nowhere")
    for name, given, source in (
        ("davis", None, "(DAVIS_PATH in configs/options.py)"),
        ("co3d", None, "(environment variable STREAMSPLAT_CO3D_PATH)"),
        ("vos", Path("/nowhere"), "(--vos_path)"),
    ):
        with pytest.raises(UserError, match="is not there") as error:
            paths.locate(name, given)
        constant = f"{name.upper()}_PATH"
        for part in (source, f"--{name}_path", f"STREAMSPLAT_{constant}", constant):
            assert part in str(error.value)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file, not a folder"):
        paths.locate("vos", tmp_path / "file")


@pytest.mark.parametrize("module", [options, options_decoder])
def test_the_constants_of_both_programs_are_used(module):
    used = module.PATHS
    assert used.file == f"configs/{Path(module.__file__).name}"
    for name in ("RE10K", "CO3D", "DAVIS", "VOS", "FRAMES"):
        assert used.folders[name.lower()] is getattr(module, f"{name}_PATH")
