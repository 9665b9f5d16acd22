"""CO3Dv2: videos around objects that stand still."""

from __future__ import annotations

from tqdm import tqdm

from core.checks import UserError
from core.data.datasets.file_sequences import FileSequenceSet, SequenceFiles, collect_files
from core.data.datasets.index import FolderListings
from core.data.datasets.names import Split
from core.io.layouts import CO3D_IMAGES, find_co3d_images

REACH = 5


def open_co3d(listings: FolderListings, split: Split) -> FileSequenceSet:
    """Open the sequences of ``<category>/set_lists/*manyview_{dev,test}*.json``.

    A list may hold several sequences, and a sequence may occur in several lists: its frames are
    those of all of them, by frame number. Listed images that are not on disk are left out.

    Raises:
        UserError: If there are no set lists, one cannot be read, or none names an image.
    """
    found = find_co3d_images(listings.root, "train" if split == "train" else "test")
    if not found:
        raise UserError(
            f"no set list of CO3D in {listings.root} names images for this part; expected "
            f"<category>/set_lists/*manyview_{'dev' if split == 'train' else 'test'}*.json."
        )
    sequences: list[SequenceFiles] = []
    missing: list[str] = []
    for (category, name), images in tqdm(
        found.items(), desc="index of CO3D", unit="sequence", leave=False, delay=1
    ):
        folder = images[0].parent
        present = set(listings.files(folder))
        missing += [str(image) for image in images if image.name not in present]
        sequences.append(
            collect_files(
                listings,
                f"{category}/{name}",
                folder,
                depths=CO3D_IMAGES.depth_path(images[0]).parent,
                masks=None,
                names=[image.name for image in images if image.name in present],
            )
        )
    return FileSequenceSet(
        "co3d", listings.root, sequences, reach=REACH, has_masks=False, missing=missing
    )
