"""An HTML page of an evaluation, which needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import Any

from core.evaluation.report.pictures import Moment
from core.evaluation.report.plots import PLOTS
from core.evaluation.report.tables import Table, count_clips
from core.io import write_bytes

_HERE = Path(__file__).parent
_CONTEXTS = {"pair": "none", "before": "the one before", "both": "the ones before and after"}
_FIRST_TABLES = 2
"""Tables above the plots; the others are below the pictures."""


def write_page(
    path: Path,
    result: Mapping[str, Any],
    tables: Sequence[Table],
    moments: Sequence[Moment],
    *,
    result_file: str,
    times_file: str,
) -> None:
    """Write the page; plots, pictures and the page of times lie beside it.

    Raises:
        UserError: If it cannot be written.
    """
    plots = "\n".join(_figure(name, caption) for name, caption in PLOTS.items())
    shown = "\n".join(
        f'<section class="card"><h2>{escape(moment.title)}</h2>'
        + _figure(
            moment.file,
            f"{moment.clip}, frame {moment.index}, gap {moment.gap}: {moment.psnr:.2f} dB. Errors "
            "from none (black) to a quarter of the range and more (bright).",
        )
        + "</section>"
        for moment in moments
    )
    text = Template((_HERE / "page.html").read_text(encoding="utf-8")).substitute(
        title=f"{count_clips(result)}, {result['data']}",
        style=_style(),
        tables="\n".join(table.html() for table in tables[:_FIRST_TABLES]),
        plots=plots,
        moments=shown,
        details="\n".join(table.html() for table in tables[_FIRST_TABLES:]),
        times=escape(times_file),
        facts="\n".join(
            f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>"
            for label, value in _facts(result)
        ),
        result=escape(result_file),
    )
    write_bytes(path, text.encode())


def write_times_page(path: Path, table: Table) -> None:
    """Write the page of what differs from run to run.

    Raises:
        UserError: If it cannot be written.
    """
    text = (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="color-scheme" content="light dark"><title>Time and memory</title>'
        f'<style>\n{_style()}</style><body class="bare">{table.html()}</body></html>\n'
    )
    write_bytes(path, text.encode())


def _style() -> str:
    return (_HERE / "page.css").read_text(encoding="utf-8")


def _figure(file: str, caption: str) -> str:
    return (
        f'<figure><img src="{escape(file)}" alt="{escape(caption)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _facts(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    height, width = result["network_size"]
    facts = [
        ("Command", result["command"]),
        ("Network", f"{result['parameters']:,} parameters, {height} x {width}"),
        ("Key frames", f"every {' and every '.join(map(str, result['gaps']))} frames"),
        ("Pairs of a clip", str(result["max_pairs"] or "all")),
        ("Key frames seen beside a pair", _CONTEXTS[result["context"]]),
        ("Depth given", ", ".join(sorted({clip["input_depth"] for clip in result["clips"]}))),
    ]
    facts += [
        (f"Gaussians, gap {gap}", f"{count:,.0f} a pair")
        for gap, count in result["summary"]["gaussians"].items()
    ]
    facts += [(f"SHA-256, {name}", digest) for name, digest in result["sha256"].items() if digest]
    return facts + [(f"Version, {name}", version) for name, version in result["versions"].items()]
