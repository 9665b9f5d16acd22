"""RealEstate10K: camera flights through houses, in pixelSplat's chunks of many videos."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int64, UInt8
from torch import Tensor
from tqdm import tqdm

from core.checks import UserError
from core.data.datasets.chunk_cache import ChunkCache
from core.data.datasets.decoding import (
    as_inverse_depth,
    decode_image_covering,
    stack_inverse_depths,
)
from core.data.datasets.index import IndexCache
from core.data.datasets.names import DatasetName, Split
from core.data.datasets.resizing import resize
from core.data.datasets.sequence_set import MAX_EXAMPLES, Coverage, Issue, RawClip
from core.io.chunks.depth import DepthChunk, depth_chunk_path
from core.io.chunks.images import ChunkSequence, read_image_chunk
from core.io.chunks.pickled_depth import PickledDepthChunk, PickleRefusedError
from core.io.stills.images import list_files

REACH = 15
PICKLED_SUFFIX = ".pt"
SPLIT_FOLDERS = {"train": "train", "val": "test"}
_INDEX_THREADS = 4
_MIB = 1 << 20

Notes = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class _OpenChunk:
    """A chunk whose images and depth maps are read from the disk on access."""

    sequences: dict[str, ChunkSequence]
    depths: DepthChunk | PickledDepthChunk | None

    def num_maps(self, key: str) -> int:
        """Return how many of a sequence's frames have a depth map: the first ones."""
        if self.depths is None or key not in self.depths.keys:
            return 0
        return self.depths.shape(key)[0]


class RealEstate10K:
    """A :class:`~core.data.datasets.sequence_set.SequenceSet` of chunks of about 100 MB each.

    Chunks are memory-mapped, as many as fit into a budget; only pages of frames that were read are
    resident, and workers share them. A chunk is indexed once, and again if its size or time stamp
    changes. ``index.json`` is not needed; what it names and no chunk holds counts as missing.

    Args:
        root: Folder that holds ``train`` and ``test``.
        split: Which of them.
        cache: Where the index is kept.
        allow_pickle_depth: See :class:`~core.io.chunks.pickled_depth.PickledDepthChunk`.
        chunk_cache_mib: Most chunks that are open at a time, by the size of their files, in MiB.

    Raises:
        UserError: If there are no chunks, none of them can be opened, or depth chunks need
            ``allow_pickle_depth``.
    """

    name: DatasetName = "re10k"
    reach = REACH

    def __init__(
        self,
        root: Path,
        split: Split,
        cache: IndexCache,
        *,
        allow_pickle_depth: bool = False,
        chunk_cache_mib: int = 3072,
    ) -> None:
        self.root = root
        self._folder = root / SPLIT_FOLDERS[split]
        self._allow_pickle = allow_pickle_depth
        self._paths = _list_chunks(self._folder)
        self._depth_files = _pair_depth_files(self._folder, self._paths)
        depth_files = [path for path in self._depth_files if path is not None]
        notes = cache.load()
        # Notes on depth depend on whether it may be unpickled.
        depths = f"depths, allow_pickle={allow_pickle_depth}"
        self._chunk_notes = _note_files(self._paths, notes.get("chunks", {}), _count_images)
        self._depth_notes = _note_files(depth_files, notes.get(depths, {}), self._count_maps)
        new = {**notes, "chunks": self._chunk_notes, depths: self._depth_notes}
        if new != notes:
            cache.save(new)
        self._number_sequences()
        self._chunks = ChunkCache(self._open, chunk_cache_mib * _MIB)

    def read(self, sequence: int, frames: Sequence[int], at_least: tuple[int, int]) -> RawClip:
        """Read frames of one sequence; see :class:`~core.data.datasets.sequence_set.SequenceSet`.

        Raises:
            UserError: If the chunk can no longer be opened, or a frame cannot be decoded.
        """
        assert self.files is not None
        key, file = self.keys[sequence], int(self.files[sequence])
        chunk = self._chunks[file]
        if key not in chunk.sequences:
            raise UserError(f"{self._paths[file]} no longer holds {key}; start again.")
        stored = chunk.sequences[key]
        images = [self._decode(stored, frame, file, at_least) for frame in frames]
        size = images[0].shape[:2]
        depths = None
        if chunk.num_maps(key) > max(frames):
            assert chunk.depths is not None
            maps = chunk.depths.read(key, list(frames))
            depths = stack_inverse_depths([as_inverse_depth(depth, size) for depth in maps])
        return RawClip(
            images=np.stack([resize(image, size) for image in images]),
            inverse_depths=depths,
            masks=None,
            times=np.array(stored.timestamps)[list(frames)],
        )

    @property
    def num_open_bytes(self) -> int:
        """Size of the files that are mapped into memory."""
        return self._chunks.num_bytes

    def coverage(self) -> Coverage:
        """Describe what the set holds, and what is missing."""
        notes = (*self._chunk_notes.values(), *self._depth_notes.values())
        return Coverage(
            sequences=len(self.keys),
            frames=int(self.lengths.sum()),
            without_depth=self._without_depth(),
            without_mask=None,
            empty=Issue.of(self._where(int(s)) for s in np.flatnonzero(self.lengths == 0)),
            missing=Issue.of(_stale_entries(self._folder, set(self.keys))),
            unreadable=Issue.of(note["error"] for note in notes if note["error"]),
        )

    def _without_depth(self) -> Issue:
        first_without = np.array(self._num_maps, dtype=np.int64)
        lacking = np.flatnonzero(first_without < self.lengths)
        examples = (f"{self._where(int(s))}, frame {first_without[s]}" for s in lacking)
        count = int((self.lengths - first_without).sum())
        return Issue(count, tuple(islice(examples, MAX_EXAMPLES)))

    def _where(self, sequence: int) -> str:
        assert self.files is not None
        return f"{self._paths[self.files[sequence]]}: {self.keys[sequence]}"

    def _number_sequences(self) -> None:
        """Number the sequences of all chunks that can be opened, each key once."""
        broken = [note["error"] for note in self._chunk_notes.values() if note["error"]]
        if len(broken) == len(self._paths):
            raise UserError(f"no chunk in {self._folder} can be opened; the first: {broken[0]}")
        lengths: dict[str, int] = {}
        files: list[int] = []
        self._num_maps: list[int] = []
        for file, (path, depth_file) in enumerate(zip(self._paths, self._depth_files, strict=True)):
            maps = self._depth_notes[depth_file.name]["frames"] if depth_file else {}
            for key, length in self._chunk_notes[path.name]["frames"].items():
                if key not in lengths:
                    lengths[key] = length
                    files.append(file)
                    self._num_maps.append(min(maps.get(key, 0), length))
        self.keys = list(lengths)
        self.lengths: Int64[np.ndarray, " s"] = np.array([*lengths.values()], dtype=np.int64)
        self.files: Int64[np.ndarray, " s"] | None = np.array(files, dtype=np.int64)

    def _open(self, file: int) -> tuple[_OpenChunk, int]:
        path, depth_file = self._paths[file], self._depth_files[file]
        sequences = {sequence.key: sequence for sequence in read_image_chunk(path)}
        size = path.stat().st_size
        depths = None
        if depth_file is not None and not self._depth_notes[depth_file.name]["error"]:
            depths = self._open_depths(depth_file)
            if isinstance(depths, PickledDepthChunk):  # .safetensors stay closed between reads
                size += depth_file.stat().st_size
        return _OpenChunk(sequences, depths), size

    def _open_depths(self, path: Path) -> DepthChunk | PickledDepthChunk:
        if path.suffix == PICKLED_SUFFIX:
            return PickledDepthChunk(path, allow_pickle=self._allow_pickle)
        return DepthChunk(path)

    def _count_maps(self, path: Path) -> dict[str, int]:
        chunk = self._open_depths(path)
        return {key: chunk.shape(key)[0] for key in chunk.keys}

    def _decode(
        self, stored: ChunkSequence, frame: int, file: int, at_least: tuple[int, int]
    ) -> UInt8[np.ndarray, "h w 3"]:
        source = f"{self._paths[file]}: {stored.key}, frame {frame}"
        image = stored.images[frame]
        if not isinstance(image, Tensor) or image.dtype != torch.uint8:
            raise UserError(f"cannot decode the image {source}: it is no tensor of bytes.")
        return decode_image_covering(image.numpy().tobytes(), at_least, source)


def _list_chunks(folder: Path) -> list[Path]:
    chunks = list_files(folder, (".torch",)) if folder.is_dir() else []
    if not chunks:
        raise UserError(
            f"{folder} holds no RealEstate10K: expected pixelSplat's chunks, {folder}/*.torch."
        )
    return chunks


def _pair_depth_files(folder: Path, chunks: Sequence[Path]) -> list[Path | None]:
    """Find the depth maps of each chunk; our own files before the published pickles."""
    present = {path.name: path for path in list_files(folder, (".safetensors", PICKLED_SUFFIX))}
    own = (depth_chunk_path(chunk).name for chunk in chunks)
    return [
        present.get(name) or present.get(Path(name).with_suffix(PICKLED_SUFFIX).name)
        for name in own
    ]


def _count_images(path: Path) -> dict[str, int]:
    return {sequence.key: len(sequence.images) for sequence in read_image_chunk(path)}


def _note_files(
    paths: Sequence[Path], known: Notes, count: Callable[[Path], dict[str, int]]
) -> Notes:
    """Note the frames of each sequence of each file; unchanged files are not opened."""

    def note(path: Path) -> dict[str, Any]:
        status = path.stat()
        stamp = [status.st_size, status.st_mtime_ns]
        before = known.get(path.name, {"stamp": None})
        # Failures are tried again: permissions change without a trace in the stamp.
        if before["stamp"] == stamp and not before["error"]:
            return before
        try:
            return {"stamp": stamp, "frames": count(path), "error": None}
        except PickleRefusedError:
            raise
        except UserError as error:
            return {"stamp": stamp, "frames": {}, "error": str(error)}

    with ThreadPoolExecutor(_INDEX_THREADS) as pool:
        noted = tqdm(
            pool.map(note, paths),
            total=len(paths),
            desc="index of RealEstate10K",
            unit="file",
            leave=False,
            delay=1,
        )
        return {path.name: entry for path, entry in zip(paths, noted, strict=True)}


def _stale_entries(folder: Path, keys: set[str]) -> list[str]:
    """Return what ``index.json`` names and no chunk holds; the file itself need not be there."""
    path = folder / "index.json"
    try:
        index = json.loads(path.read_bytes())
        return [f"{key}, which {path} names" for key in index if key not in keys]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, TypeError):
        return [f"{path}: it is damaged"]
