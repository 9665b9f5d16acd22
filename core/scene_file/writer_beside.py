"""A scene file that another process encodes and writes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from core.io.processes.beside import Beside, Items, WriterBeside
from core.scene_file.grades import Grade
from core.scene_file.header import SceneHeader
from core.scene_file.interval_arrays import IntervalArrays
from core.scene_file.writer import SceneWriter

if TYPE_CHECKING:  # the process needs no PyTorch, which takes seconds to import
    from core.types import DynamicGaussians

_Interval = tuple[IntervalArrays, float, float, bool]


class SceneWriterBeside(WriterBeside["SceneHeader | _Interval", int]):
    """Write a scene file as :class:`SceneWriter` does, as a context manager.

    The process starts before the header is known, which is the first thing that it needs.

    Args:
        path: The file.
        grade: How finely attributes are quantised.
    """

    def __init__(self, path: Path, grade: Grade) -> None:
        super().__init__(Beside(path.name, _write, path, grade))
        self.num_bytes = 0
        """How long the file is, once it is closed."""

    def begin(self, header: SceneHeader) -> None:
        """Say what holds for the whole scene, before the first interval."""
        self._process.put(header)

    def put(
        self, gaussians: DynamicGaussians, first_time: float, second_time: float, *, opens: bool
    ) -> None:
        """Write the next interval, see :meth:`SceneWriter.put`."""
        arrays = IntervalArrays.of(gaussians)
        self._process.put((arrays, first_time, second_time, opens))

    def close(self) -> None:
        """Write what waits, and the index."""
        if not self.num_bytes:
            self.num_bytes = self._process.finish()


def _write(items: Items[SceneHeader | _Interval], path: Path, grade: Grade) -> int:
    header = next(items, None)
    if header is None:
        return 0
    assert isinstance(header, SceneHeader)
    with SceneWriter(path, header, grade) as writer:
        for item in items:
            assert not isinstance(item, SceneHeader)
            arrays, first_time, second_time, opens = item
            writer.put(arrays, first_time, second_time, opens=opens)
    return writer.num_bytes
