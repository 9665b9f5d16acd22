"""YouTube-VOS: short videos of moving objects, with masks in the part for training."""

from __future__ import annotations

from tqdm import tqdm

from core.checks import UserError
from core.data.datasets.file_sequences import FileSequenceSet, collect_files
from core.data.datasets.index import FolderListings
from core.data.datasets.names import Split
from core.io.layouts import JPEG_IMAGES

REACH = 3
_FOLDERS = {"train": "train", "val": "valid"}


def open_youtube_vos(listings: FolderListings, split: Split) -> FileSequenceSet:
    """Open the sequences ``{train,valid}/JPEGImages/<sequence>/*.jpg``.

    ``train/Annotations/<sequence>/*.png`` are their masks; ``valid`` has none, and every pixel
    counts as moving there.

    Raises:
        UserError: If there are no sequences.
    """
    root = listings.root / _FOLDERS[split]
    images = root / JPEG_IMAGES.images
    names = listings.folders(images)
    if not names:
        raise UserError(
            f"{listings.root} holds no YouTube-VOS: expected {images}/<sequence>/*.jpg."
        )
    sequences = [
        collect_files(
            listings,
            name,
            images / name,
            depths=root / JPEG_IMAGES.depths / name,
            masks=root / "Annotations" / name if split == "train" else None,
        )
        for name in tqdm(names, desc="index of YouTube-VOS", unit="sequence", leave=False, delay=1)
    ]
    return FileSequenceSet(
        "vos",
        listings.root,
        sequences,
        reach=REACH,
        has_masks=True,
        all_moving=split == "val",
    )
