"""The results as tables, for Markdown and for the page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from core.evaluation.measure import NETWORK
from core.evaluation.protocol import ROLES


@dataclass(frozen=True)
class Metric:
    """How a number is shown."""

    label: str
    """Head of its column."""
    format: str
    """Format of the number."""


METRICS = {
    "psnr": Metric("PSNR", ".2f"),
    "ssim": Metric("SSIM", ".3f"),
    "lpips": Metric("LPIPS", ".3f"),
    "psnr_moving": Metric("PSNR on moving objects", ".2f"),
    "psnr_still": Metric("elsewhere", ".2f"),
    "tof": Metric("tOF, px", ".2f"),
    "psnr_diff": Metric("PSNR of differences", ".2f"),
    "psnr_div": Metric("PSNR by divergence", ".2f"),
    "epe": Metric("end-point error, px", ".2f"),
    "within": Metric("within 1/3 px", ".1%"),
    "abs_rel": Metric("AbsRel", ".3f"),
    "delta": Metric("δ < 1.25", ".1%"),
    "error_px": Metric("error, px", ".2f"),
    "within_1px": Metric("< 1 px", ".1%"),
    "within_2px": Metric("< 2 px", ".1%"),
    "within_4px": Metric("< 4 px", ".1%"),
    "within_8px": Metric("< 8 px", ".1%"),
    "visibility": Metric("visibility right", ".1%"),
}
_IMAGES = ("psnr", "ssim", "lpips")
_MASKS = ("psnr_moving", "psnr_still")
_NOTES = {
    "temporal": "tOF: distance of optical flows from frame to frame. PSNR of differences: of what "
    "changes from frame to frame. PSNR by divergence: errors weighted by the divergence of motion.",
    "tracking": "Points on a grid over the first frame, where they are truly visible.",
    "against_dis": "Motion of the Gaussians until the second key frame, as a flow field at the "
    "first one, where DIS optical flow agrees with itself on the way back.",
    "exact": "The same against true flow, where the pixel stays visible.",
    "per_frame": "Scale and shift of inverse depth chosen for each frame; constant and row know "
    "the truth and choose their best values.",
    "per_clip": "One scale and shift for all frames of a clip.",
}


@dataclass(frozen=True)
class Table:
    """A table; the first column is names, the others are numbers."""

    title: str
    """What it shows."""
    heads: list[str]
    """Names of the columns."""
    rows: list[list[str]]
    """The cells."""
    note: str = ""
    """What a reader has to know."""

    def markdown(self) -> str:
        """Return it as Markdown."""
        rule = ["---", *["---:"] * (len(self.heads) - 1)]
        lines = [f"| {' | '.join(line)} |" for line in (self.heads, rule, *self.rows)]
        note = f"{self.note}\n\n" if self.note else ""
        return f"### {self.title}\n\n{note}" + "\n".join(lines) + "\n"

    def html(self) -> str:
        """Return it as HTML."""
        heads = "".join(f"<th>{escape(head)}</th>" for head in self.heads)
        rows = "\n".join(
            f'<tr><th scope="row">{escape(row[0])}</th>'
            + "".join(f"<td>{escape(text)}</td>" for text in row[1:])
            + "</tr>"
            for row in self.rows
        )
        note = f"<p>{escape(self.note)}</p>" if self.note else ""
        return (
            f'<section class="card"><h2>{escape(self.title)}</h2>{note}<div class="scroll"><table>'
            f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{rows}\n</tbody></table></div></section>"
        )


def build_tables(result: Mapping[str, Any]) -> list[Table]:
    """Return the tables of an evaluation; ``result`` is what ``evaluation.json`` holds."""
    summary = result["summary"]
    found: list[Table] = []
    for protocol in result["protocols"]:
        found += _image_tables(result, protocol)
    found += _by_gap("Steadiness of the frames in between", summary["temporal"], "temporal")
    titles = {
        "against_dis": "Motion between key frames, against optical flow",
        "exact": "Motion between key frames, against true flow",
    }
    for kind, title in titles.items():
        parts = {gap: part[kind] for gap, part in summary["motion"].items() if kind in part}
        found += _by_gap(title, parts, kind)
    found += _by_gap("Points that are followed", summary["tracking"], "tracking")
    for kind in ("per_frame", "per_clip"):
        parts = {gap: part[kind] for gap, part in summary["depth"].items()}
        found += _by_gap(f"Depth against the sensor, aligned {kind.replace('_', ' ')}", parts, kind)
    for protocol in result["protocols"]:
        found.append(_clip_table(result, protocol))
    return found


def count_clips(result: Mapping[str, Any]) -> str:
    """Return how many clips were measured, in words."""
    count = len(result["clips"])
    return f"{count} clip{'s' if count > 1 else ''}"


def show(values: Mapping[str, float], metrics: Sequence[str]) -> str:
    """Return numbers as they stand in a cell, with slashes between; empty where there is none."""
    present = [f"{values[name]:{METRICS[name].format}}" for name in metrics if name in values]
    return " / ".join(present).replace("%", " %")


def _image_tables(result: Mapping[str, Any], protocol: str) -> list[Table]:
    summary = result["summary"]
    height, width = result["sizes"][protocol]
    where = f"{protocol} ({height} x {width}), {count_clips(result)}"
    columns = _columns(summary["images"][protocol])
    tables = []
    for metrics in (_IMAGES, _MASKS):
        present = [m for m in metrics if any(_has(scores, m) for scores in columns.values())]
        if present:
            names = " / ".join(METRICS[m].label for m in present)
            cells = {
                head: {name: show(values, present) for name, values in scores.items()}
                for head, scores in columns.items()
            }
            tables.append(_table_of_columns(f"{names}: {where}", cells))
    differences = {
        head: {name: _interval(values["psnr"]) for name, values in scores.items()}
        for head, scores in _columns(summary["differences"][protocol]).items()
    }
    if differences:
        title = f"PSNR of {NETWORK} minus that of others: {where}"
        note = "Mean over clips, and its 95 % interval from a paired bootstrap over clips."
        tables.insert(1, _table_of_columns(title, differences, note))
    return tables


def _columns(by_gap: Mapping[str, Any]) -> dict[str, Any]:
    return {
        f"{role}, gap {gap}": scores
        for gap, by_role in by_gap.items()
        for role in ROLES
        if (scores := by_role[role])
    }


def _table_of_columns(title: str, cells: Mapping[str, Mapping[str, str]], note: str = "") -> Table:
    names = dict.fromkeys(name for column in cells.values() for name in column)
    rows = [[name, *(column.get(name, "") for column in cells.values())] for name in names]
    return Table(title, ["", *cells], rows, note)


def _interval(value: Mapping[str, float]) -> str:
    return f"{value['mean']:+.2f} [{value['low']:+.2f}, {value['high']:+.2f}]"


def _by_gap(title: str, by_gap: Mapping[str, Any], kind: str) -> list[Table]:
    """Return a table with a row for each gap and method, and a column for each metric."""
    if not by_gap:
        return []
    metrics = [name for name in METRICS if any(_has(part, name) for part in by_gap.values())]
    rows = [
        [f"{name}, gap {gap}", *(show(values, [metric]) for metric in metrics)]
        for gap, by_method in by_gap.items()
        for name, values in by_method.items()
    ]
    heads = ["", *(METRICS[metric].label for metric in metrics)]
    return [Table(title, heads, rows, _NOTES[kind])]


def _clip_table(result: Mapping[str, Any], protocol: str) -> Table:
    columns = [
        (gap, role, method)
        for gap, by_role in result["summary"]["images"][protocol].items()
        for role in ROLES
        for method in by_role[role]
        if role == "middle" or method == NETWORK
    ]
    rows = [
        [
            clip["name"],
            *(
                show(clip["means"][protocol][gap][role].get(method, {}), ["psnr"])
                for gap, role, method in columns
            ),
        ]
        for clip in result["clips"]
    ]
    heads = [f"{method}, {role} {gap}" for gap, role, method in columns]
    return Table(f"PSNR of each clip: {protocol}", ["", *heads], rows)


def _has(by_method: Mapping[str, Mapping[str, float]], metric: str) -> bool:
    return any(metric in values for values in by_method.values())
