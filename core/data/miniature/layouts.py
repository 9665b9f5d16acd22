"""How each data set lays out its files; every function writes one small instance."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor

from core.data.miniature.clips import MAX_SEQUENCES, Draw, MiniatureClip, Recipe
from core.data.procedural.imaging.motion import FOCAL
from core.io.chunks.depth import depth_chunk_path, write_depth_chunk
from core.io.stills.images import write_png

_SEQUENCES_PER_CHUNK = 2
_CO3D_CATEGORIES = ("apple", "teddybear")
_VOS_STEP = 5
_PALETTE = (
    (0, 0, 0),
    (230, 25, 75),
    (60, 180, 75),
    (0, 130, 200),
    (255, 225, 25),
    (145, 30, 180),
    (70, 240, 240),
    (245, 130, 48),
    (240, 50, 230),
    (210, 245, 60),
    (250, 190, 190),
)
"""Colours of the labels, in the order of the numbers."""

WriteLayout = Callable[[Path, Recipe, Draw], None]


def write_davis(root: Path, recipe: Recipe, draw: Draw) -> None:
    """Write DAVIS 2017: sequence lists, full-resolution frames, annotations of every split."""
    for split, numbers in _splits("davis", recipe):
        names = [f"{split}-scene-{number % MAX_SEQUENCES:02d}" for number in numbers]
        _write_text(root / f"ImageSets/2017/{split}.txt", "\n".join(names) + "\n")
        for name, number in zip(names, numbers, strict=True):
            _write_frames(
                draw(number),
                [f"{frame:05d}" for frame in range(recipe.frames)],
                images=root / "JPEGImages/Full-Resolution" / name,
                depths=root / "depthImages/Full-Resolution" / name if recipe.depth else None,
                masks=root / "Annotations_unsupervised/Full-Resolution" / name,
            )


def write_youtube_vos(root: Path, recipe: Recipe, draw: Draw) -> None:
    """Write YouTube-VOS: every fifth frame, and ``valid`` has no annotations."""
    stems = [f"{_VOS_STEP * frame:05d}" for frame in range(recipe.frames)]
    for split, numbers in _splits("vos", recipe):
        for number in numbers:
            name = _hexadecimal("vos", number, 10)
            _write_frames(
                draw(number),
                stems,
                images=root / split / "JPEGImages" / name,
                depths=root / split / "depthImages" / name if recipe.depth else None,
                masks=root / split / "Annotations" / name if split == "train" else None,
            )


def write_co3d(root: Path, recipe: Recipe, draw: Draw) -> None:
    """Write CO3Dv2: two categories whose set lists hold several sequences each."""
    stems = [f"frame{frame + 1:06d}" for frame in range(recipe.frames)]
    for split, numbers in _splits("co3d", recipe):
        for place, category in enumerate(_CO3D_CATEGORIES):
            entries: list[tuple[str, int, str]] = []
            for number in numbers[place :: len(_CO3D_CATEGORIES)]:
                name = f"{100 + number}_{12000 + number}_{23000 + number}"
                folder = root / category / name
                depths = folder / "predict_depths" if recipe.depth else None
                _write_frames(draw(number), stems, images=folder / "images", depths=depths)
                entries += [
                    (name, frame + 1, f"{category}/{name}/images/{stem}.jpg")
                    for frame, stem in enumerate(stems)
                ]
            if entries:
                # The frames of a sequence are spread over the subsets, as in the original.
                known = [entry for entry in entries if entry[1] % 4]
                held_back = [entry for entry in entries if not entry[1] % 4]
                subsets = {"train": known, "val": [], "test": held_back}
                path = root / category / "set_lists" / f"set_lists_{split}_0.json"
                _write_text(path, json.dumps(subsets))


def write_re10k(root: Path, recipe: Recipe, draw: Draw) -> None:
    """Write RealEstate10K in pixelSplat's chunks: an index and ``.torch`` files of JPEGs."""
    for split, numbers in _splits("re10k", recipe):
        folder = root / split
        folder.mkdir(parents=True)
        index: dict[str, str] = {}
        for start in range(0, len(numbers), _SEQUENCES_PER_CHUNK):
            chunk = folder / f"{start // _SEQUENCES_PER_CHUNK:06d}.torch"
            clips = {
                _hexadecimal("re10k", number, 16): draw(number)
                for number in numbers[start : start + _SEQUENCES_PER_CHUNK]
            }
            torch.save([_chunk_entry(key, clip) for key, clip in clips.items()], chunk)
            index |= dict.fromkeys(clips, chunk.name)
            if recipe.depth:
                maps = {key: clip.inverse_depths for key, clip in clips.items()}
                write_depth_chunk(depth_chunk_path(chunk), maps)
        _write_text(folder / "index.json", json.dumps(index))


def write_frames(root: Path, recipe: Recipe, draw: Draw) -> None:
    """Write a folder of clips, ``<clip>/JPEGImages/*.jpg`` with masks and depth maps beside."""
    for _, numbers in _splits("frames", recipe):
        for number in numbers:
            folder = root / f"clip-{number:02d}"
            _write_frames(
                draw(number),
                [f"{frame:05d}" for frame in range(recipe.frames)],
                images=folder / "JPEGImages",
                depths=folder / "depthImages" if recipe.depth else None,
                masks=folder / "Annotations",
            )


WRITERS: dict[str, WriteLayout] = {
    "davis": write_davis,
    "vos": write_youtube_vos,
    "co3d": write_co3d,
    "re10k": write_re10k,
    "frames": write_frames,
}
"""The function of each layout, by its name on the command line."""


SPLITS: dict[str, tuple[str, ...]] = {
    "davis": ("train", "val"),
    "vos": ("train", "valid"),
    "co3d": ("manyview_dev", "manyview_test"),
    "re10k": ("train", "test"),
    "frames": ("all",),
}
"""What each layout calls its splits."""


def _splits(layout: str, recipe: Recipe) -> Iterator[tuple[str, range]]:
    """Go through a layout's splits and the numbers of their clips."""
    for place, name in enumerate(SPLITS[layout]):
        first = place * MAX_SEQUENCES
        yield name, range(first, first + recipe.sequences)


def _write_frames(
    clip: MiniatureClip,
    stems: Sequence[str],
    *,
    images: Path,
    depths: Path | None,
    masks: Path | None = None,
) -> None:
    for folder in (images, depths, masks):
        if folder is not None:
            folder.mkdir(parents=True)
    for frame, (stem, jpeg) in enumerate(zip(stems, clip.jpegs(), strict=True)):
        (images / f"{stem}.jpg").write_bytes(jpeg)
        if depths is not None:
            write_png(depths / f"{stem}_pred.png", clip.inverse_depths[frame])
        if masks is not None:
            _write_palette_png(masks / f"{stem}.png", clip.labels[frame])


def _write_palette_png(path: Path, labels: UInt8[np.ndarray, "h w"]) -> None:
    image = Image.fromarray(labels).convert("P")
    image.putpalette(np.array(_PALETTE, np.uint8).tobytes())
    image.save(path)


def _chunk_entry(key: str, clip: MiniatureClip) -> dict[str, Any]:
    frames = len(clip.images)
    return {
        "url": f"https://example.org/watch?v={key}",
        "timestamps": torch.arange(frames, dtype=torch.int64) * 33_333,
        "cameras": _cameras(clip.images.shape[1:3], frames),
        "images": [torch.from_numpy(np.frombuffer(jpeg, np.uint8).copy()) for jpeg in clip.jpegs()],
        "key": key,
    }


def _cameras(image_size: tuple[int, ...], frames: int) -> Tensor:
    """Return plausible cameras, (frames, 18): fx fy cx cy 0 0, then camera from world, 3 by 4.

    Intrinsics are in units of the image's width and height. The pose is a slow walk to the right,
    not that of the scene, whose parts move on their own.
    """
    height, width = image_size
    intrinsics = torch.tensor([FOCAL / 2, FOCAL / 2 * width / height, 0.5, 0.5, 0.0, 0.0])
    poses = torch.eye(4)[:3].repeat(frames, 1, 1)
    poses[:, 0, 3] = -torch.linspace(0.0, 0.2, frames)
    return torch.cat([intrinsics.expand(frames, -1), poses.flatten(1)], dim=1)


def _hexadecimal(layout: str, number: int, length: int) -> str:
    return hashlib.blake2b(f"{layout}:{number}".encode()).hexdigest()[:length]


def _write_text(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
