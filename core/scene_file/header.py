"""What a scene file says of the whole scene."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from core.checks import UserError
from core.scene_file.records import Fields, damaged

if TYPE_CHECKING:  # a process that writes a file needs no PyTorch, which takes seconds to import
    from core.geometry.fit import FitMode, FrameFit

VERSION = 1
"""Version of the format that is written, and the newest that is read."""
MAX_SIDE = 16384
"""Most pixels of a side of the picture."""
MAX_FRAME_SIDE = 1 << 20
"""Most pixels of a side of the input frames."""
MAX_PIXELS = 1 << 25
"""Most pixels of the picture."""
MAX_GRID_SIDE = 4096
"""Most rows, and columns, of the Gaussian grid."""
MAX_GAUSSIANS = 1 << 21
"""Most Gaussians of a key frame."""
MAX_NAME = 1024
"""Most bytes of the source's name in UTF-8."""
_FIT_MODES: tuple[FitMode, ...] = ("stretch", "crop", "pad")
"""By their number in the file."""
_LAYOUT = struct.Struct("<HHIIIIII3fdI")


@dataclass(frozen=True)
class SceneHeader:
    """What holds for all key frames and intervals of a scene."""

    image_size: tuple[int, int]
    """Height and width in pixels of the picture that the network saw; canonical x and z in [-1, 1]
    span it."""
    grid_size: tuple[int, int]
    """Rows and columns of the Gaussians of a key frame, each in a cell of the picture."""
    frame_size: tuple[int, int]
    """Height and width in pixels of the input frames."""
    fit_mode: FitMode = "stretch"
    """How input frames were brought to the picture's size."""
    background: tuple[float, float, float] = (0.5, 0.5, 0.5)
    """RGB in [0, 1] behind the Gaussians."""
    frames_per_second: float = 0.0
    """Frame rate of the input, 1/s; 0 where it is not known. Times are in seconds in any case."""
    source: str = ""
    """Name of the input, for people."""

    def __post_init__(self) -> None:
        rows, columns = self.grid_size
        for name, size, most in (
            ("picture", self.image_size, MAX_SIDE),
            ("grid", self.grid_size, MAX_GRID_SIDE),
            ("input frame", self.frame_size, MAX_FRAME_SIDE),
        ):
            if not all(0 < side <= most for side in size):
                raise UserError(f"the {name} of a scene has sides of 1 to {most}, not {size}")
        if self.image_size[0] * self.image_size[1] > MAX_PIXELS:
            raise UserError(
                f"the picture of a scene has at most {MAX_PIXELS} pixels, not {self.image_size}"
            )
        if rows * columns > MAX_GAUSSIANS:
            raise UserError(
                f"a key frame has at most {MAX_GAUSSIANS} Gaussians, not {rows} x {columns}"
            )
        if not all(math.isfinite(value) and 0 <= value <= 1 for value in self.background):
            raise UserError(f"a background is RGB in [0, 1], not {self.background}")
        if not (math.isfinite(self.frames_per_second) and self.frames_per_second >= 0):
            raise UserError(f"a frame rate is at least 0, not {self.frames_per_second}")

    @property
    def num_gaussians(self) -> int:
        """How many Gaussians a key frame has."""
        return self.grid_size[0] * self.grid_size[1]

    @cached_property
    def fit(self) -> FrameFit:
        """How input frames were brought to the picture's size, and how pictures are shown."""
        from core.geometry.fit import FrameFit

        return FrameFit(self.frame_size, self.image_size, self.fit_mode)

    def pack(self) -> bytes:
        """Return the payload of the header's record; a name that is too long is cut."""
        name = self.source.encode(errors="replace")[:MAX_NAME].decode(errors="ignore").encode()
        numbers = _LAYOUT.pack(
            VERSION,
            _FIT_MODES.index(self.fit_mode),
            *self.image_size,
            *self.grid_size,
            *self.frame_size,
            *self.background,
            self.frames_per_second,
            len(name),
        )
        return numbers + name

    @staticmethod
    def of_clip(
        fit: FrameFit, num_gaussians: int, *, frames_per_second: float, source: str
    ) -> SceneHeader:
        """Return the header of a clip's scene.

        Args:
            fit: How its frames were brought to the picture's size.
            num_gaussians: How many Gaussians a key frame has.
            frames_per_second: Its frame rate; 0 where it is not known.
            source: Its name, for people.
        """
        return SceneHeader(
            image_size=fit.model_size,
            grid_size=grid_of(num_gaussians, fit.model_size),
            frame_size=fit.input_size,
            fit_mode=fit.mode,
            frames_per_second=frames_per_second,
            source=source,
        )

    @staticmethod
    def unpack(payload: memoryview, where: str) -> SceneHeader:
        """Read the payload of the header's record.

        Raises:
            UserError: If it is of a newer version, or a value is outside of its range.
        """
        fields = Fields(payload, where)
        version, mode, *sizes = fields.unpack(_LAYOUT)
        if version != VERSION:
            raise UserError(
                f"{where} has version {version} of the format; this program reads version "
                f"{VERSION}. Update the program, or write the file with this one."
            )
        if mode >= len(_FIT_MODES):
            raise damaged(where, f"there is no fit mode {mode}")
        if sizes[-1] > MAX_NAME:
            raise damaged(where, f"the name has {sizes[-1]} bytes")
        name = bytes(fields.take(sizes[-1])).decode(errors="replace")
        fields.finish()
        try:
            return SceneHeader(
                image_size=(sizes[0], sizes[1]),
                grid_size=(sizes[2], sizes[3]),
                frame_size=(sizes[4], sizes[5]),
                fit_mode=_FIT_MODES[mode],
                background=(sizes[6], sizes[7], sizes[8]),
                frames_per_second=sizes[9],
                source=name,
            )
        except UserError as error:
            raise damaged(where, str(error)) from error


def grid_of(num_gaussians: int, image_size: tuple[int, int]) -> tuple[int, int]:
    """Return rows and columns of a key frame's grid, whose cells are as wide as high in pixels.

    Raises:
        ValueError: If there is no such grid.
    """
    height, width = image_size
    rows = math.isqrt(num_gaussians * height // width)
    columns = num_gaussians // max(rows, 1)
    if rows * columns != num_gaussians or rows * width != columns * height:
        raise ValueError(
            f"grid_of: {num_gaussians} Gaussians do not fill a picture of {height} by {width} "
            "pixels with square cells."
        )
    return rows, columns
