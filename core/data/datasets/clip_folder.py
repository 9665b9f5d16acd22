"""Folders of clips: the layout for your own videos."""

from __future__ import annotations

from tqdm import tqdm

from core.checks import UserError
from core.data.datasets.file_sequences import FileSequenceSet, collect_files
from core.data.datasets.index import FolderListings
from core.io.layouts import JPEG_IMAGES

REACH = 5


def open_clip_folder(listings: FolderListings) -> FileSequenceSet:
    """Open the clips ``<clip>/JPEGImages/*.jpg``, which have no splits.

    ``Annotations/<stem>.png`` and ``depthImages/<stem>_pred.png`` belong to the frame of that
    stem; either folder may be missing, or hold fewer files.

    Raises:
        UserError: If there are no clips.
    """
    root, images = listings.root, JPEG_IMAGES.images
    if (root / images).is_dir():
        raise UserError(f"{root} is one clip; give the folder that holds the clips.")
    names = listings.folders(root)
    sequences = [
        collect_files(
            listings,
            name,
            root / name / images,
            depths=root / name / JPEG_IMAGES.depths,
            masks=root / name / "Annotations",
        )
        for name in tqdm(names, desc="index of clips", unit="clip", leave=False, delay=1)
        if (root / name / images).is_dir()
    ]
    if not sequences:
        raise UserError(f"{root} holds no clips; expected {root}/<clip>/{images}/*.jpg.")
    return FileSequenceSet("frames", root, sequences, reach=REACH, has_masks=True)
