"""Datasets of random textures at the sizes of real ones, for benchmarks of reading them."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from jaxtyping import UInt8, UInt16
from PIL import Image
from torch import Tensor
from tqdm import tqdm

from core.io.chunks.depth import depth_chunk_path, write_depth_chunk
from core.io.stills.images import write_png

FRAMES = 16
"""Frames of a sequence in the benchmark of speed."""
SIZES = {
    "davis": [(1080, 1920)],
    "vos": [(720, 1280)],
    "co3d": [(700, 1000), (1068, 1900)],
    "re10k": [(360, 640)],
}
"""Heights and widths that are common in the real datasets; sequences take turns."""
QUALITY = {"davis": 90, "vos": 75, "co3d": 90, "re10k": 90}
"""Of the JPEGs, for files about as large as the real ones."""


@dataclass(frozen=True)
class StoredFrame:
    """Where the parts of a frame lie."""

    image: Path | UInt8[Tensor, " bytes"]
    depth: Path | UInt16[np.ndarray, "h w"]
    mask: Path | None

    @property
    def jpeg_bytes(self) -> int:
        """Size of the image file."""
        return self.image.stat().st_size if isinstance(self.image, Path) else self.image.numel()


class Texture:
    """Random pictures with detail at all scales, which drift to the right.

    Args:
        height: Of the pictures, in pixels.
        width: Of the pictures, in pixels.
        seed: Chooses the texture.
    """

    def __init__(self, height: int, width: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        self._width = width
        self._smooth = np.zeros((height, width + 8 * FRAMES), np.float32)
        self._image = np.zeros((height, width + 8 * FRAMES, 3), np.float32)
        size = (self._image.shape[1], height)
        for octave in range(2, 10):
            grid = (max(height >> (10 - octave), 2), max(width >> (10 - octave), 2))
            noise = rng.normal(0, 60 * 0.55**octave * 4, (*grid, 3)).astype(np.float32)
            self._image += cv2.resize(noise, size, interpolation=cv2.INTER_CUBIC)
            if octave < 6:
                self._smooth += cv2.resize(noise[..., 0], size, interpolation=cv2.INTER_CUBIC)
        low, high = self._smooth.min(), self._smooth.max()
        self._smooth = (self._smooth - low) / (high - low)

    def image(self, frame: int) -> UInt8[np.ndarray, "h w 3"]:
        """Return the picture of a frame, RGB."""
        seen = self._image[:, 8 * frame : 8 * frame + self._width]
        return np.clip(seen + 127, 0, 255).astype(np.uint8)

    def inverse_depth(self, frame: int) -> UInt16[np.ndarray, "h w"]:
        """Return the depth map of a frame."""
        return (self._smooth[:, 8 * frame : 8 * frame + self._width] * 65535).astype(np.uint16)

    def mask(self, frame: int) -> UInt8[np.ndarray, "h w"]:
        """Return labels of a frame: 0, 1 and 2."""
        return np.digitize(self.inverse_depth(frame), [40000, 50000]).astype(np.uint8)


def write_files(name: str, root: Path) -> list[list[StoredFrame]]:
    """Write a dataset of files, two sequences for each of ``SIZES``."""
    sequences: list[list[StoredFrame]] = []
    set_list: list[tuple[str, int, str]] = []
    sizes = SIZES[name] * 2
    for number, (height, width) in enumerate(sizes):
        texture, key = Texture(height, width, number), f"scene{number}"
        folders = {
            "davis": (
                "JPEGImages/Full-Resolution",
                "depthImages/Full-Resolution",
                "Annotations_unsupervised/Full-Resolution",
            ),
            "vos": ("train/JPEGImages", "train/depthImages", "train/Annotations"),
            "co3d": ("apple", "apple", None),
        }[name]
        inner = ("images", "predict_depths") if name == "co3d" else ("", "")
        frames: list[StoredFrame] = []
        for frame in range(FRAMES):
            stem = f"frame{frame + 1:06d}" if name == "co3d" else f"{frame:05d}"
            image = root / folders[0] / key / inner[0] / f"{stem}.jpg"
            depth = root / folders[1] / key / inner[1] / f"{stem}_pred.png"
            mask = None if folders[2] is None else root / folders[2] / key / f"{stem}.png"
            image.parent.mkdir(parents=True, exist_ok=True)
            image.write_bytes(jpeg(texture.image(frame), QUALITY[name]))
            write_png(depth, texture.inverse_depth(frame))
            if mask is not None:
                mask.parent.mkdir(parents=True, exist_ok=True)
                labels = Image.fromarray(texture.mask(frame), mode="P")
                labels.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0] + [0] * 759)
                labels.save(mask)
            set_list.append((key, frame + 1, f"apple/{key}/images/{stem}.jpg"))
            frames.append(StoredFrame(image, depth, mask))
        sequences.append(frames)
    lists = {
        "davis": ("ImageSets/2017/train.txt", "\n".join(f"scene{n}" for n in range(len(sizes)))),
        "co3d": ("apple/set_lists/set_lists_manyview_dev_0.json", json.dumps({"train": set_list})),
    }
    if name in lists:
        path = root / lists[name][0]
        path.parent.mkdir(parents=True)
        path.write_text(lists[name][1])
    return sequences


def write_chunks(root: Path, chunks: int, frames: int, depth_size: tuple[int, int]) -> None:
    """Write a RealEstate10K split: each chunk holds two sequences of so many frames."""
    (root / "train").mkdir(parents=True)
    height, width = SIZES["re10k"][0]
    textures = [Texture(height, width, seed) for seed in range(2)]
    jpegs = [[jpeg(t.image(f), QUALITY["re10k"]) for f in range(FRAMES)] for t in textures]
    depths = [
        np.stack([cv2.resize(t.inverse_depth(f), depth_size[::-1]) for f in range(FRAMES)])
        for t in textures
    ]
    for chunk in tqdm(range(chunks), desc="writing chunks", leave=False):
        path = root / "train" / f"{chunk:06d}.torch"
        entries = [
            {
                "key": f"{chunk:06d}-{place}",
                "url": "",
                "cameras": torch.zeros(frames, 18),
                "timestamps": torch.arange(frames) * 33_333,
                "images": [
                    torch.frombuffer(bytearray(jpegs[place][f % FRAMES]), dtype=torch.uint8)
                    for f in range(frames)
                ],
            }
            for place in range(2)
        ]
        torch.save(entries, path)
        maps = {e["key"]: depths[p][np.arange(frames) % FRAMES] for p, e in enumerate(entries)}
        write_depth_chunk(depth_chunk_path(path), maps)


def jpeg(image: UInt8[np.ndarray, "h w 3"], quality: int) -> bytes:
    """Return a picture as a JPEG file."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality)
    return file.getvalue()
