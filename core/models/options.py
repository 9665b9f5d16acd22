"""What the configurations of all networks share: checks, and reading them from JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any, TypeVar

from jaxtyping import Float
from torch import Tensor

from core.checks import UserError

T = TypeVar("T", bound="ModelOptions")
LARGEST = 2**16
"""No size of a network is above; products of several stay within 64 bits."""
_SHOWN_LENGTH = 100


class ModelOptions:
    """Base of the frozen dataclasses that describe a network."""

    image_height: int
    image_width: int

    @property
    def gaussian_grid(self) -> tuple[int, int]:
        """Rows and columns of a frame's Gaussians."""
        raise NotImplementedError

    @property
    def num_gaussians(self) -> int:
        """Gaussians of a frame."""
        return self.gaussian_grid[0] * self.gaussian_grid[1]

    def __post_init__(self) -> None:
        for holds, name, expected in self._conditions():
            if not holds:
                raise UserError(
                    f"model option {name} is {_shown(getattr(self, name))}; expected {expected}."
                )

    def _conditions(self) -> Iterator[tuple[bool, str, str]]:
        """Yield what must hold, the field to blame otherwise, and what was expected of it.

        Lazily: a condition may rely on those before it.
        """
        raise NotImplementedError

    @classmethod
    def from_dict(cls: type[T], values: Mapping[str, Any], source: str) -> T:
        """Read a configuration as :func:`dataclasses.asdict` writes it, for example from JSON.

        Args:
            values: Field names and values; those that are absent take their defaults.
            source: Where the values come from, for the message of an error.

        Raises:
            UserError: If a field is unknown, of the wrong type, or its value impossible.
        """
        defaults = {field.name: field.default for field in fields(cls)}  # pyright: ignore
        unknown = sorted(set(values) - set(defaults))
        if unknown:
            raise UserError(
                f"{source}: unknown model option {', '.join(unknown)}; "
                f"expected only {', '.join(defaults)}. Was it written by a newer version?"
            )
        try:
            return cls(
                **{name: _parse(name, value, defaults[name]) for name, value in values.items()}
            )
        except UserError as error:
            raise UserError(f"{source}: {error}") from error


def expect_size(
    images: Float[Tensor, "b 3 h w"],
    inverse_depths: Float[Tensor, "b 1 h w"],
    options: ModelOptions,
) -> None:
    """Check that frames and depth maps are of the size that a network was built for.

    Raises:
        UserError: If they are not.
    """
    expected = (options.image_height, options.image_width)
    if images.shape[-2:] != expected or inverse_depths.shape[-2:] != expected:
        raise UserError(
            f"the network takes frames and depth maps of {expected[1]}x{expected[0]} pixels, "
            f"but got {images.shape[-1]}x{images.shape[-2]} and "
            f"{inverse_depths.shape[-1]}x{inverse_depths.shape[-2]}; resize them first."
        )


def _parse(name: str, value: object, default: object) -> Any:
    """Return a value read from JSON, which has no tuples, as the type of the field's default."""
    if isinstance(default, tuple):
        if isinstance(value, (list, tuple)) and all(type(part) is int for part in value):
            return tuple(value)
    elif type(value) is type(default):
        return value
    raise UserError(f"model option {name} is {_shown(value)}; expected something like {default!r}.")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}..."
