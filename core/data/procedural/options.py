"""Options of procedural scenes."""

from __future__ import annotations

from dataclasses import dataclass

from core.checks import UserError


@dataclass(frozen=True)
class ProceduralOptions:
    """Size, objects and motion of procedural clips; a clip lasts from time 0 to time 1."""

    height: int = 288
    """Height of the frames in pixels."""
    width: int = 512
    """Width of the frames in pixels."""
    perspective_share: float = 0.5
    """Share of rooms, streets and landscapes in perspective; the other scenes are layers."""
    min_objects: int = 4
    """Fewest foreground objects in a layered scene; the backdrop comes on top."""
    max_objects: int = 10
    """Most foreground objects in a layered scene."""
    moving_fraction: float = 0.65
    """Share of the objects, cars and people that move on their own; others follow the camera."""
    object_motion: float = 0.08
    """Longest path of an object through the image within a clip, as a fraction of the width."""
    camera_motion: float = 0.05
    """Longest path of the image that each of pan and travel cause, as a fraction of the width."""
    depth_motion: float = 0.08
    """Largest relative change of an object's depth within a clip, by its own motion."""
    shadow_opacity: float = 0.5
    """Opacity of the darkest drop shadow; 0 leaves shadows out."""
    sensor_noise: float = 0.015
    """Largest standard deviation of the noise of a frame, in [0, 1] intensities."""
    sensor_blur: float = 0.18
    """Largest weight of the two neighbours in the three-tap blur along each axis, below 1/3."""

    def __post_init__(self) -> None:
        if self.height < 16 or self.width < 16:
            raise UserError(
                f"ProceduralOptions: height x width is {self.height}x{self.width}; "
                "expected at least 16x16."
            )
        if not 1 <= self.min_objects <= self.max_objects:
            raise UserError(
                f"ProceduralOptions: min_objects is {self.min_objects} and max_objects "
                f"{self.max_objects}; expected 1 <= min_objects <= max_objects."
            )
        limits = {
            "perspective_share": 1.0,
            "moving_fraction": 1.0,
            "object_motion": 0.25,
            "camera_motion": 0.1,
            "depth_motion": 0.3,
            "shadow_opacity": 1.0,
            "sensor_noise": 1.0,
            "sensor_blur": 1.0 / 3.0,
        }
        for name, limit in limits.items():
            value = getattr(self, name)
            if not 0.0 <= value <= limit:
                raise UserError(
                    f"ProceduralOptions: {name} is {value}; expected a number in [0, {limit:.3g}]."
                )
