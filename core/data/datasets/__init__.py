"""Readers of the layouts in which datasets come, all behind one contract."""

from core.data.datasets.open import DATASETS, open_dataset
from core.data.datasets.splits import Split

__all__ = ["DATASETS", "Split", "open_dataset"]
