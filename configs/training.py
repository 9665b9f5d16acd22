"""The command line of training: one subcommand for each kind of data, alike in both stages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Generic, Protocol, TypeVar, Union, cast

import tyro
from tyro.conf import OmitArgPrefixes

from configs.datasets import Dataset, DatasetPaths, Datasets, NoPrefix
from core.checks import UserError
from core.data.augmentation.options import AugmentationOptions
from core.data.datasets import DatasetName
from core.data.procedural import ProceduralOptions
from core.training import DataOptions, OptimizerOptions, RunOptions
from core.training.feeding.options import DatasetOptions, LayeredData, LoadingOptions
from core.training.stages.options import StageOptions


@dataclass(frozen=True, kw_only=True)
class SampleOptions(LoadingOptions):
    """Samples from data sets on disk."""

    augment: bool = True
    """Change the samples at random, as the --augmentation options say, and play half of them
    backwards."""

    def draw_from(self, datasets: Sequence[DatasetOptions]) -> DataOptions:
        """Return what is trained on where samples come from ``datasets``."""
        return DataOptions(
            datasets=tuple(datasets),
            augmentation=self.augmentation if self.augment else AugmentationOptions.none(),
            cache_mib=self.cache_mib,
            workers=self.workers,
            max_megapixels=self.max_megapixels,
        )


@dataclass(frozen=True, kw_only=True)
class ClipSampleOptions(SampleOptions):
    """Samples of several frames."""

    reach: int | None = None
    """Largest distance, in frames of the video, between the first and the last frame of a sample,
    but at least num_frames - 1; by default that of the data set: RealEstate10K 15, CO3D 5, DAVIS 4,
    YouTube-VOS 3, clips 5."""
    label_motion: bool = False
    """Estimate the motion between the key frames by optical flow, for --lambda_motion; it counts
    where the flow forth and back agree."""

    def draw_from(self, datasets: Sequence[DatasetOptions]) -> DataOptions:
        """Return what is trained on where samples come from ``datasets``."""
        data = super().draw_from([replace(dataset, reach=self.reach) for dataset in datasets])
        return replace(data, label_motion=self.label_motion)


DatasetT = TypeVar("DatasetT", bound=Dataset)
SamplesT = TypeVar("SamplesT", bound=SampleOptions)


class Data(Protocol):
    """What a subcommand trains on."""

    def locate(self, paths: DatasetPaths) -> DataOptions:
        """Find the data sets.

        Args:
            paths: Where they lie unless the user says otherwise.

        Raises:
            UserError: If one is not there.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class OneDataset(Generic[DatasetT, SamplesT]):
    """One data set."""

    dataset: NoPrefix[DatasetT]
    samples: NoPrefix[SamplesT]

    def locate(self, paths: DatasetPaths) -> DataOptions:
        """Find the data set; see :meth:`Data.locate`."""
        return self.samples.draw_from([self.dataset.locate(paths)])


@dataclass(frozen=True, kw_only=True)
class Combined(Generic[SamplesT]):
    """Several data sets, and procedural scenes and layered photographs if wanted."""

    datasets: tuple[DatasetName, ...] = ("re10k", "co3d", "davis", "vos")
    """Which data sets; frames is the folder of clips at --frames_path."""
    weights: tuple[float, ...] | None = None
    """How often each of --datasets is drawn from, in proportion; by default as often as it has
    samples."""
    procedural_share: float = 0.0
    """Share of procedural scenes, in [0, 1); with synthetic in place of combined it is all."""
    layered_share: float = 0.0
    """Share of layered photographs, in [0, 1); with layered in place of combined it is all."""
    layered_path: Path | None = None
    """Folder of photographs and clips, of any depth, from which layers are cut; needed with
    --layered_share."""
    texture_mib: int = 1024
    """Memory for these photographs on the training device, in MiB."""
    options_of: NoPrefix[Datasets]
    samples: NoPrefix[SamplesT]

    def __post_init__(self) -> None:
        names = " ".join(self.datasets)
        if not self.datasets or len(set(self.datasets)) < len(self.datasets):
            raise UserError(f"--datasets is '{names}'; expected one or more, each once.")
        if self.weights is not None and len(self.weights) != len(self.datasets):
            weights = " ".join(f"{weight:g}" for weight in self.weights)
            raise UserError(f"--weights is '{weights}'; expected one for each of '{names}'.")
        if (self.layered_path is None) != (self.layered_share == 0):
            raise UserError("give --layered_share and --layered_path together.")

    def locate(self, paths: DatasetPaths) -> DataOptions:
        """Find the data sets; see :meth:`Data.locate`."""
        located = [self._locate(name, paths) for name in self.datasets]
        if self.weights is not None:
            pairs = zip(located, self.weights, strict=True)
            located = [replace(dataset, weight=weight) for dataset, weight in pairs]
        data = self.samples.draw_from(located)
        if self.procedural_share:
            scenes = {"procedural": ProceduralOptions(), "procedural_share": self.procedural_share}
            data = replace(data, **scenes)
        if self.layered_path is not None:
            layered = LayeredData(path=self.layered_path, texture_mib=self.texture_mib)
            data = replace(data, layered=layered, layered_share=self.layered_share)
        return data

    def _locate(self, name: DatasetName, paths: DatasetPaths) -> DatasetOptions:
        dataset: Dataset = getattr(self.options_of, name)
        try:
            return dataset.locate(paths)
        except UserError as error:
            others = " ".join(other for other in self.datasets if other != name)
            hint = f" Or do without it: --datasets {others}" if others else ""
            raise UserError(f"{error}{hint}") from error


@dataclass(frozen=True, kw_only=True)
class Synthetic:
    """Procedural scenes, which need no files."""

    def locate(self, paths: DatasetPaths) -> DataOptions:
        """There is nothing to find."""
        return DataOptions(procedural=ProceduralOptions())


@dataclass(frozen=True, kw_only=True)
class Layered:
    """Layers cut out of photographs, which move, deform and hide one another."""

    layered_path: Path
    """Folder of photographs and clips, of any depth, from which layers are cut."""
    texture_mib: int = 1024
    """Memory for these photographs on the training device, in MiB."""

    def locate(self, paths: DatasetPaths) -> DataOptions:
        """Name the folder; it is read when training begins."""
        return DataOptions(
            layered=LayeredData(path=self.layered_path, texture_mib=self.texture_mib)
        )


DataT = TypeVar("DataT", bound=Data)
ModelT = TypeVar("ModelT", bound=StageOptions)
RunT = TypeVar("RunT", bound=RunOptions)
OptimizerT = TypeVar("OptimizerT", bound=OptimizerOptions)


@dataclass(frozen=True, kw_only=True)
class Training(Generic[DataT, ModelT, RunT, OptimizerT]):
    """The options of one subcommand."""

    data: NoPrefix[DataT]
    run: OmitArgPrefixes[RunT]
    """The run."""
    model: OmitArgPrefixes[ModelT]
    """The network and its losses."""
    optimizer: OmitArgPrefixes[OptimizerT]
    """AdamW and its schedule."""


def training_commands(
    samples: type[SampleOptions],
    model: type[ModelT],
    run: type[RunT],
    optimizer: type[OptimizerT],
) -> type[Training[Data, ModelT, RunT, OptimizerT]]:
    """Return the subcommands of a stage: one for each data set, combined, synthetic and layered.

    Args:
        samples: How samples are drawn from data sets.
        model: Options of the stage.
        run: Options of the run.
        optimizer: Options of the optimiser.
    """

    def command(name: str, data: Any, description: str | None) -> Any:
        options = Training[data, model, run, optimizer]  # type: ignore[valid-type]
        return Annotated[options, tyro.conf.subcommand(name, description=description)]

    kinds: list[Any] = [type(field.default) for field in fields(Datasets)]
    commands = [command(kind.name, OneDataset[kind, samples], kind.__doc__) for kind in kinds]
    commands.insert(-1, command("combined", Combined[samples], Combined.__doc__))
    commands.append(command("synthetic", Synthetic, Synthetic.__doc__))
    commands.append(command("layered", Layered, Layered.__doc__))
    return cast(Any, Union[tuple(commands)])  # noqa: UP007 (a list known at run time)
