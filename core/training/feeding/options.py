"""Options of training data."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from core.checks import UserError
from core.data.augmentation.options import AugmentationOptions
from core.data.datasets.names import DatasetName
from core.data.layered.options import LayeredOptions
from core.data.procedural.options import ProceduralOptions


@dataclass(frozen=True, kw_only=True)
class DatasetOptions:
    """One dataset on disk."""

    name: DatasetName
    """Its layout."""
    path: Path
    """Its folder."""
    weight: float | None = None
    """How often it is drawn from beside the others; None for its number of samples."""
    reach: int | None = None
    """Largest distance between the first and the last frame of a sample; None for that of the
    layout."""
    allow_pickle_depth: bool = False
    """Whether pickled depth chunks may be unpickled, which runs code that the file brings."""

    def __post_init__(self) -> None:
        if self.weight is not None and not 0 < self.weight < float("inf"):
            raise UserError(
                f"--weights gives {self.name} {self.weight:g}; expected a positive number."
            )
        if self.reach is not None and self.reach < 1:
            raise UserError(f"--reach is {self.reach}; expected at least 1.")


@dataclass(frozen=True, kw_only=True)
class LayeredData:
    """Layered photographs, and the folder that they are made of."""

    path: Path
    """Folder of photographs and clips."""
    texture_mib: int = 1024
    """Memory for photographs on the training device, in MiB."""
    options: LayeredOptions = field(default_factory=LayeredOptions)
    """What they are like; their size is set to that of the network's frames."""

    def __post_init__(self) -> None:
        if self.texture_mib < 1:
            raise UserError(f"--texture_mib is {self.texture_mib}; expected at least 1.")


@dataclass(frozen=True, kw_only=True)
class LoadingOptions:
    """How samples are made from datasets on disk."""

    augmentation: AugmentationOptions = field(default_factory=AugmentationOptions)
    """Random changes of the samples."""
    cache_mib: int = 4096
    """Memory for decoded frames, in MiB a process: data sets that fit as a whole are decoded
    once."""
    workers: int = 4
    """Processes a training process that prepare samples; 0 prepares them in the training process
    itself."""
    max_megapixels: float | None = None
    """Largest image, mask or depth map that is decoded; by default 40."""

    def __post_init__(self) -> None:
        for name in ("cache_mib", "workers"):
            if getattr(self, name) < 0:
                raise UserError(f"--{name} is {getattr(self, name)}; expected at least 0.")


@dataclass(frozen=True, kw_only=True)
class DataOptions(LoadingOptions):
    """What a run is trained on: datasets, scenes that are made on the device, or both.

    Half of the samples from datasets are also played backwards, unless the augmentation is
    ``AugmentationOptions.none()``.
    """

    datasets: tuple[DatasetOptions, ...] = ()
    """Datasets on disk, drawn from together."""
    label_motion: bool = False
    """Estimate the motion between the key frames of their samples."""
    procedural: ProceduralOptions | None = None
    """Procedural scenes; their size is set to that of the network's frames."""
    procedural_share: float = 0.5
    """Share of procedural samples, in (0, 1), where there are others too."""
    layered: LayeredData | None = None
    """Layered photographs."""
    layered_share: float = 0.5
    """Share of layered samples, in (0, 1), where there are others too; what the two shares leave
    comes from the datasets."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.datasets and not self.scene_shares:
            raise ValueError("DataOptions: neither datasets nor scenes; give one.")
        for name in ("procedural_share", "layered_share"):
            if not 0 < getattr(self, name) < 1:
                raise UserError(
                    f"--{name} is {getattr(self, name)}; expected a number between 0 and 1."
                )
        if self.datasets and sum(self.scene_shares) >= 1:
            raise UserError(
                f"--procedural_share {self.procedural_share} and --layered_share "
                f"{self.layered_share} leave nothing to the data sets; expected less than 1 "
                "together."
            )

    @property
    def scene_shares(self) -> tuple[float, ...]:
        """Shares of the kinds of scenes that are drawn, procedural ones first."""
        kinds = ((self.procedural, self.procedural_share), (self.layered, self.layered_share))
        shares = [share for options, share in kinds if options is not None]
        total = 1.0 if self.datasets else sum(shares)
        return tuple(share / total for share in shares)
