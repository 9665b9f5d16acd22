"""DAVIS 2017: videos of moving objects, with masks."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from core.checks import UserError
from core.data.datasets.file_sequences import FileSequenceSet, collect_files
from core.data.datasets.index import FolderListings
from core.data.datasets.sequence_set import DavisResolution, Split
from core.io.layouts import JPEG_IMAGES

REACH = 4
_RESOLUTION = "Full-Resolution"
_MASKS = ("Annotations_unsupervised", "Annotations")


def open_davis(
    listings: FolderListings, split: Split, resolution: DavisResolution | None = None
) -> FileSequenceSet:
    """Open the sequences that ``ImageSets/2017/{train,val}.txt`` names.

    Their files are ``JPEGImages/<resolution>/<sequence>/00000.jpg``, by default of full resolution,
    and the same path below ``Annotations_unsupervised``, or else ``Annotations`` (.png), and
    ``depthImages`` (_pred.png).

    Raises:
        UserError: If the list is not there, or empty.
    """
    root = listings.root
    resolution = resolution or _RESOLUTION
    path = root / "ImageSets" / "2017" / f"{split}.txt"
    names = _read_list(path)
    images = root / JPEG_IMAGES.images / resolution
    depths = root / JPEG_IMAGES.depths / resolution
    masks = next((root / m / resolution for m in _MASKS if (root / m / resolution).is_dir()), None)
    sequences = [
        collect_files(
            listings,
            name,
            images / name,
            depths=depths / name,
            masks=None if masks is None else masks / name,
        )
        for name in tqdm(names, desc="index of DAVIS", unit="sequence", leave=False, delay=1)
    ]
    missing = [f"{images / s.key}, which {path} names" for s in sequences if not s.images]
    return FileSequenceSet("davis", root, sequences, reach=REACH, has_masks=True, missing=missing)


def _read_list(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot read {path}, the list of DAVIS 2017's sequences; give the folder that holds "
            "ImageSets/, JPEGImages/ and Annotations_unsupervised/."
        ) from error
    names = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    if not names:
        raise UserError(f"{path} names no sequences; expected one name a line.")
    return names
