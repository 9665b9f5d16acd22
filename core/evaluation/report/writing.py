"""Writes the report of an evaluation."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from core.evaluation.protocol import ROLES
from core.evaluation.records import Record, dump_json
from core.evaluation.report.summary import clip_scores, summarize
from core.evaluation.report.table import markdown
from core.io import write_bytes
from core.logging import get_logger

_logger = get_logger(__name__)
RESULT = "evaluation.json"
TABLE = "evaluation.md"
TIMES = "times.json"


def write_report(
    output: Path, settings: Mapping[str, Any], found: Sequence[tuple[Record, Record]]
) -> None:
    """Write all files of the report.

    Args:
        output: The folder.
        settings: What was measured and how.
        found: Record and times of each clip.
    """
    protocols, gaps = settings["protocols"], settings["gaps"]
    records = [record for record, _ in found]
    clips = [
        {
            **record,
            "means": {
                protocol: {
                    str(gap): {
                        role: clip_scores(record, str(gap), protocol, role) for role in ROLES
                    }
                    for gap in gaps
                }
                for protocol in protocols
            },
        }
        for record in records
    ]
    summary = summarize(records, protocols, gaps)
    result = {**settings, "summary": summary, "clips": clips}
    write_bytes(output / RESULT, dump_json(result))
    text = markdown(result)
    write_bytes(output / TABLE, text.encode())
    times = {"written": time.strftime("%Y-%m-%d %H:%M:%S"), "clips": {}}
    times["clips"] = {record["name"]: of_clip for record, of_clip in found}
    write_bytes(output / TIMES, dump_json(times))
    _logger.info("%s", output / TABLE)
