"""How many files of a dataset may be unreadable before training on it stops."""

from __future__ import annotations

from collections.abc import Sequence

from core.checks import UserError
from core.logging import get_logger

MAX_UNREADABLE = 10
"""Files that may be unreadable however few samples were drawn."""
MAX_SHARE = 0.01
"""Files that may be unreadable, as a share of the samples that were drawn."""
_logger = get_logger(__name__)


class UnreadableFiles:
    """Counts files that could not be read, and warns of each of them once.

    A few damaged images do not end a run; a failing disk or a broken download does.
    """

    def __init__(self) -> None:
        self._known: set[str] = set()
        self._samples = 0

    @property
    def num_files(self) -> int:
        """How many files could not be read so far."""
        return len(self._known)

    def note(self, num_samples: int, problems: Sequence[str]) -> None:
        """Count the damaged files met while some samples were drawn.

        Args:
            num_samples: Samples that were drawn.
            problems: One message for each sample that had to be replaced.

        Raises:
            UserError: If more than ``MAX_UNREADABLE`` files, and more than ``MAX_SHARE`` of the
                samples drawn so far, are affected.
        """
        self._samples += num_samples
        for problem in problems:
            if problem not in self._known:
                self._known.add(problem)
                _logger.warning("%s Other samples take the place of those it is in.", problem)
        if self.num_files > max(MAX_UNREADABLE, MAX_SHARE * self._samples):
            raise UserError(
                f"{self.num_files} files of the dataset cannot be read, after {self._samples} "
                f"samples; the last: {problems[-1] if problems else ''} Check the dataset, for "
                "example with python -m core.data.check."
            )
