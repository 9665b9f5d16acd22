"""The data sets on disk: the options of each, and where each is looked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar, TypeVar

import tyro

from core.checks import UserError
from core.data.datasets import DatasetName
from core.training.feeding.options import DatasetOptions

T = TypeVar("T")
NoPrefix = Annotated[T, tyro.conf.arg(name="")]
"""A group of options whose names do not begin with that of the group."""


@dataclass(frozen=True)
class DatasetPaths:
    """Where the data sets of one program lie unless the user says otherwise."""

    file: str
    """The file in which the constants are written."""
    folders: Mapping[DatasetName, Path]
    """The constant ``<NAME>_PATH`` of each data set."""

    def locate(self, name: DatasetName, given: Path | None) -> Path:
        """Return the folder of a data set.

        Args:
            name: Which.
            given: Value of the option ``--<name>_path``, which goes before the environment variable
                ``STREAMSPLAT_<NAME>_PATH``, which goes before the constant.

        Raises:
            UserError: If it is not there; the message names all three.
        """
        option, constant = f"--{name}_path", f"{name.upper()}_PATH"
        variable = f"STREAMSPLAT_{constant}"
        if given is not None:
            path, source = given, option
        elif os.environ.get(variable):
            path, source = Path(os.environ[variable]), f"environment variable {variable}"
        else:
            path, source = self.folders[name], f"{constant} in {self.file}"
        if not path.is_dir():
            what = "is a file, not a folder" if path.exists() else "is not there"
            raise UserError(
                f"the {name} data set {path} ({source}) {what}; say where it is with {option}, the "
                f"environment variable {variable}, or {constant} in {self.file}."
            )
        return path


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A data set on disk, with an option ``--<name>_path``."""

    name: ClassVar[DatasetName]

    def locate(self, paths: DatasetPaths) -> DatasetOptions:
        """Find the data set.

        Raises:
            UserError: If it is not there.
        """
        given: Path | None = getattr(self, f"{self.name}_path")
        return DatasetOptions(name=self.name, path=paths.locate(self.name, given))


@dataclass(frozen=True, kw_only=True)
class Re10k(Dataset):
    """RealEstate10K: camera flights through houses."""

    name = "re10k"
    re10k_path: Path | None = None
    """Folder of RealEstate10K in pixelSplat's chunks, {train,test}/*.torch; by default that of
    STREAMSPLAT_RE10K_PATH, or else RE10K_PATH in configs/."""
    allow_pickle_depth: bool = False
    """Read depth chunks depth_<chunk>.pt where there is no .safetensors. They are pickles: reading
    one runs the code in it, so allow it only for files that you trust."""

    def locate(self, paths: DatasetPaths) -> DatasetOptions:
        """Find the data set; see :meth:`Dataset.locate`."""
        return replace(super().locate(paths), allow_pickle_depth=self.allow_pickle_depth)


@dataclass(frozen=True, kw_only=True)
class Co3d(Dataset):
    """CO3Dv2: objects that stand still, filmed from around them."""

    name = "co3d"
    co3d_path: Path | None = None
    """Folder of CO3Dv2, which holds the categories; by default that of STREAMSPLAT_CO3D_PATH, or
    else CO3D_PATH in configs/."""


@dataclass(frozen=True, kw_only=True)
class Davis(Dataset):
    """DAVIS 2017: videos of moving objects, with masks."""

    name = "davis"
    davis_path: Path | None = None
    """Folder of DAVIS 2017, which holds JPEGImages/; by default that of STREAMSPLAT_DAVIS_PATH, or
    else DAVIS_PATH in configs/."""


@dataclass(frozen=True, kw_only=True)
class Vos(Dataset):
    """YouTube-VOS: short videos of moving objects, with masks."""

    name = "vos"
    vos_path: Path | None = None
    """Folder of YouTube-VOS, which holds train/; by default that of STREAMSPLAT_VOS_PATH, or else
    VOS_PATH in configs/."""


@dataclass(frozen=True, kw_only=True)
class Frames(Dataset):
    """A folder of clips: the layout for videos of your own."""

    name = "frames"
    frames_path: Path | None = None
    """Folder of clips, <clip>/JPEGImages/*.jpg, with Annotations/*.png and depthImages/*_pred.png
    where there are any; by default that of STREAMSPLAT_FRAMES_PATH, or else FRAMES_PATH in
    configs/."""


@dataclass(frozen=True, kw_only=True)
class Datasets:
    """The list of all data sets, from which the subcommands are made."""

    re10k: NoPrefix[Re10k] = Re10k()
    co3d: NoPrefix[Co3d] = Co3d()
    davis: NoPrefix[Davis] = Davis()
    vos: NoPrefix[Vos] = Vos()
    frames: NoPrefix[Frames] = Frames()
