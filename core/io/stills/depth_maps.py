"""Depth maps as files: relative inverse depth, large is near."""

from __future__ import annotations

import io
import math
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Float32, UInt16
from torch import Tensor

from core.checks import UserError
from core.io.reading import one_line_errors, read_file, require_regular
from core.io.stills.images import decode_values, list_files, write_png
from core.io.stills.size_limit import check_size
from core.logging import get_logger

if TYPE_CHECKING:
    import av

DEPTH_EXTENSIONS = (".npy", ".exr", ".png")
_PREDICTION_SUFFIX = "_pred"
_PNG16_MAX = 65535
_NEARLY_SQUARE = 0.1
_LARGEST = 1e30
_ZIP_BEGIN = b"PK\x03\x04"
_logger = get_logger(__name__)


def read_depth(path: str | Path) -> Float32[np.ndarray, "h w"]:
    """Read a relative inverse depth map (large is near).

    PNG of 8 or 16 bits is scaled to [0, 1] by its bit depth; EXR and NPY values are taken as they
    are. A pixel that is not finite, or beyond 1e30, with which no map can be averaged, takes the
    smallest finite value of the map, that is, far; a map without any becomes 0, which stands for
    "no depth".

    Args:
        path: A .png (grey, or three equal channels), an .exr (one channel, or three equal ones)
            or a .npy of shape (h, w), (1, h, w) or (h, w, 1).

    Raises:
        UserError: If the file cannot be read, is of another kind or holds no depth map.
    """
    path = Path(path)
    readers = {".png": _read_png, ".exr": _read_exr, ".npy": _read_npy}
    if path.suffix.lower() not in readers:
        raise UserError(f"{path} is not a depth map; expected {', '.join(DEPTH_EXTENSIONS)}.")
    depth = readers[path.suffix.lower()](path)
    with np.errstate(invalid="ignore"):
        finite = np.abs(depth) < _LARGEST
    if not finite.all():
        depth = np.where(finite, depth, depth[finite].min() if finite.any() else np.float32(0))
    return np.ascontiguousarray(depth)


def check_orientation(
    map_size: tuple[int, int], frame_size: tuple[int, int], source: str | Path
) -> None:
    """Refuse a map, of depth or a mask, that lies on its side: upright where its frame is wide.

    Other proportions than the frame's are taken: networks give squares, and pad.

    Args:
        map_size: Height and width.
        frame_size: Those of the frame that it belongs to.
        source: What the message calls it.

    Raises:
        UserError: If one is wide and the other upright.
    """
    (map_h, map_w), (frame_h, frame_w) = map_size, frame_size
    if (map_w - map_h) * (frame_w - frame_h) < 0 and min(
        abs(map_w / map_h - 1), abs(frame_w / frame_h - 1)
    ) > _NEARLY_SQUARE:
        raise UserError(
            f"{source} is {map_w} by {map_h} pixels and its frame {frame_w} by {frame_h}: it lies "
            "on its side; turn the maps, or make them from the upright frames."
        )


def write_depth_png16(
    path: str | Path, inverse_depth: Float[np.ndarray, "h w"] | Float[Tensor, "h w"]
) -> None:
    """Write inverse depth in [0, 1] as a 16-bit PNG, which appears whole or not at all.

    Raises:
        ValueError: If the map is not (h, w) or leaves [0, 1] (normalise it first).
        UserError: If the file cannot be written.
    """
    write_png(path, quantize_inverse_depth(inverse_depth))


def quantize_inverse_depth(
    inverse_depth: Float[np.ndarray, "h w"] | Float[Tensor, "h w"],
) -> UInt16[np.ndarray, "h w"]:
    """Return inverse depth in [0, 1] as the nearest of the 16-bit numbers 0 to 65535.

    Raises:
        ValueError: If the map is not (h, w) or leaves [0, 1] (normalise it first).
    """
    if isinstance(inverse_depth, Tensor):
        inverse_depth = inverse_depth.detach().float().cpu().numpy()
    if inverse_depth.ndim != 2:
        raise ValueError(f"inverse depth has shape {inverse_depth.shape}; expected (h, w).")
    if not ((inverse_depth >= 0) & (inverse_depth <= 1)).all():
        raise ValueError(
            f"inverse depth has values from {inverse_depth.min()} to {inverse_depth.max()}; "
            "expected [0, 1]. Was the map normalised?"
        )
    return np.round(inverse_depth * np.float64(_PNG16_MAX)).astype(np.uint16)


class DepthFolder:
    """The depth maps of a clip, one for each frame.

    A map belongs to the frame whose name it bears (``00000.png`` or ``00000_pred.png``); when the
    names differ but the numbers agree, or when frames have no names (a video), maps and frames go
    together in natural order. Of several maps of one name, .npy is preferred to .exr to .png.

    Args:
        path: A folder of .npy, .exr or .png files.
        frame_names: Names of all frames in order, as in ``FrameSource.names``; None for a video,
            where the end of the maps is noticed when a frame beyond it asks.

    Raises:
        UserError: If the folder holds no map, or not one for each of ``frame_names``.
    """

    def __init__(self, path: str | Path, frame_names: Sequence[str] | None = None) -> None:
        self.path = Path(path)
        by_stem: dict[str, Path] = {}
        files = list_files(self.path, DEPTH_EXTENSIONS)
        for file in sorted(files, key=lambda f: DEPTH_EXTENSIONS.index(f.suffix.lower())):
            by_stem.setdefault(_frame_stem(file), file)
        if not by_stem:
            raise UserError(f"{self.path} holds no depth maps ({', '.join(DEPTH_EXTENSIONS)}).")
        chosen = set(by_stem.values())
        self._files = [file for file in files if file in chosen]
        self._num_maps = len(self._files)
        if frame_names is not None:
            self._files = self._match(by_stem, frame_names)

    def __len__(self) -> int:
        """Number of depth maps that belong to a frame."""
        return len(self._files)

    def file(self, index: int) -> Path:
        """Return the file of the frame at ``index``, from 0.

        Raises:
            UserError: If there are fewer maps than frames.
        """
        if index >= len(self._files):
            raise UserError(
                f"{self.path} holds {len(self._files)} depth maps, but the input has more frames; "
                f"frame {index} (counted from 0) is the first without one."
            )
        return self._files[index]

    def check_end(self, num_frames: int) -> None:
        """Warn of maps that are left over at the end of a clip of ``num_frames``."""
        left = self._num_maps - num_frames
        if left > 0:
            _logger.warning(
                "%s holds %d depth maps, but the input %d frames: %d belong to none. Is it the "
                "folder of another clip?",
                self.path,
                self._num_maps,
                num_frames,
                left,
            )

    def read(self, index: int) -> Float32[np.ndarray, "h w"]:
        """Read the map of the frame at ``index``; see :func:`read_depth` and :meth:`file`."""
        return read_depth(self.file(index))

    def _match(self, by_stem: dict[str, Path], names: Sequence[str]) -> list[Path]:
        missing = [name for name in names if name not in by_stem]
        if not missing:
            return [by_stem[name] for name in names]
        if len(self._files) == len(names):
            _logger.info(
                "%s: no depth map is named after frame %s, but the numbers agree; frames and maps "
                "are matched in order.",
                self.path,
                missing[0],
            )
            return self._files
        raise UserError(
            f"{self.path} holds {len(self._files)} depth maps for {len(names)} frames, and none "
            f"for {len(missing)} of them; the first missing is {missing[0]}.png (or .npy, .exr)."
        )


def _frame_stem(file: Path) -> str:
    return re.sub(f"{_PREDICTION_SUFFIX}$", "", file.stem)


def _read_png(path: Path) -> np.ndarray:
    pixels = decode_values(read_file(path, "depth map"), path)
    if pixels.dtype not in (np.uint8, np.uint16):
        raise UserError(
            f"the depth map {path} holds {pixels.dtype} values, which no PNG does; save it as "
            ".exr, .npy or 16-bit PNG."
        )
    return _one_channel(pixels, path).astype(np.float32) / np.iinfo(pixels.dtype).max


def _read_npy(path: Path) -> np.ndarray:
    damaged = f"cannot read the depth map {path}: it is damaged, or not a plain array of numbers."
    with one_line_errors(damaged):
        require_regular(path, "depth map")
        with path.open("rb") as file:
            if file.read(len(_ZIP_BEGIN)) == _ZIP_BEGIN:
                raise UserError(f"{path} holds an archive; expected numbers of shape (h, w).")
            file.seek(0)
            version = np.lib.format.read_magic(file)
            old = version == (1, 0)
            reader = (
                np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
            )
            shape, in_columns, dtype = reader(file)
            is_map = len(shape) == 2 or (len(shape) == 3 and 1 in (shape[0], shape[2]))
            if dtype.kind not in "fiu" or not is_map or 0 in shape:
                raise UserError(
                    f"{path} holds {dtype} of shape {shape}; expected numbers of shape (h, w)."
                )
            check_size(math.prod(shape), 1, path)
            wanted = math.prod(shape) * dtype.itemsize
            content = file.read(wanted)
            if len(content) < wanted:
                raise UserError(damaged)
        array = np.frombuffer(content, dtype)
        values: np.ndarray = array.reshape(shape, order="F" if in_columns else "C")
    if values.ndim == 3:
        values = values[0] if values.shape[0] == 1 else values[..., 0]
    with np.errstate(over="ignore"):  # what is too large becomes infinite, and that far
        return values.astype(np.float32)


def _read_exr(path: Path) -> np.ndarray:
    """Decode with FFmpeg's reader: OpenCV's wheels no longer carry one."""
    # PyAV is large, and only this one format needs it.
    import av

    damaged = (
        f"cannot read the depth map {path}: it is damaged, or has other channels than Y, Z or "
        "R, G, B; save it as .npy or as 16-bit PNG."
    )
    data = _name_depth_channel(read_file(path, "depth map"))
    with one_line_errors(damaged):
        for window in (b"dataWindow", b"displayWindow"):
            check_size(*_exr_size(data, window), path)
        with av.open(io.BytesIO(data), format="exr_pipe") as container:
            pixels = _float_planes(next(container.decode(video=0)))
    return _one_channel(pixels, path)


def _exr_size(data: bytes, window: bytes) -> tuple[int, int]:
    """Return height and width of a window of an OpenEXR file.

    Raises:
        ValueError: If it has no such window.
    """
    start = window + b"\0box2i\0"
    at = data.index(start) + len(start) + 4  # behind the size of what follows
    left, top, right, bottom = struct.unpack_from("<4i", data, at)
    return max(0, bottom - top + 1), max(0, right - left + 1)


def _float_planes(frame: av.VideoFrame) -> np.ndarray:
    """Return the colour planes (h, w, 1 or 3) as they are; FFmpeg's conversions clip to [0, 1]."""
    kind = np.dtype("<f2" if "f16" in frame.format.name else "<f4")
    planes = []
    for plane in frame.planes[: 1 if frame.format.name.startswith("gray") else 3]:
        rows = np.frombuffer(bytes(plane), kind).reshape(plane.height, -1)
        planes.append(rows[:, : plane.width].astype(np.float32))
    return np.stack(planes, axis=-1)


def _name_depth_channel(data: bytes) -> bytes:
    """Call a lone channel Z (depth, by OpenEXR's naming) Y, the one that FFmpeg knows as grey."""
    # name, type, bytes in the list; then the one channel's name, 16 bytes on it, and the end mark.
    pattern = rb"(channels\0chlist\0\x13\0\0\0)Z(\0.{16}\0)"
    return re.sub(pattern, rb"\1Y\2", data, count=1, flags=re.DOTALL)


def _one_channel(pixels: np.ndarray, path: Path) -> np.ndarray:
    if pixels.ndim == 2:
        return pixels
    colors = pixels[..., :3]
    if (colors != colors[..., :1]).any() and np.isfinite(colors).all():
        raise UserError(
            f"{path} is a colour picture; a depth map is grey (large is near), not colour-coded."
        )
    return np.ascontiguousarray(colors[..., 0])
