"""The results as Markdown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from core.evaluation.measure import NETWORK
from core.evaluation.protocol import ROLES

_FORMATS = {
    "psnr": ".2f",
    "ssim": ".3f",
    "lpips": ".3f",
    "psnr_moving": ".2f",
    "psnr_still": ".2f",
    "tof": ".2f",
    "psnr_diff": ".2f",
    "psnr_div": ".2f",
    "epe": ".2f",
    "within": ".1%",
    "abs_rel": ".3f",
    "delta": ".1%",
    "error_px": ".2f",
    "within_1px": ".1%",
    "within_2px": ".1%",
    "within_4px": ".1%",
    "within_8px": ".1%",
    "visibility": ".1%",
}
_LABELS = {
    "psnr": "PSNR",
    "ssim": "SSIM",
    "lpips": "LPIPS",
    "psnr_moving": "moving",
    "psnr_still": "rest",
    "tof": "tOF, px",
    "psnr_diff": "PSNR of differences",
    "psnr_div": "PSNR by divergence",
    "epe": "end-point error, px",
    "within": "within 1/3 px",
    "abs_rel": "AbsRel",
    "delta": "δ < 1.25",
    "error_px": "error, px",
    "within_1px": "< 1 px",
    "within_2px": "< 2 px",
    "within_4px": "< 4 px",
    "within_8px": "< 8 px",
    "visibility": "visibility right",
}
_IMAGE_METRICS = ("psnr", "ssim", "lpips")
_MASK_METRICS = ("psnr_moving", "psnr_still")


def markdown(result: Mapping[str, Any]) -> str:
    """Return the tables of an evaluation, ``evaluation.json`` as a dictionary."""
    return "\n\n".join(f"### {title}\n\n{body}" for title, body in sections(result)) + "\n"


def sections(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return titles and Markdown tables of what was measured."""
    summary, count = result["summary"], len(result["clips"])
    found = []
    for protocol, by_gap in summary["images"].items():
        height, width = result["sizes"][protocol]
        where = f"{protocol}, {height} x {width}, {count} clips"
        metrics = [m for m in _IMAGE_METRICS if _has(by_gap, m)]
        names = " / ".join(_LABELS[m] for m in metrics)
        found.append((f"{names}: {where}", _image_table(by_gap, metrics)))
        found.append(
            (
                f"PSNR of {NETWORK} minus that of others, with 95 % intervals: {where}",
                _difference_table(summary["differences"][protocol], "psnr"),
            )
        )
        if _has(by_gap, "psnr_moving"):
            found.append(
                (
                    f"PSNR on moving objects / elsewhere: {where}",
                    _image_table(by_gap, _MASK_METRICS),
                )
            )
        found.append((f"PSNR of each clip: {where}", _clip_table(result, protocol)))
    titles = {"temporal": "Steadiness", "tracking": "Points that are followed"}
    for name, title in titles.items():
        if summary[name]:
            found.append((title, _table(summary[name])))
    for kind, title in (
        ("against_dis", "DIS optical flow, where it agrees"),
        ("exact", "true flow"),
    ):
        by_gap = {gap: part[kind] for gap, part in summary["motion"].items() if kind in part}
        if by_gap:
            found.append((f"Motion between key frames against {title}", _table(by_gap)))
    for kind in ("per_frame", "per_clip"):
        by_gap = {gap: part[kind] for gap, part in summary["depth"].items()}
        if by_gap:
            title = f"Depth against the sensor, aligned {kind.replace('_', ' ')}"
            found.append((title, _table(by_gap)))
    return found


def cell(values: Mapping[str, float], metrics: Sequence[str]) -> str:
    """Return numbers as they stand in a table, with slashes between; empty where there is none."""
    present = [f"{values[m]:{_FORMATS[m]}}" for m in metrics if m in values]
    return " / ".join(present).replace("%", " %")


def _image_table(by_gap: Mapping[str, Any], metrics: Sequence[str]) -> str:
    columns = {
        f"{role}, gap {gap}": scores
        for gap, by_role in by_gap.items()
        for role in ROLES
        if (scores := by_role[role])
    }
    names = dict.fromkeys(name for scores in columns.values() for name in scores)
    rows = [
        [name, *(cell(scores.get(name, {}), metrics) for scores in columns.values())]
        for name in names
    ]
    return grid(["", *columns], rows)


def _difference_table(by_gap: Mapping[str, Any], metric: str) -> str:
    def text(value: Mapping[str, float] | None) -> str:
        if value is None:
            return ""
        return f"{value['mean']:+.2f} [{value['low']:+.2f}, {value['high']:+.2f}]"

    columns = {
        f"{role}, gap {gap}": by_role[role]
        for gap, by_role in by_gap.items()
        for role in ROLES
        if by_role[role]
    }
    names = dict.fromkeys(name for scores in columns.values() for name in scores)
    rows = [
        [name, *(text(scores.get(name, {}).get(metric)) for scores in columns.values())]
        for name in names
    ]
    return grid(["", *columns], rows)


def _clip_table(result: Mapping[str, Any], protocol: str) -> str:
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
                cell(clip["means"][protocol][gap][role].get(method, {}), ["psnr"])
                for gap, role, method in columns
            ),
        ]
        for clip in result["clips"]
    ]
    heads = [f"{method}, {role} {gap}" for gap, role, method in columns]
    return grid(["clip", *heads], rows)


def _table(by_gap: Mapping[str, Any]) -> str:
    """Return a table with a row for each gap and method, and a column for each metric."""
    metrics = [m for m in _FORMATS if any(_has_metric(part, m) for part in by_gap.values())]
    rows = [
        [gap, name, *(cell(values, [metric]) for metric in metrics)]
        for gap, by_method in by_gap.items()
        for name, values in by_method.items()
    ]
    return grid(["gap", "", *(_LABELS[m] for m in metrics)], rows)


def grid(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table, its first column to the left and the others to the right."""
    lines = [heads, ["---", *["---:"] * (len(heads) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _has(by_gap: Mapping[str, Any], metric: str) -> bool:
    return any(
        _has_metric(scores, metric) for by_role in by_gap.values() for scores in by_role.values()
    )


def _has_metric(by_method: Mapping[str, Mapping[str, float]], metric: str) -> bool:
    return any(metric in values for values in by_method.values())
