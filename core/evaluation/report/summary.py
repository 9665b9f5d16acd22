"""From the records of clips to means: per frame, then per clip, then over the clips."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from statistics import fmean
from typing import Any

import numpy as np

from core.evaluation.measure import NETWORK
from core.evaluation.protocol import ROLES
from core.evaluation.records import Record
from core.evaluation.report.bootstrap import paired_difference

Scores = dict[str, dict[str, float]]
"""Numbers by method and metric."""


def mean_scores(samples: Iterable[Mapping[str, Mapping[str, float]]]) -> Scores:
    """Average numbers by method and metric, each over the samples that have it."""
    found: dict[str, dict[str, list[float]]] = {}
    for sample in samples:
        for method, values in sample.items():
            for metric, value in values.items():
                found.setdefault(method, {}).setdefault(metric, []).append(value)
    return {
        method: {metric: fmean(values) for metric, values in metrics.items()}
        for method, metrics in found.items()
    }


def clip_scores(record: Record, gap: str, protocol: str, role: str) -> Scores:
    """Return the means of a clip over the frames of one role."""
    frames = (frame for pair in record["gaps"][gap]["pairs"] for frame in pair["frames"])
    return mean_scores(frame["scores"][protocol] for frame in frames if frame["role"] == role)


def summarize(
    records: Sequence[Record], protocols: Sequence[str], gaps: Sequence[int]
) -> dict[str, Any]:
    """Return all means; each is over the clips that have the number.

    ``images``: by protocol, gap, role, method and metric. ``differences``: the network minus each
    other method, with intervals, likewise. ``temporal``, ``motion``, ``depth`` and ``tracking``: by
    gap. ``gaussians``: of a pair, by gap.
    """
    summary: dict[str, Any] = {"images": {}, "differences": {}}
    for protocol in protocols:
        for gap in map(str, gaps):
            for role in ROLES:
                by_clip = [clip_scores(record, gap, protocol, role) for record in records]
                place = (protocol, gap, role)
                _put(summary["images"], place, mean_scores(by_clip))
                _put(summary["differences"], place, _differences(by_clip))
    for name, of_gap in _PARTS.items():
        parts = {
            str(gap): mean_parts([of_gap(record["gaps"][str(gap)]) for record in records])
            for gap in gaps
        }
        summary[name] = {gap: part for gap, part in parts.items() if part}
    summary["gaussians"] = {
        str(gap): fmean(counts)
        for gap in gaps
        if (counts := [p["gaussians"] for r in records for p in r["gaps"][str(gap)]["pairs"]])
    }
    return summary


def mean_parts(samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Average nested dictionaries of numbers, each number over the samples that have it."""
    merged: dict[str, Any] = {}
    for name in dict.fromkeys(name for sample in samples for name in sample):
        values = [sample[name] for sample in samples if name in sample]
        merged[name] = mean_parts(values) if isinstance(values[0], Mapping) else fmean(values)
    return merged


def _differences(by_clip: Sequence[Scores]) -> dict[str, dict[str, dict[str, float]]]:
    found: dict[str, dict[str, dict[str, float]]] = {}
    names = dict.fromkeys(name for scores in by_clip for name in scores if name != NETWORK)
    for name in names:
        both = [(s[NETWORK], s[name]) for s in by_clip if name in s and NETWORK in s]
        for metric in dict.fromkeys(metric for _, other in both for metric in other):
            pairs = [(a[metric], b[metric]) for a, b in both if metric in a and metric in b]
            if len(pairs) > 1:
                own, others = np.array(pairs, dtype=np.float64).T
                found.setdefault(name, {})[metric] = asdict(paired_difference(own, others))
    return found


def _temporal(gap: Record) -> Mapping[str, Any]:
    return mean_parts([pair["temporal"] for pair in gap["pairs"]])


def _motion(gap: Record) -> Mapping[str, Any]:
    return mean_parts([pair["motion"] for pair in gap["pairs"]])


def _depth(gap: Record) -> Mapping[str, Any]:
    kinds = ("per_frame", "per_clip")
    return mean_parts([{kind: frame[kind] for kind in kinds} for frame in gap["depth"]])


def _tracking(gap: Record) -> Mapping[str, Any]:
    return gap.get("tracking", {})


_PARTS = {"temporal": _temporal, "motion": _motion, "depth": _depth, "tracking": _tracking}


def _put(tree: dict[str, Any], place: tuple[str, ...], value: object) -> None:
    *path, last = place
    for name in path:
        tree = tree.setdefault(name, {})
    tree[last] = value
