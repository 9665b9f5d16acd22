"""Options of layered photographs."""

from __future__ import annotations

from dataclasses import dataclass

from core.checks import UserError


@dataclass(frozen=True)
class LayeredOptions:
    """Size, layers, motion and appearance of layered clips, which last from time 0 to time 1."""

    height: int = 288
    """Height of the frames in pixels."""
    width: int = 512
    """Width of the frames in pixels."""
    min_layers: int = 2
    """Fewest layers before the background."""
    max_layers: int = 6
    """Most layers before the background."""
    median_motion: float = 0.033
    """Median over the samples of the longest path of a layer's corners within a clip, as a fraction
    of the width; deformation comes on top."""
    max_motion: float = 0.25
    """Longest such path."""
    deformation: float = 0.3
    """Largest non-rigid strain: relative change of the distance of two near points."""
    light_change: float = 0.2
    """Largest relative change of brightness, contrast and gamma within a clip."""
    exposure: float = 0.12
    """Longest exposure, which blurs what moves, as a fraction of the clip."""
    shadow_opacity: float = 0.5
    """Opacity of the darkest drop shadow; 0 leaves shadows out."""
    sensor_noise: float = 0.015
    """Largest standard deviation of the noise of a frame, in [0, 1] intensities."""
    sensor_blur: float = 0.18
    """Largest weight of the two neighbours in the three-tap blur along each axis, below 1/3."""
    cut_probability: float = 0.03
    """Share of the samples whose later frames show another scene."""

    def __post_init__(self) -> None:
        if self.height < 16 or self.width < 16:
            raise UserError(
                f"LayeredOptions: height x width is {self.height}x{self.width}; "
                "expected at least 16x16."
            )
        if not 1 <= self.min_layers <= self.max_layers:
            raise UserError(
                f"LayeredOptions: min_layers is {self.min_layers} and max_layers "
                f"{self.max_layers}; expected 1 <= min_layers <= max_layers."
            )
        limits = {
            "median_motion": 0.25,
            "max_motion": 0.25,
            "deformation": 0.3,
            "light_change": 1.0,
            "exposure": 1.0,
            "shadow_opacity": 1.0,
            "sensor_noise": 1.0,
            "sensor_blur": 1.0 / 3.0,
            "cut_probability": 1.0,
        }
        for name, limit in limits.items():
            value = getattr(self, name)
            if not 0.0 <= value <= limit:
                raise UserError(
                    f"LayeredOptions: {name} is {value}; expected a number in [0, {limit:.3g}]."
                )
