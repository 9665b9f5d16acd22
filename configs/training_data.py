"""What a run may be trained on, for the command lines of both stages."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from configs.dataset_paths import DatasetName, DatasetPaths
from core.checks import UserError
from core.data.augmentation import AugmentationOptions
from core.data.procedural import ProceduralOptions
from core.training import DataOptions
from core.training.feeding.sources import DatasetOptions


@dataclass(frozen=True, kw_only=True)
class OnScenes:
    """Trained on procedural scenes, which need no files."""

    @property
    def data(self) -> DataOptions:
        """What is trained on."""
        return DataOptions(procedural=ProceduralOptions())


@dataclass(frozen=True, kw_only=True)
class OnDatasets:
    """Trained on data sets on disk."""

    paths: ClassVar[DatasetPaths]
    """Where they lie unless the user says otherwise; each program has its own."""

    augment: bool = True
    """Change the samples at random, as the --augmentation options say, and play half of them
    backwards."""
    augmentation: AugmentationOptions = field(default_factory=AugmentationOptions)
    """Random changes of the samples."""
    cache_mib: int = 4096
    """Memory for decoded frames, in MiB a process: data sets that fit as a whole are decoded
    once."""
    workers: int = 4
    """Processes a training process that prepare samples; 0 prepares them in the training process
    itself."""

    @property
    def data(self) -> DataOptions:
        """What is trained on.

        Raises:
            UserError: If a data set is not there.
        """
        return DataOptions(
            datasets=tuple(self._dataset(*chosen) for chosen in self._chosen_paths.items()),
            augmentation=self.augmentation if self.augment else AugmentationOptions.none(),
            cache_mib=self.cache_mib,
            workers=self.workers,
        )

    @property
    def _given_paths(self) -> dict[DatasetName, Path | None]:
        """What the user gave as the path of each data set that may be drawn from."""
        return {}

    @property
    def _chosen_paths(self) -> dict[DatasetName, Path | None]:
        """Those of them that are drawn from."""
        return self._given_paths

    def _dataset(self, name: DatasetName, given: Path | None) -> DatasetOptions:
        return DatasetOptions(name=name, path=self.paths.locate(name, given))


@dataclass(frozen=True, kw_only=True)
class WithReach(OnDatasets):
    """Several frames are taken at a time."""

    reach: int | None = None
    """Largest distance, in frames of the video, between the first and the last frame of a sample,
    but at least num_frames - 1; by default that of the data set: RealEstate10K 15, CO3D 5, DAVIS 4,
    YouTube-VOS 3, clips 5."""

    def _dataset(self, name: DatasetName, given: Path | None) -> DatasetOptions:
        return replace(super()._dataset(name, given), reach=self.reach)


@dataclass(frozen=True, kw_only=True)
class OnRe10k(OnDatasets):
    """Trained on RealEstate10K."""

    re10k_path: Path | None = None
    """Folder of RealEstate10K in pixelSplat's chunks, {train,test}/*.torch; by default that of
    STREAMSPLAT_RE10K_PATH, or else RE10K_PATH in configs/."""
    allow_pickle_depth: bool = False
    """Read depth chunks depth_<chunk>.pt where there is no .safetensors. They are pickles: reading
    one runs whatever code its author put into it, so only allow it for files that you trust."""

    @property
    def _given_paths(self) -> dict[DatasetName, Path | None]:
        return {**super()._given_paths, "re10k": self.re10k_path}

    def _dataset(self, name: DatasetName, given: Path | None) -> DatasetOptions:
        dataset = super()._dataset(name, given)
        return replace(dataset, allow_pickle_depth=self.allow_pickle_depth)


@dataclass(frozen=True, kw_only=True)
class OnCo3d(OnDatasets):
    """Trained on CO3Dv2."""

    co3d_path: Path | None = None
    """Folder of CO3Dv2, which holds the categories; by default that of STREAMSPLAT_CO3D_PATH, or
    else CO3D_PATH in configs/."""

    @property
    def _given_paths(self) -> dict[DatasetName, Path | None]:
        return {**super()._given_paths, "co3d": self.co3d_path}


@dataclass(frozen=True, kw_only=True)
class OnDavis(OnDatasets):
    """Trained on DAVIS 2017."""

    davis_path: Path | None = None
    """Folder of DAVIS 2017, which holds JPEGImages/; by default that of STREAMSPLAT_DAVIS_PATH, or
    else DAVIS_PATH in configs/."""

    @property
    def _given_paths(self) -> dict[DatasetName, Path | None]:
        return {**super()._given_paths, "davis": self.davis_path}


@dataclass(frozen=True, kw_only=True)
class OnVos(OnDatasets):
    """Trained on YouTube-VOS."""

    vos_path: Path | None = None
    """Folder of YouTube-VOS, which holds train/; by default that of STREAMSPLAT_VOS_PATH, or else
    VOS_PATH in configs/."""

    @property
    def _given_paths(self) -> dict[DatasetName, Path | None]:
        return {**super()._given_paths, "vos": self.vos_path}


@dataclass(frozen=True, kw_only=True)
class OnFrames(OnDatasets):
    """Trained on a folder of clips."""

    frames_path: Path | None = None
    """Folder of clips, <clip>/JPEGImages/*.jpg, with Annotations/*.png and depthImages/*_pred.png
    where there are any; by default that of STREAMSPLAT_FRAMES_PATH, or else FRAMES_PATH in
    configs/."""

    @property
    def _given_paths(self) -> dict[DatasetName, Path | None]:
        return {**super()._given_paths, "frames": self.frames_path}


@dataclass(frozen=True, kw_only=True)
class OnCombined(OnFrames, OnVos, OnDavis, OnCo3d, OnRe10k):
    """Trained on several data sets at once, with procedural scenes among them if wanted."""

    datasets: tuple[DatasetName, ...] = ("re10k", "co3d", "davis", "vos")
    """Which data sets; frames is the folder of clips at --frames_path."""
    weights: tuple[float, ...] | None = None
    """How often each of --datasets is drawn from, in proportion; by default as often as it has
    samples."""
    procedural_share: float = 0.0
    """Share of procedural scenes, in [0, 1); with synthetic in place of combined it is all."""

    def __post_init__(self) -> None:
        names = " ".join(self.datasets)
        if not self.datasets or len(set(self.datasets)) < len(self.datasets):
            raise UserError(f"--datasets is '{names}'; expected one or more, each once.")
        if self.weights is not None and len(self.weights) != len(self.datasets):
            weights = " ".join(f"{weight:g}" for weight in self.weights)
            raise UserError(f"--weights is '{weights}'; expected one for each of '{names}'.")

    @property
    def data(self) -> DataOptions:
        """What is trained on.

        Raises:
            UserError: If a data set is not there.
        """
        data = super().data
        if not self.procedural_share:
            return data
        return replace(data, procedural=ProceduralOptions(), procedural_share=self.procedural_share)

    @property
    def _chosen_paths(self) -> dict[DatasetName, Path | None]:
        given = self._given_paths
        return {name: given[name] for name in self.datasets}

    def _dataset(self, name: DatasetName, given: Path | None) -> DatasetOptions:
        weights = dict(zip(self.datasets, self.weights or (), strict=False))
        try:
            dataset = super()._dataset(name, given)
        except UserError as error:
            others = " ".join(other for other in self.datasets if other != name)
            hint = f" Or do without it: --datasets {others}" if others else ""
            raise UserError(f"{error}{hint}") from error
        return replace(dataset, weight=weights.get(name))
