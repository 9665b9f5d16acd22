"""Rendered frames in folders: how they are saved, and how those of other methods come in.

``<folder>/<clip>/gap_<gap>/<index>.png``, the index of the frame in its clip in five digits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import UInt8
from torch import Tensor

from core.checks import UserError
from core.evaluation.data.pair import Pair
from core.evaluation.methods.baselines import Images
from core.io import read_image, write_png

TRUTH = "truth"
"""Name of the folder that holds the frames to compare with, at the network's size."""


def frame_path(folder: Path, clip: str, gap: int, index: int) -> Path:
    """Return where a frame belongs."""
    return folder / clip / f"gap_{gap}" / f"{index:05d}.png"


def save_frames(folder: Path, pair: Pair, images: Images) -> None:
    """Write images of a pair, lossless.

    Raises:
        UserError: If one cannot be written.
    """
    for place, image in images.items():
        path = frame_path(folder, pair.clip, pair.gap, pair.index(place))
        write_png(path, rearrange(image, "c h w -> h w c").contiguous().cpu().numpy())


@dataclass(frozen=True)
class FolderMethod:
    """Another method, of which only the frames are known."""

    name: str
    """What tables call it."""
    folder: Path
    """Holds its frames."""

    def __post_init__(self) -> None:
        if not self.folder.is_dir():
            raise UserError(
                f"--method {self.name}={self.folder}: there is no such folder; expected "
                f"{frame_path(self.folder, '<clip>', 5, 1)} and so on."
            )

    def images(self, pair: Pair) -> Images:
        """Read the frames of a pair: the middle, and the key frames if the first one is there.

        Raises:
            UserError: If a frame is missing or cannot be read, or frames differ in size.
        """
        first_key = frame_path(self.folder, pair.clip, pair.gap, pair.index(pair.keys[0]))
        places = pair.places if first_key.is_file() else pair.middle
        images = {place: self._read(pair, place) for place in places}
        sizes = {tuple(image.shape[1:]) for image in images.values()}
        if len(sizes) > 1:
            raise UserError(
                f"--method {self.name}: frames in {first_key.parent} differ in size "
                f"({' and '.join(f'{w} by {h}' for h, w in sorted(sizes))}); expected one."
            )
        return images

    def _read(self, pair: Pair, place: int) -> UInt8[Tensor, "3 h w"]:
        path = frame_path(self.folder, pair.clip, pair.gap, pair.index(place))
        if not path.is_file():
            raise UserError(
                f"--method {self.name}: {path} is missing; expected a frame for each one between "
                "key frames, and for all key frames or none."
            )
        image = rearrange(torch.from_numpy(read_image(path)), "h w c -> c h w")
        return image.contiguous().to(pair.device)


def parse_method(text: str) -> FolderMethod:
    """Read ``NAME=FOLDER``.

    Raises:
        UserError: If it is something else, or there is no such folder.
    """
    name, separator, folder = text.partition("=")
    if not (separator and name.strip() and folder):
        raise UserError(f"--method {text}: expected NAME=FOLDER, the folder of its frames.")
    return FolderMethod(name.strip(), Path(folder))
