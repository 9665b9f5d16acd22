"""Opens the clips of data sets and videos."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from core.checks import UserError
from core.data.datasets import DatasetName, open_dataset
from core.data.datasets.names import DavisResolution
from core.evaluation.data.clips import Clip, DatasetClip, FramesClip


def open_dataset_clips(
    name: DatasetName,
    folders: Sequence[Path],
    *,
    davis_resolution: DavisResolution | None = None,
    allow_pickle_depth: bool = False,
) -> list[Clip]:
    """Return the clips of the validation part of data sets of one layout, in their order.

    Raises:
        UserError: If there is no such data set, or it holds no frames.
    """
    clips: list[Clip] = []
    for folder in folders:
        dataset = open_dataset(
            name,
            folder,
            split="val",
            allow_pickle_depth=allow_pickle_depth,
            davis_resolution=davis_resolution,
        )
        filled = [i for i, length in enumerate(dataset.lengths) if length > 0]
        if not filled:
            size = f" of {davis_resolution}" if davis_resolution else ""
            raise UserError(f"{folder} holds no frames{size} ({name}).")
        clips += [DatasetClip(dataset, i) for i in filled]
    return clips


def open_frame_clips(paths: Iterable[Path]) -> list[Clip]:
    """Return the clips in video files and folders of images.

    Raises:
        UserError: If one of them is not there, or something else.
    """
    return [FramesClip(path) for path in paths]


def choose_clips(clips: Sequence[Clip], names: Sequence[str]) -> list[Clip]:
    """Return the clips of these names, or all where no name is given.

    Raises:
        UserError: If there is no clip of a name, or two have the same.
    """
    by_name: dict[str, Clip] = {}
    for clip in clips:
        if clip.name in by_name:
            raise UserError(f"two clips are called {clip.name}; rename one of them.")
        by_name[clip.name] = clip
    missing = [name for name in names if name not in by_name]
    if missing:
        there = ", ".join(list(by_name)[:20])
        raise UserError(f"--clips: there is no clip {missing[0]}; there are {there}.")
    return [clip for name, clip in by_name.items() if not names or name in names]
