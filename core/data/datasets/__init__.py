"""Readers of the layouts in which datasets come, all behind one contract."""

from typing import TYPE_CHECKING

from core.data.datasets.names import DATASETS, DatasetName, Split
from core.lazy import offer

if TYPE_CHECKING:
    from core.data.datasets.open import open_dataset

__all__ = ["DATASETS", "DatasetName", "Split", "open_dataset"]

__getattr__ = offer(
    __name__,
    {
        "core.data.datasets.open": ["open_dataset"],
    },
)
