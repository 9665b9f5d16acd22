"""What an evaluation took: milliseconds by part, and memory."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from core.evaluation.records import Record
from core.evaluation.report.tables import Table

_UNITS = {
    "resize": "key frame",
    "depth": "key frame",
    "encode": "key frame",
    "decode": "pair of key frames",
    "render": "frame",
}
"""What each part is done for."""


def summarize_times(found: Sequence[tuple[Record, Record]], gaps: Sequence[int]) -> dict[str, Any]:
    """Return medians of all clips, and what was noted of each."""
    parts: dict[str, list[float]] = {}
    for _, times in found:
        counts = {"render": times["rendered"]}
        for part, seconds in times["seconds"].items():
            per = counts.get(part, [1] * len(seconds))
            parts.setdefault(part, []).extend(s / n for s, n in zip(seconds, per, strict=True))
    medians = {part: 1000 * median(parts[part]) for part in _UNITS if part in parts}
    per_interval = sum(ms for part, ms in medians.items() if part != "render")
    memory = [times["peak_memory_mib"] for _, times in found]
    return {
        "written": time.strftime("%Y-%m-%d %H:%M:%S"),
        "devices": sorted({times["device"] for _, times in found}),
        "milliseconds": medians,
        "milliseconds_a_frame": {str(gap): per_interval / gap + medians["render"] for gap in gaps},
        "peak_memory_mib": {kind: max(m[kind] for m in memory) for kind in memory[0]},
        "seconds": sum(times["total_seconds"] for _, times in found),
        "clips": {record["name"]: times for record, times in found},
    }


def times_table(times: Mapping[str, Any]) -> Table:
    """Return what took how long, as a table."""
    rows = [[part, f"{ms:.1f} ms", _UNITS[part]] for part, ms in times["milliseconds"].items()]
    rows += [
        [f"all, gap {gap}", f"{ms:.1f} ms", "frame of the clip"]
        for gap, ms in times["milliseconds_a_frame"].items()
    ]
    rows += [
        [f"peak memory, {kind}", f"{mib:.0f} MiB", ""]
        for kind, mib in times["peak_memory_mib"].items()
    ]
    rows.append(
        ["evaluation", f"{times['seconds']:.0f} s", "all clips, reading and scoring included"]
    )
    note = f"{', '.join(times['devices'])}; {times['written']}. Medians."
    return Table("Time and memory of the network", ["", "", "for"], rows, note)
