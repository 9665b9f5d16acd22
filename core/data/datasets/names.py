"""What the layouts of datasets and their parts are called."""

from __future__ import annotations

from typing import Literal, get_args

DatasetName = Literal["davis", "vos", "co3d", "re10k", "frames"]
"""The layouts; frames is a folder of clips."""
DATASETS: tuple[DatasetName, ...] = get_args(DatasetName)
"""All of them."""
Split = Literal["train", "val"]
"""The part to learn from and the one to measure with, which layouts call val, valid or test."""
DavisResolution = Literal["Full-Resolution", "480p"]
"""The sizes in which DAVIS comes, as its folders call them."""
