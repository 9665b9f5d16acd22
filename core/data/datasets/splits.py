"""The two parts of a dataset: one to learn from, one to measure with."""

from __future__ import annotations

from typing import Literal

Split = Literal["train", "val"]
"""Each layout has its own word for the second: val, valid or test."""
