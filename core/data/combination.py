"""Several datasets drawn from together."""

from __future__ import annotations

from collections.abc import Sequence

from core.data.mixing import locate
from core.data.sequence_source import Sample, SequenceSource


class CombinedSource:
    """Samples of several datasets in one stream, evenly spread.

    Each dataset is walked in its own order and without gaps, as if it were alone; which of them a
    position shows is a function of the position and the weights.

    Args:
        sources: One for each dataset, at least one.
        weights: How often each is drawn from beside the others, more than 0.
    """

    def __init__(self, sources: Sequence[SequenceSource], weights: Sequence[float]) -> None:
        self._sources = sources
        self._weights = weights

    @property
    def num_items(self) -> int:
        """How many samples there are to begin with, of all datasets together."""
        return sum(source.num_items for source in self._sources)

    def sample(self, index: int) -> Sample:
        """Return the sample at position ``index``.

        Raises:
            UserError: If neither it nor others of its dataset can be read.
        """
        source, position = locate(index, self._weights)
        return self._sources[source].sample(position)
