"""Everything that distinguishes one StreamSplat network from another, and the presets."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

from core.checks import UserError

MIN_OPACITY = 0.05
"""Opacity at the anchor time that the static head never goes below."""
DINO_WIDTH = 768
"""Width of the tokens of DINOv2 ViT-B."""
DINO_PATCH_SIZE = 14
_PIXELS_PER_DINO_PATCH = 16
_SHOWN_LENGTH = 100
_LARGEST = 2**16
"""No size of a network is above; products of several stay within 64 bits."""
_SIZES = (
    "image_height",
    "image_width",
    "patch_size",
    "width",
    "head_width",
    "encoder_layers",
    "decoder_layers",
    "window",
    "motion_degree",
)


@dataclass(frozen=True)
class StreamSplatConfig:
    """Sizes and options of a network; the default is the published one."""

    image_height: int = 288
    """Height of the input frames in pixels."""
    image_width: int = 512
    """Width of the input frames in pixels."""
    patch_size: int = 8
    """Side of the square patch of pixels that becomes one token."""
    width: int = 768
    """Channels of the tokens of encoder and decoder."""
    head_width: int = 64
    """Channels of one attention head, everywhere."""
    encoder_layers: int = 10
    """Blocks of the static encoder."""
    decoder_layers: int = 10
    """Blocks of the dynamic decoder."""
    upsampler_widths: tuple[int, ...] = (384, 192)
    """Channels after each upsampler level; every level doubles the token grid's sides."""
    window: int = 2304
    """Tokens that attend to one another in the upsamplers, a run of the row-major sequence."""
    motion_degree: int = 1
    """Degree of the motion polynomials (``forder``)."""
    use_dino: bool = True
    """Condition the decoder on DINOv2 tokens of the other frame instead of its encoder tokens."""
    dino_normalize: bool = False
    """Feed DINOv2 with frames normalised by ImageNet's mean and deviation.

    The published weights were trained without, so this stays false for them."""
    pixel_skip: bool = False
    """Hand each Gaussian the pixels that it stands for, past the encoder."""
    initial_scale: float | None = None
    """Standard deviation of an untrained network's Gaussians, in pitches of the Gaussian grid.

    ``None`` gives the scale head a zero bias (about 0.07 canonical units)."""
    initial_opacity: float | None = None
    """Opacity of an untrained network's Gaussians; ``None`` gives the head a zero bias (0.525)."""
    log_scale_offset: float = 0.0
    """Added to the log-scales of the truncated Gaussians of positions and motion.

    Negative values make training start with less random displacement."""

    def __post_init__(self) -> None:
        for holds, name, expected in self._conditions():
            if not holds:
                raise UserError(
                    f"model option {name} is {getattr(self, name)}; expected {expected}."
                )

    def _conditions(self) -> Iterator[tuple[bool, str, str]]:
        """Yield what must hold, the field to blame otherwise, and what was expected of it.

        Lazily: a condition may rely on those before it.
        """
        for name in _SIZES:
            holds = 1 <= getattr(self, name) <= _LARGEST
            yield holds, name, f"a number from 1 to {_LARGEST}"
        widths = self.upsampler_widths
        holds = 1 <= min(widths, default=0) <= max(widths, default=0) <= _LARGEST
        yield holds, "upsampler_widths", f"one or more widths from 1 to {_LARGEST}"
        patch, factor, head = self.patch_size, self.upsampling, self.head_width
        for name in ("image_height", "image_width"):
            yield getattr(self, name) % patch == 0, name, f"a multiple of patch_size {patch}"
        levels = f"{len(widths)} levels in upsampler_widths"
        yield patch % factor == 0, "patch_size", f"a multiple of {factor}, the factor of {levels}"
        by_head = f"divisible by head_width {head}"
        yield self.width % head == 0, "width", f"a number {by_head}"
        yield all(width % head == 0 for width in widths), "upsampler_widths", f"numbers {by_head}"
        yield self.width % 2 == 0, "width", "an even number (sine and cosine pairs)"
        first_grid = 4 * self.num_tokens
        divisor = f"an even divisor of the first upsampled grid's {first_grid} tokens"
        yield self.window % 2 == 0 and first_grid % self.window == 0, "window", divisor
        if self.use_dino:
            multiple = f"a multiple of {_PIXELS_PER_DINO_PATCH} when use_dino is set"
            for name in ("image_height", "image_width"):
                yield getattr(self, name) % _PIXELS_PER_DINO_PATCH == 0, name, multiple
        yield self.use_dino or not self.dino_normalize, "dino_normalize", "false without use_dino"
        scale, opacity = self.initial_scale, self.initial_opacity
        yield scale is None or scale > 0, "initial_scale", "a positive number or null"
        in_range = f"a number in ({MIN_OPACITY}, 1) or null"
        yield opacity is None or MIN_OPACITY < opacity < 1, "initial_opacity", in_range

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str) -> StreamSplatConfig:
        """Read a configuration as :func:`dataclasses.asdict` writes it, for example from JSON.

        Args:
            values: Field names and values; those that are absent take their defaults.
            source: Where the values come from, for the message of an error.

        Raises:
            UserError: If a field is unknown, of the wrong type, or its value impossible.
        """
        defaults = {field.name: field.default for field in fields(cls)}
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

    @property
    def upsampling(self) -> int:
        """How many times finer, a side, the Gaussian grid is than the token grid."""
        return 2 ** len(self.upsampler_widths)

    @property
    def token_grid(self) -> tuple[int, int]:
        """Rows and columns of the encoder's tokens."""
        return self.image_height // self.patch_size, self.image_width // self.patch_size

    @property
    def num_tokens(self) -> int:
        """Encoder tokens of a frame."""
        return self.token_grid[0] * self.token_grid[1]

    @property
    def gaussian_grid(self) -> tuple[int, int]:
        """Rows and columns of a frame's Gaussians."""
        return self.token_grid[0] * self.upsampling, self.token_grid[1] * self.upsampling

    @property
    def num_gaussians(self) -> int:
        """Gaussians of a frame."""
        return self.gaussian_grid[0] * self.gaussian_grid[1]

    @property
    def pixel_stride(self) -> int:
        """Side, in pixels, of what one Gaussian stands for."""
        return self.patch_size // self.upsampling

    @property
    def dino_grid(self) -> tuple[int, int]:
        """Rows and columns of DINOv2's patch tokens: one for 16 by 16 input pixels."""
        return (
            self.image_height // _PIXELS_PER_DINO_PATCH,
            self.image_width // _PIXELS_PER_DINO_PATCH,
        )

    @property
    def dino_image_size(self) -> tuple[int, int]:
        """Height and width to which frames are resized for DINOv2."""
        return self.dino_grid[0] * DINO_PATCH_SIZE, self.dino_grid[1] * DINO_PATCH_SIZE

    @property
    def num_condition_tokens(self) -> int:
        """Tokens of one frame to which the other frame attends."""
        return self.dino_grid[0] * self.dino_grid[1] if self.use_dino else self.num_tokens

    @property
    def condition_width(self) -> int:
        """Channels of those tokens before their projection to ``width``."""
        return DINO_WIDTH if self.use_dino else self.width


def _parse(name: str, value: object, default: object) -> Any:
    """Return a value read from JSON, which has no tuples, as the type of the field's default."""
    kind = type(value)
    if isinstance(default, tuple):
        if isinstance(value, (list, tuple)) and all(type(part) is int for part in value):
            return tuple(value)
    elif isinstance(default, (bool, int)):
        if kind is type(default):
            return value
    elif value is None and default is None:
        return None
    elif isinstance(value, (int, float)) and kind is not bool and abs(value) < math.inf:
        with suppress(OverflowError):  # of a whole number that no float holds
            return float(value)
    raise UserError(f"model option {name} is {_shown(value)}; expected something like {default!r}.")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_LENGTH else f"{text[:_SHOWN_LENGTH]}..."


PRESETS: dict[str, StreamSplatConfig] = {
    "full": StreamSplatConfig(),
    "small": StreamSplatConfig(
        patch_size=16,
        width=384,
        head_width=64,
        encoder_layers=6,
        decoder_layers=4,
        upsampler_widths=(192, 128, 64),
        window=256,
        use_dino=False,
        pixel_skip=True,
        initial_scale=0.6,
        initial_opacity=0.9,
        log_scale_offset=-4.5,
    ),
    "tiny": StreamSplatConfig(
        patch_size=16,
        width=192,
        head_width=32,
        encoder_layers=6,
        decoder_layers=4,
        upsampler_widths=(128, 64, 64),
        window=256,
        use_dino=False,
        pixel_skip=True,
        initial_scale=0.6,
        initial_opacity=0.9,
        log_scale_offset=-4.5,
    ),
}
"""``full`` is the published network, of 181.7 million parameters, ``small`` has 24.7, ``tiny`` 7.0;
the last two need no DINOv2 and start training from a sharp picture."""
