"""The networks that have names, and reading the configuration of any network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from core.checks import UserError
from core.models.matching.config import MatchingConfig
from core.models.transformer.config import StreamSplatConfig

ModelConfig = StreamSplatConfig | MatchingConfig
"""The configuration of any network."""
PRESETS: dict[str, ModelConfig] = {
    "full": StreamSplatConfig(),
    "small": MatchingConfig(
        pixel_width=64,
        pixel_blocks=3,
        feature_widths=(96, 128, 192),
        matcher_layers=6,
        updates=(3, 3),
        refinement_widths=(64, 128),
        dynamics_width=48,
    ),
    "tiny": MatchingConfig(),
}
"""``full`` is the published network, of 181.7 million parameters; ``small`` has 8.9, ``tiny`` 3.4.
Both match the frames explicitly and need no DINOv2."""
_KINDS: dict[str, type[StreamSplatConfig] | type[MatchingConfig]] = {
    "transformer": StreamSplatConfig,
    "matching": MatchingConfig,
}
_KIND = "architecture"


def write_config(config: ModelConfig) -> dict[str, Any]:
    """Return what describes a network in a file; :func:`read_config` reads it."""
    kind = next(name for name, options in _KINDS.items() if isinstance(config, options))
    return {_KIND: kind, **asdict(config)}


def read_config(values: Mapping[str, Any], source: str) -> ModelConfig:
    """Read a network's configuration, for example from JSON.

    Args:
        values: The architecture, ``transformer`` by default, and its options.
        source: Where they come from, for the message of an error.

    Raises:
        UserError: If the architecture or an option is unknown, of the wrong type or impossible.
    """
    kind = values.get(_KIND, "transformer")
    if not isinstance(kind, str) or kind not in _KINDS:
        shown = repr(kind)[:100]
        raise UserError(
            f"{source}: {_KIND} is {shown}; expected {' or '.join(_KINDS)}. "
            "Was it written by a newer version?"
        )
    return _KINDS[kind].from_dict({k: v for k, v in values.items() if k != _KIND}, source)
