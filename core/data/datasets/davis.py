"""DAVIS 2017: videos of moving objects, with masks."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from core.checks import UserError
from core.data.datasets.file_sequences import FileSequenceSet, collect_files
from core.data.datasets.index import FolderListings
from core.data.datasets.names import DavisResolution, Split
from core.io.layouts import JPEG_IMAGES
from core.logging import get_logger

REACH = 4
_logger = get_logger(__name__)
_SHOWN = 3
_RESOLUTIONS: tuple[DavisResolution, ...] = ("Full-Resolution", "480p")
_MASKS = ("Annotations_unsupervised", "Annotations")
"""Those of the unsupervised and of the semi-supervised challenge."""


def open_davis(
    listings: FolderListings, split: Split, resolution: DavisResolution | None = None
) -> FileSequenceSet:
    """Open the sequences that ``ImageSets/2017/{train,val}.txt`` names.

    Their files are ``JPEGImages/<resolution>/<sequence>/00000.jpg`` and the same path below
    ``Annotations_unsupervised`` or ``Annotations`` (.png) and ``depthImages`` (_pred.png). Without
    a resolution it is Full-Resolution, and 480p where there is none of that.

    Raises:
        UserError: If the list is not there or empty, or there are images of neither resolution.
    """
    root = listings.root
    path = root / "ImageSets" / "2017" / f"{split}.txt"
    names = _read_list(path)
    resolution = resolution or _find_resolution(listings, root / JPEG_IMAGES.images)
    images = root / JPEG_IMAGES.images / resolution
    depths = root / JPEG_IMAGES.depths / resolution
    masks = next(
        (path for name in _MASKS if (path := root / name / resolution).is_dir()),
        root / _MASKS[0] / resolution,
    )
    sequences = [
        collect_files(
            listings,
            name,
            images / name,
            depths=depths / name,
            masks=masks / name,
        )
        for name in tqdm(names, desc="index of DAVIS", unit="sequence", leave=False, delay=1)
    ]
    missing = [f"{images / s.key}, which {path} names" for s in sequences if not s.images]
    return FileSequenceSet("davis", root, sequences, reach=REACH, has_masks=True, missing=missing)


def _find_resolution(listings: FolderListings, images: Path) -> DavisResolution:
    for resolution in _RESOLUTIONS:
        if listings.folders(images / resolution):
            if resolution != _RESOLUTIONS[0]:
                _logger.info("%s: no %s; %s is read.", images, _RESOLUTIONS[0], resolution)
            return resolution
    found = ", ".join(listings.folders(images)[:_SHOWN])
    raise UserError(
        f"{images} holds no sequences in {' or '.join(_RESOLUTIONS)}; found: {found or 'nothing'}. "
        "Unpack DAVIS 2017 there, in either resolution."
    )


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
