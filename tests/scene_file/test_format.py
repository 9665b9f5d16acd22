"""The format is what docs/format.md says."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

from core.scene_file import GRADES, open_scene
from core.scene_file.records import MAX_PAYLOAD, SIGNATURE
from tests.scene_file import plain_reader
from tests.scene_file.conftest import HEADER, MakeScene, Write

PAGE = (Path(__file__).parents[2] / "docs" / "format.md").read_text()


@pytest.mark.parametrize(
    ("degree", "turned"), [(1, "about the view axis"), (2, "anyhow"), (0, "not at all")]
)
def test_a_reader_of_the_specification_agrees_to_the_byte(
    make_scene: MakeScene, write: Write, degree: int, turned: str
) -> None:
    shot = make_scene(3, degree=degree, turned=turned)
    plain = plain_reader.read(path := write(shot, make_scene(1, turned=turned)))
    assert plain.head["grid"] == HEADER.grid_size
    assert plain.head["name"] == "clip"
    assert plain.head["fps"] == 10
    assert [key["time"] for key in plain.key_frames] == [0, 1, 2, 3]
    assert [key["shot"] for key in plain.key_frames] == [0, 0, 0, 1]
    assert [(part["first"], part["second"]) for part in plain.intervals] == [(0, 1), (1, 2), (3, 3)]
    count = HEADER.num_gaussians
    with open_scene(path) as scene:
        for number, part in enumerate(plain.intervals):
            found = scene.read_interval(number)
            halves = [found.select(slice(count), dim=1)]
            if len(part["parts"]) == 2:
                halves.append(found.select(slice(count, None), dim=1))
            for half, key in zip(halves, (part["first"], part["second"]), strict=False):
                for name in ("means", "scales", "quats", "colors", "opacities"):
                    values = [gaussian[name] for gaussian in plain.key_frames[key]["gaussians"]]
                    assert same_bytes(getattr(half, name), values), name
            for half, dynamics in zip(halves, part["parts"], strict=False):
                for name in ("motion", "opacity_slopes", "opacity_half_lives"):
                    values = [gaussian[name] for gaussian in dynamics]
                    assert same_bytes(getattr(half, name), values), name


def same_bytes(found: torch.Tensor, values: list) -> bool:
    expected = np.array(values, np.float32).reshape(found.shape)
    return np.array_equal(found.numpy().view(np.uint32), expected.view(np.uint32))


def test_the_index_says_what_the_records_say(make_scene: MakeScene, write: Write) -> None:
    path = write(make_scene(3), make_scene(2))
    index, data = plain_reader.read(path).index, path.read_bytes()
    assert [kind for _, kind, _ in index] == [
        *(b"KEYF", b"KEYF", b"INTV", b"KEYF", b"INTV"),
        *(b"KEYF", b"KEYF", b"INTV"),
    ]
    for offset, kind, head in index:
        assert data[offset + 4 : offset + 24] == kind + head


def test_the_page_has_the_numbers_of_the_code() -> None:
    assert SIGNATURE.hex(" ").upper() in PAGE
    assert MAX_PAYLOAD == 2**27
    for name, grade in GRADES.items():
        row = re.search(rf"\| `{name}` \| (.*) \|\n", PAGE)
        assert row is not None
        numbers = [
            eval_fraction(cell.removesuffix(" cell").replace("π", "256"))
            for cell in row.group(1).split(" | ")
        ]
        steps = [value for step, value in vars(grade).items() if step != "quaternion"]
        assert numbers == pytest.approx(steps), name


def eval_fraction(text: str) -> float:
    above, below = text.split("/")
    return float(above) / float(below)
