"""Several sources in one stream: which position of it belongs to which source."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import floor, inf

from core.data.sampling.sequence_source import Sample, SequenceSource


class CombinedSource:
    """Samples of several datasets in one stream, evenly spread.

    Each dataset is read in its own order without gaps. The dataset of a position is a function of
    the position and the weights.

    Args:
        sources: One for each dataset, at least one.
        weights: How often each is drawn from beside the others, more than 0.
    """

    def __init__(self, sources: Sequence[SequenceSource], weights: Sequence[float]) -> None:
        self._sources = sources
        self._weights = weights

    @property
    def num_items(self) -> int:
        """Samples of one epoch of every dataset."""
        return sum(source.num_items for source in self._sources)

    def sample(self, index: int) -> Sample:
        """Return the sample at position ``index``.

        Raises:
            UserError: If neither it nor others of its dataset can be read.
        """
        source, position = locate(index, self._weights)
        return self._sources[source].sample(position)


def divide(positions: Iterable[int], weights: Sequence[float]) -> list[list[int]]:
    """Divide positions of a stream between sources, evenly spread.

    Every source is read without gaps, from index 0: of the first ``n`` positions
    those of the last source are ``floor(n * share)``, and what remains is divided between the
    others in the same way.

    Args:
        positions: Positions in the stream, each at least 0.
        weights: How often each source is drawn from beside the others, at least 0 and not all 0.

    Returns:
        Indices into each source, in the order of the positions.

    Raises:
        ValueError: If the weights are not such numbers.
    """
    if not weights or min(weights) < 0 or not 0 < sum(weights) < inf:
        raise ValueError(
            f"divide: weights are {weights}; expected numbers of at least 0 that are not all 0."
        )
    divided: list[list[int]] = [[] for _ in weights]
    for position in positions:
        source, index = locate(position, weights)
        divided[source].append(index)
    return divided


def locate(position: int, weights: Sequence[float]) -> tuple[int, int]:
    """Return which source a position belongs to, and its index there; see :func:`divide`."""
    for source in range(len(weights) - 1, 0, -1):
        share = weights[source] / sum(weights[: source + 1]) if weights[source] else 0.0
        before = floor(position * share)
        if floor((position + 1) * share) > before:
            return source, before
        position -= before
    return 0, position
