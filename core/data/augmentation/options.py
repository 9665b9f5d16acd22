"""Options of augmentation."""

from __future__ import annotations

from dataclasses import dataclass

from core.checks import UserError


@dataclass(frozen=True)
class AugmentationOptions:
    """Random changes of training samples: one draw a sequence, the same for all its frames.

    The pipeline of EDM (Karras et al. 2022, appendix F.2) without its conditioning labels, and
    colours on top. A strength of 0 leaves a change out.
    """

    x_flip: float = 0.5
    """Probability that left and right are exchanged."""
    p: float = 0.12
    """Probability of each of the other changes, independently of one another."""
    y_flip: bool = True
    """Exchange top and bottom."""
    scale: float = 0.2
    """Standard deviation of the binary logarithm of the size of what is seen."""
    rotation: float = 180.0
    """Largest rotation in degrees, either way; uniform."""
    anisotropy: float = 0.2
    """Standard deviation of the binary logarithm by which what is seen is stretched along x, or in
    half of the cases along a random direction, and squeezed across it."""
    translation: float = 0.125
    """Standard deviation of the shift along each axis, as a fraction of the image's side."""
    brightness: float = 0.1
    """Standard deviation of what is added to all colours, which lie in [0, 1]."""
    contrast: float = 0.1
    """Standard deviation of the binary logarithm by which the distance from middle grey grows."""
    hue: float = 0.05
    """Largest rotation of colours about the grey axis, in half turns."""
    saturation: float = 0.1
    """Standard deviation of the binary logarithm by which the distance from the grey axis grows."""

    def __post_init__(self) -> None:
        limits = {"x_flip": 1.0, "p": 1.0, "rotation": 180.0, "translation": 1.0, "hue": 1.0}
        limits |= dict.fromkeys(("scale", "anisotropy", "brightness", "contrast", "saturation"), 2)
        for name, limit in limits.items():
            value = getattr(self, name)
            if not 0.0 <= value <= limit:
                raise UserError(
                    f"--augmentation.{name} is {value}; expected a number from 0 to {limit:g}."
                )

    @staticmethod
    def none() -> AugmentationOptions:
        """Return the options that change nothing."""
        return AugmentationOptions(x_flip=0.0, p=0.0)
