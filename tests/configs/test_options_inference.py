from __future__ import annotations

import ast
from dataclasses import fields
from pathlib import Path

import pytest

from configs.options_inference import InferenceOptions
from core.checks import UserError
from core.outputs.options import OutputOptions

PROGRAM = Path(__file__).parents[2] / "splat_inference.py"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("frame_gap", 0),
        ("batch_size", 0),
        ("orbit_frames", -1),
        ("max_frames", -1),
        ("max_persistent", -1),
        ("fps", 0.0),
        ("fps", 1e-6),
        ("fps", float("nan")),
        ("ply_time", -1.0),
        ("horizontal_fov_deg", 180.0),
    ],
)
def test_impossible_values_name_their_flag(name: str, value: float) -> None:
    with pytest.raises(UserError, match=f"--{name}"):
        options(**{name: value})


def options(**values: float) -> InferenceOptions:
    own = {field.name for field in fields(InferenceOptions)}
    outputs = OutputOptions(**{name: v for name, v in values.items() if name not in own})
    return InferenceOptions(
        "frames", outputs=outputs, **{name: v for name, v in values.items() if name in own}
    )


def test_every_option_is_read() -> None:
    read = {
        node.attr
        for node in ast.walk(ast.parse(PROGRAM.read_text()))
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "options"
    }
    assert {field.name for field in fields(InferenceOptions)} <= read
