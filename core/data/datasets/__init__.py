"""Readers of the layouts in which datasets come, all behind one contract."""

from core.data.datasets.open import open_dataset
from core.data.datasets.sequence_set import DATASETS, DatasetName, Split

__all__ = ["DATASETS", "DatasetName", "Split", "open_dataset"]
