"""Opens a dataset by the name of its layout."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from core.checks import UserError
from core.data.datasets.clip_folder import open_clip_folder
from core.data.datasets.co3d import open_co3d
from core.data.datasets.davis import open_davis
from core.data.datasets.file_sequences import FileSequenceSet
from core.data.datasets.index import FolderListings, IndexCache
from core.data.datasets.names import DATASETS, DatasetName, DavisResolution, Split
from core.data.datasets.re10k import RealEstate10K
from core.data.datasets.sequence_set import SequenceSet
from core.data.datasets.youtube_vos import open_youtube_vos

_FILE_LAYOUTS: dict[DatasetName, Callable[[FolderListings, Split], FileSequenceSet]] = {
    "vos": open_youtube_vos,
    "co3d": open_co3d,
    "frames": lambda listings, _split: open_clip_folder(listings),
}


def open_dataset(
    name: DatasetName,
    path: str | Path,
    *,
    split: Split = "train",
    allow_pickle_depth: bool = False,
    cache_folder: Path | None = None,
    davis_resolution: DavisResolution | None = None,
) -> SequenceSet:
    """Open a dataset; its index is built if it is missing.

    Args:
        name: Its layout, one of ``DATASETS``.
        path: Its folder.
        split: The part for training or the one for validation; folders of clips have no parts.
        allow_pickle_depth: Unpickle published depth chunks of RealEstate10K that cannot be read
            otherwise, which runs the code in these files.
        cache_folder: Where the index is kept; None for the user's cache folder, see
            :func:`core.data.datasets.index.default_cache_folder`.
        davis_resolution: Which of the sizes of DAVIS; None for full resolution.

    Raises:
        UserError: If there is no such dataset.
        ValueError: If there is no such layout.
    """
    if name not in DATASETS:
        raise ValueError(f"open_dataset: layout is {name!r}; expected one of {DATASETS}.")
    root = Path(path).absolute()
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise UserError(f"{path} {what}; give the folder of the dataset ({name}).")
    cache = IndexCache(f"{name}-{split}", root, cache_folder)
    if name == "re10k":
        return RealEstate10K(root, split, cache, allow_pickle_depth=allow_pickle_depth)
    listings = FolderListings(root, cache)
    if name == "davis":
        opened = open_davis(listings, split, davis_resolution)
    else:
        opened = _FILE_LAYOUTS[name](listings, split)
    listings.save()
    return opened
