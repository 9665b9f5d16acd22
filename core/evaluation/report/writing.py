"""Writes the report of an evaluation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.evaluation.data.clips import Clip
from core.evaluation.measure import Measurement
from core.evaluation.protocol import ROLES
from core.evaluation.records import Record, dump_json
from core.evaluation.report.page import write_page, write_times_page
from core.evaluation.report.pictures import choose_moments, write_moments
from core.evaluation.report.plots import write_plots
from core.evaluation.report.summary import clip_scores, summarize
from core.evaluation.report.tables import build_tables
from core.evaluation.report.times import summarize_times, times_table
from core.io import write_bytes

RESULT = "evaluation.json"
TABLES = "evaluation.md"
PAGE = "index.html"
TIMES = "times.json"
TIMES_PAGE = "times.html"


def write_report(
    output: Path,
    settings: Mapping[str, Any],
    found: Sequence[tuple[Record, Record]],
    clips: Sequence[Clip],
    measurement: Measurement,
) -> None:
    """Write all files of the report; those of times alone differ from run to run.

    Args:
        output: The folder.
        settings: What was measured and how.
        found: Record and times of each clip.
        clips: The clips, of which some moments are shown.
        measurement: How they were measured.

    Raises:
        UserError: If a file cannot be written, or a clip can no longer be read.
    """
    protocols, gaps = settings["protocols"], settings["gaps"]
    records = [record for record, _ in found]
    result = {
        **settings,
        "summary": summarize(records, protocols, gaps),
        "clips": [{**record, "means": _means(record, protocols, gaps)} for record in records],
    }
    tables = build_tables(result)
    times = summarize_times(found, gaps)
    moments = choose_moments(result)
    write_bytes(output / RESULT, dump_json(result))
    write_bytes(output / TABLES, "\n".join(table.markdown() for table in tables).encode())
    write_bytes(output / TIMES, dump_json(times))
    write_times_page(output / TIMES_PAGE, times_table(times))
    write_plots(output, result)
    write_moments(output, moments, clips, measurement)
    write_page(output / PAGE, result, tables, moments, result_file=RESULT, times_file=TIMES_PAGE)


def _means(record: Record, protocols: Sequence[str], gaps: Sequence[int]) -> dict[str, Any]:
    """Return the means of a clip by protocol, gap, role, method and metric."""
    return {
        protocol: {
            str(gap): {role: clip_scores(record, str(gap), protocol, role) for role in ROLES}
            for gap in gaps
        }
        for protocol in protocols
    }
