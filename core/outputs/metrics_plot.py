"""PSNR over the frames of a clip, as a picture."""

from __future__ import annotations

from pathlib import Path

from core.io import atomic_path
from core.outputs.sinks.metrics import ClipMetrics

_LINE, _KEY, _GRID = "#5b7fb5", "#d9822b", "#8888884d"
_TEXT = "#777777"
"""Grey that can be read on a light page as well as on a dark one: the picture is transparent."""


def plot_psnr(metrics: ClipMetrics, path: Path) -> None:
    """Draw PSNR at the model's size over the frame index, key frames marked, as a PNG.

    Raises:
        UserError: If the file cannot be written.
    """
    # Here, as it takes as long to import as seconds of a clip to reconstruct.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    figure = Figure(figsize=(9.6, 3.2), dpi=150, layout="constrained")
    canvas = FigureCanvasAgg(figure)  # no display, no global state
    figure.patch.set_alpha(0)
    axes = figure.add_subplot(facecolor="none")
    keys = [frame for frame in metrics.frames if frame.role == "given"]
    dense = len(metrics.frames) > 200
    axes.plot(
        [frame.index for frame in metrics.frames],
        [frame.native.psnr for frame in metrics.frames],
        color=_LINE,
        linewidth=1.0 if dense else 1.6,
        marker=None if dense else ".",
        label="in between",
        zorder=2,
    )
    axes.scatter(
        [frame.index for frame in keys],
        [frame.native.psnr for frame in keys],
        color=_KEY,
        s=6 if dense else 26,
        label="key frames",
        zorder=3,
    )
    axes.set_xlabel("frame", color=_TEXT)
    axes.set_ylabel("PSNR (dB)", color=_TEXT)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.tick_params(colors=_TEXT)
    axes.grid(color=_GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    for name, spine in axes.spines.items():
        spine.set_visible(name in ("left", "bottom"))
        spine.set_color(_GRID)
    axes.legend(frameon=False, labelcolor=_TEXT, ncols=2, loc="lower right", bbox_to_anchor=(1, 1))
    with atomic_path(path) as partial:
        canvas.print_png(str(partial))
