"""The report of a check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from core.data.check.inspection import Inspection
from core.data.datasets.sequence_set import Coverage, Issue, SequenceSet
from core.data.sampling.unreadable_files import MAX_SHARE, MAX_UNREADABLE
from core.text import printable

_LEAST_READABLE = 0.5
"""Share of samples that must be readable even in a small dataset: another is tried for each that is
not, and again if need be, up to core.data.sampling.sequence_source.MAX_ATTEMPTS times."""
_SHOWN = 3
_SHOWN_SIZES = 4


@dataclass(frozen=True)
class Findings:
    """What a check found."""

    facts: tuple[tuple[str, str, tuple[str, ...]], ...]
    """Label, result and examples of each line."""
    failures: tuple[str, ...]
    """Why training would fail, and what to do; empty if it would not."""
    warnings: tuple[str, ...]
    """Problems that do not stop training."""

    def text(self, *, list_all: bool = False) -> str:
        """Return the report as lines of text.

        Args:
            list_all: Show every example, not only the first few.
        """
        lines: list[str] = []
        for label, found, examples in self.facts:
            lines.append(f"{label:<11}{found}")
            shown = examples if list_all else examples[:_SHOWN]
            lines += [f"  {example}" for example in shown]
            if len(examples) > len(shown):
                lines.append(f"  ({len(examples) - len(shown)} more with --list_all)")
        lines += [f"warning: {warning}" for warning in self.warnings]
        lines += [f"training would fail: {failure}" for failure in self.failures]
        if not self.failures:
            lines.append("fit for training.")
        return "\n".join(printable(line) for line in lines)


def summarize(
    dataset: SequenceSet, coverage: Coverage, inspection: Inspection, *, num_frames: int
) -> Findings:
    """Describe what a dataset holds, and whether it can be trained on.

    Args:
        dataset: The dataset.
        coverage: Its contents as its reader describes them.
        inspection: Results of opening its files.
        num_frames: Frames of a training sample; shorter sequences are not used.
    """
    facts = [
        ("sequences", *_describe_sequences(dataset, num_frames)),
        ("frames", _describe_lengths(dataset), ()),
        ("sizes", _describe_sizes(inspection), ()),
        ("depth", *_describe_part(coverage.without_depth, coverage.frames, "a depth map")),
    ]
    if coverage.without_mask is None:
        facts.append(("masks", "not part of this layout", ()))
    else:
        facts.append(("masks", *_describe_part(coverage.without_mask, coverage.frames, "a mask")))
    for label, issue in (("missing", coverage.missing), ("damaged", coverage.unreadable)):
        if issue.count:
            what = "named by a list, but not there" if label == "missing" else "files not opened"
            facts.append((label, f"{issue.count:,} {what}", issue.examples[:_SHOWN]))
    facts.append(("opened", _describe_opened(inspection, coverage), inspection.unreadable))
    if inspection.flat_depths:
        count = f"{len(inspection.flat_depths):,} depth maps hold one value everywhere"
        facts.append(("flat", count, inspection.flat_depths))
    failures = _failures(dataset, inspection, num_frames)
    return Findings(tuple(facts), tuple(failures), tuple(_warnings(dataset, coverage, inspection)))


def _failures(dataset: SequenceSet, inspection: Inspection, num_frames: int) -> list[str]:
    longest = int(dataset.lengths.max(initial=0))
    if longest < num_frames:
        return [
            f"no sequence has {num_frames} frames, the longest has {longest}; add longer ones, or "
            "train on fewer frames a sample (--num_frames of this check)."
        ]
    share = len(inspection.unreadable) / max(inspection.frames, 1)
    is_many = share * dataset.lengths.sum() > MAX_UNREADABLE and share * num_frames > MAX_SHARE
    if is_many or (1.0 - share) ** num_frames < _LEAST_READABLE:
        return [
            f"{len(inspection.unreadable):,} of {inspection.frames:,} frames cannot be read, more "
            "than training accepts; download them again, or remove the files."
        ]
    return []


def _warnings(dataset: SequenceSet, coverage: Coverage, inspection: Inspection) -> list[str]:
    warnings: list[str] = []
    depth = coverage.without_depth
    if depth.count:
        what = "no frame has depth" if depth.count == coverage.frames else "some frames lack depth"
        warnings.append(
            f"{what}: python -m core.depth.preprocess {dataset.name} {dataset.root} writes it."
        )
    if inspection.flat_depths:
        warnings.append("depth maps of one value everywhere teach nothing; write them again.")
    if inspection.unreadable:
        warnings.append(
            "other samples take the place of those with frames that cannot be read; replace or "
            "remove the files."
        )
    if coverage.missing.count:
        warnings.append("what is listed and not there is left out; was the download complete?")
    if coverage.unreadable.count:
        warnings.append("what cannot be opened is left out; download or make these files again.")
    return warnings


def _describe_sequences(dataset: SequenceSet, num_frames: int) -> tuple[str, Sequence[str]]:
    short = np.flatnonzero(dataset.lengths < num_frames)
    total = f"{len(dataset.lengths):,}"
    if not short.size:
        return f"{total}, each of {num_frames} frames at least", ()
    examples = [
        f"{dataset.keys[sequence]}: {dataset.lengths[sequence]} frames"
        for sequence in short[:_SHOWN].tolist()
    ]
    return f"{total}; {short.size:,} with fewer than {num_frames} frames, for example:", examples


def _describe_lengths(dataset: SequenceSet) -> str:
    low, middle, high = np.quantile(dataset.lengths, [0, 0.5, 1])
    return (
        f"{dataset.lengths.sum():,}; the shortest sequence has {low:g}, the median {middle:g}, "
        f"the longest {high:g}"
    )


def _describe_sizes(inspection: Inspection) -> str:
    described = [
        f"{width}x{height} ({count:,})" for (height, width), count in inspection.sizes.items()
    ]
    more = len(described) - _SHOWN_SIZES
    described = described[:_SHOWN_SIZES] + ([f"{more} more"] if more > 0 else [])
    return f"width x height (sequences): {', '.join(described) or 'none seen'}"


def _describe_part(issue: Issue, frames: int, what: str) -> tuple[str, Sequence[str]]:
    if not issue.count:
        return f"every frame has {what}", ()
    return (
        f"{frames - issue.count:,} of {frames:,} frames have {what}; not, for example:",
        issue.examples[:_SHOWN],
    )


def _describe_opened(inspection: Inspection, coverage: Coverage) -> str:
    all_of = "all" if inspection.frames == coverage.frames else f"of {coverage.frames:,}"
    unreadable = len(inspection.unreadable)
    result = f"{unreadable:,} cannot be read:" if unreadable else "every file can be read"
    return f"{inspection.frames:,} frames ({all_of}), {result}"
