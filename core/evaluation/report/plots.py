"""Plots: PSNR by gap, by time within the gap, and by the size of the motion."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from core.evaluation.measure import NETWORK
from core.evaluation.methods.baselines import BASELINES
from core.evaluation.records import Record
from core.evaluation.report.summary import mean_scores
from core.io import atomic_path

PLOTS = {
    "psnr_by_gap.png": "PSNR of the frames in between, by the distance of the key frames.",
    "psnr_by_time.png": "PSNR by time within the gap: 0 and 1 are the key frames.",
    "psnr_by_motion.png": "PSNR of the frames between two key frames, by the mean optical flow "
    "from one to the other; lines are means of fifths of the pairs.",
}
"""Files, and what they show."""
_COLORS = ("#d9822b", "#8a8f98", "#4c9f70", "#5b7fb5", "#a35fb0", "#c0504d", "#2aa1a8", "#8c6d31")
_GRID, _TEXT = "#8888884d", "#777777"
"""Greys that can be read on a light page as well as on a dark one: pictures are transparent."""
_BINS = 5


def write_plots(output: Path, result: Mapping[str, Any]) -> None:
    """Write the plots, at the size of the first protocol.

    Raises:
        UserError: If one cannot be written.
    """
    protocol = result["protocols"][0]
    methods = [
        name
        for name in (NETWORK, *BASELINES, *result["methods"])
        if any(name in part["middle"] for part in result["summary"]["images"][protocol].values())
    ]
    colors = {name: _COLORS[i % len(_COLORS)] for i, name in enumerate(methods)}
    by_gap, by_time, by_motion = (output / name for name in PLOTS)
    _plot_by_gap(by_gap, result["summary"]["images"][protocol], colors)
    _plot_by_time(by_time, result, protocol, colors)
    _plot_by_motion(by_motion, result["clips"], protocol, colors)


def _plot_by_gap(path: Path, by_gap: Mapping[str, Any], colors: Mapping[str, str]) -> None:
    figure, (axes,) = _figure(1)
    gaps = sorted((gap for gap in by_gap if by_gap[gap]["middle"]), key=int)
    for name, color in colors.items():
        places = [gap for gap in gaps if name in by_gap[gap]["middle"]]
        values = [by_gap[gap]["middle"][name]["psnr"] for gap in places]
        axes.plot([int(gap) for gap in places], values, color=color, marker="o", label=name)
    axes.set_xticks([int(gap) for gap in gaps])
    _finish(path, figure, axes, "gap, frames")


def _plot_by_time(
    path: Path, result: Mapping[str, Any], protocol: str, colors: Mapping[str, str]
) -> None:
    gaps = [str(gap) for gap in result["gaps"]]
    figure, panels = _figure(len(gaps))
    for axes, gap in zip(panels, gaps, strict=True):
        by_clip = [_by_time(record["gaps"][gap]["pairs"], protocol) for record in result["clips"]]
        times = sorted({time for clip in by_clip for time in clip})
        means = {
            time: mean_scores(clip[time] for clip in by_clip if time in clip) for time in times
        }
        for name, color in colors.items():
            places = [time for time in times if name in means[time]]
            values = [means[time][name]["psnr"] for time in places]
            axes.plot(places, values, color=color, marker="o", markersize=4, label=name)
        axes.set_title(f"gap {gap}", color=_TEXT, fontsize=10)
    _finish(path, figure, panels[0], "time within the gap")


def _by_time(pairs: Iterable[Record], protocol: str) -> dict[float, Any]:
    """Return mean scores of a clip by the rounded time within the gap."""
    found: dict[float, list[Any]] = {}
    for pair in pairs:
        for frame in pair["frames"]:
            found.setdefault(round(frame["time"], 3), []).append(frame["scores"][protocol])
    return {time: mean_scores(scores) for time, scores in found.items()}


def _plot_by_motion(
    path: Path, clips: Sequence[Record], protocol: str, colors: Mapping[str, str]
) -> None:
    figure, (axes,) = _figure(1)
    pairs = [pair for clip in clips for gap in clip["gaps"].values() for pair in gap["pairs"]]
    for name, color in colors.items():
        points = [
            (pair["motion_px"], fmean(values))
            for pair in pairs
            if (
                values := [
                    frame["scores"][protocol][name]["psnr"]
                    for frame in pair["frames"]
                    if frame["role"] == "middle" and name in frame["scores"][protocol]
                ]
            )
        ]
        points.sort()
        axes.scatter(*zip(*points, strict=True), color=color, s=6, alpha=0.35, linewidths=0)
        fifths = [part for part in np.array_split(np.array(points), _BINS) if len(part)]
        centers = np.array([part.mean(axis=0) for part in fifths])
        axes.plot(*centers.T, color=color, marker="o", markersize=4, label=name)
    if any(pair["motion_px"] > 0 for pair in pairs):
        axes.set_xscale("log")
    _finish(path, figure, axes, "mean optical flow between the key frames, px")


def _figure(panels: int) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=(9.6, 3.6), dpi=150, layout="constrained")
    figure.patch.set_alpha(0)
    grid = figure.subplots(1, panels, sharey=True, squeeze=False)
    for axes in grid[0]:
        axes.set_facecolor("none")
    return figure, list(grid[0])


def _finish(path: Path, figure: Figure, labelled: Axes, x_label: str) -> None:
    for axes in figure.axes:
        axes.set_xlabel(x_label, color=_TEXT)
        axes.tick_params(colors=_TEXT, which="both")
        axes.grid(color=_GRID, linewidth=0.6)
        axes.set_axisbelow(True)
        for name, spine in axes.spines.items():
            spine.set_visible(name in ("left", "bottom"))
            spine.set_color(_GRID)
    labelled.set_ylabel("PSNR (dB)", color=_TEXT)
    handles, labels = labelled.get_legend_handles_labels()
    figure.legend(
        handles, labels, frameon=False, labelcolor=_TEXT, loc="outside upper center", ncols=8
    )
    canvas = FigureCanvasAgg(figure)  # no display, no global state
    with atomic_path(path) as partial:
        canvas.print_png(str(partial))
