"""The compact file of a whole dynamic scene; its format is specified in docs/format.md."""

from typing import TYPE_CHECKING

from core.lazy import offer

if TYPE_CHECKING:
    from core.scene_file.encoder import SceneEncoder
    from core.scene_file.grades import GRADES, Grade, GradeName
    from core.scene_file.header import SceneHeader, grid_of
    from core.scene_file.reader import SceneReader, open_scene
    from core.scene_file.timeline import SceneInterval
    from core.scene_file.writer import SceneWriter

__all__ = [
    "GRADES",
    "Grade",
    "GradeName",
    "SceneEncoder",
    "SceneHeader",
    "SceneInterval",
    "SceneReader",
    "SceneWriter",
    "grid_of",
    "open_scene",
]

__getattr__ = offer(
    __name__,
    {
        "core.scene_file.encoder": ["SceneEncoder"],
        "core.scene_file.grades": ["GRADES", "Grade", "GradeName"],
        "core.scene_file.header": ["SceneHeader", "grid_of"],
        "core.scene_file.reader": ["SceneReader", "open_scene"],
        "core.scene_file.timeline": ["SceneInterval"],
        "core.scene_file.writer": ["SceneWriter"],
    },
)
