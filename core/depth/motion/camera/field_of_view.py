"""The camera's angle of view, as options give it."""

from __future__ import annotations

from core.checks import UserError

USUAL_FOV = 60.0
"""Angle of view along the longer side of a picture, degrees, that most cameras come near to."""


def check_fov(flag: str, fov: float | None) -> None:
    """Refuse an angle of view, degrees, that no pinhole camera has; None is not given.

    Raises:
        UserError: If it is not between 10 and 150.
    """
    if fov is not None and not 10 <= fov <= 150:
        raise UserError(f"{flag} is {fov:g}; expected an angle of view from 10 to 150 degrees.")
