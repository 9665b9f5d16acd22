"""Which images the data sets hold, and where the depth map of an image lies."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from core.checks import UserError
from core.io.stills.images import IMAGE_EXTENSIONS, check_stems, list_files, natural_key

DEPTH_SUFFIX = "_pred"
"""What the name of a depth map adds to that of its image."""


@dataclass(frozen=True)
class Siblings:
    """Two folders side by side, the images in one, their depth maps in the other."""

    images: str
    """Name of the folder above the images, at any height."""
    depths: str
    """Name that stands in its place in the path of a depth map."""
    confidences: str
    """The same of how sure that depth is."""

    def depth_path(self, image: Path) -> Path:
        """Return where the depth map of ``image`` belongs: ``<stem>_pred.png``."""
        return self._beside(image, self.depths).with_name(f"{image.stem}{DEPTH_SUFFIX}.png")

    def confidence_path(self, image: Path) -> Path:
        """Return where the confidence of that map belongs: ``<stem>.png``."""
        return self._beside(image, self.confidences).with_name(f"{image.stem}.png")

    def _beside(self, image: Path, folder: str) -> Path:
        parts = list(image.parts)
        last = len(parts) - 1 - parts[::-1].index(self.images)
        parts[last] = folder
        return Path(*parts)


JPEG_IMAGES = Siblings("JPEGImages", "depthImages", "depthConfidence")
"""DAVIS, YouTube-VOS and folders of clips."""
CO3D_IMAGES = Siblings("images", "predict_depths", "predict_confidences")
"""CO3Dv2."""


def find_jpeg_images(root: str | Path) -> list[Path]:
    """List every image anywhere below a folder ``JPEGImages``, folder by folder in natural order.

    Args:
        root: A folder that holds ``JPEGImages`` folders at any depth, or lies in one.

    Raises:
        UserError: If there is no such folder, no image in it, or two images of one name.
    """
    root = Path(root)
    name = JPEG_IMAGES.images
    if not root.is_dir():
        raise UserError(f"{root} is no folder; give the root of a data set with {name}/.")
    images: list[Path] = []
    for folder in _folders(root):
        if name in folder.parts:
            found = list_files(folder, IMAGE_EXTENSIONS)
            check_stems(folder, [image.name for image in found])
            images += found
    if not images:
        raise UserError(
            f"{root} holds no images below a folder {name}; expected for example "
            f"{root}/{name}/Full-Resolution/<sequence>/00000.jpg."
        )
    return images


def find_scenes(root: str | Path) -> list[list[Path]]:
    """List all images at or below ``root`` by what they show, in natural order.

    Images of one folder at or below a folder ``JPEGImages`` are a clip and show one scene; any
    other image shows a scene of its own. What lies beside ``JPEGImages``, such as masks and depth
    maps, is left out.

    Raises:
        UserError: If there is no such folder.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"{root} is no folder; give a folder of images.")
    scenes: list[list[Path]] = []
    for folder in _folders(root, within_clips=True):
        images = list_files(folder, IMAGE_EXTENSIONS)
        is_clip = JPEG_IMAGES.images in folder.parts
        scenes += [images] if is_clip and images else [[image] for image in images]
    return scenes


def find_co3d_images(
    root: str | Path, split: Literal["train", "test"]
) -> dict[tuple[str, str], list[Path]]:
    """Read off CO3Dv2's set lists which images belong to a split.

    Those are ``<category>/set_lists/*manyview_dev*.json`` (train) and ``*manyview_test*.json``
    (test), whose entries are (sequence, frame number, image path from the root).

    Args:
        root: The folder of the categories, or one of these.
        split: Which lists.

    Returns:
        The images of each (category, sequence), by frame number, each once; whether they are there
        is not looked at. Empty if no category has lists of the split.

    Raises:
        UserError: If there is no set list at all, or one cannot be read.
    """
    root = Path(root)
    lists = sorted([*root.glob("set_lists/*.json"), *root.glob("*/set_lists/*.json")])
    if not lists:
        raise UserError(
            f"{root} holds no set lists; expected for example "
            f"{root}/apple/set_lists/set_lists_manyview_dev_0.json."
        )
    kind = {"train": "manyview_dev", "test": "manyview_test"}[split]
    found: dict[tuple[str, str], dict[int, Path]] = defaultdict(dict)
    for path in lists:
        if kind in path.name:
            category = path.parents[1]
            for sequence, number, image in _set_list_entries(path):
                found[category.name, sequence][number] = category.parent / image
    return {key: [frames[n] for n in sorted(frames)] for key, frames in sorted(found.items())}


def find_chunks(root: str | Path) -> list[Path]:
    """List the image chunks ``{train,test}/*.torch`` of RealEstate10K, in natural order.

    Args:
        root: The folder of the splits, or one of these.

    Raises:
        UserError: If there is none.
    """
    root = Path(root)
    folders = [folder for folder in (root, root / "train", root / "test") if folder.is_dir()]
    chunks = [chunk for folder in folders for chunk in list_files(folder, (".torch",))]
    if not chunks:
        raise UserError(
            f"{root} holds no image chunks; expected for example {root}/train/000000.torch."
        )
    return chunks


def _set_list_entries(path: Path) -> Iterator[tuple[str, int, str]]:
    try:
        subsets = json.loads(path.read_text())
        entries = [entry for subset in subsets.values() for entry in subset]
        parsed = [(str(name), int(number), str(image)) for name, number, image in entries]
        strange = [image for *_, image in parsed if CO3D_IMAGES.images not in Path(image).parts]
        if strange:
            raise ValueError(f"{strange[0]} lies in no folder {CO3D_IMAGES.images}")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"cannot read the set list {path}; expected "
            '{"<subset>": [["<sequence>", <frame number>, "<image path>"], ...], ...}, and paths '
            f"of the kind apple/<sequence>/{CO3D_IMAGES.images}/frame000001.jpg."
        ) from error
    yield from parsed


def _folders(root: Path, *, within_clips: bool = False) -> Iterator[Path]:
    """Walk through ``root`` in natural order, through links too, but into no folder twice.

    Args:
        root: Where to begin.
        within_clips: Leave out what lies beside a folder ``JPEGImages``.
    """
    seen: set[Path] = set()
    for folder, inner, _ in os.walk(root, followlinks=True):
        inner.sort(key=lambda name: natural_key(Path(name)))
        if within_clips and JPEG_IMAGES.images in inner:
            inner[:] = [JPEG_IMAGES.images]
        if (real := Path(folder).resolve()) in seen:
            inner.clear()
            continue
        seen.add(real)
        yield Path(folder)
