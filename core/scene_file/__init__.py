"""The compact file of a whole dynamic scene; its format is specified in docs/format.md."""

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
