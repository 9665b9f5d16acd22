"""An HTML page that shows results in a browser, without a network."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from string import Template

from core.io import write_bytes

_TEMPLATE = Path(__file__).with_name("page.html")


@dataclass(frozen=True)
class Video:
    """A video beside the page."""

    file: str
    """Its name."""
    title: str
    """What it is, in a few words."""
    caption: str
    """One sentence on what can be seen."""


@dataclass(frozen=True)
class ScoreRow:
    """Scores of one kind of frames."""

    label: str
    """Which frames."""
    count: int
    """How many there are."""
    native: tuple[float, float]
    """PSNR in dB and SSIM at the model's size."""
    published: tuple[float, float]
    """The same at 256 by 256."""


@dataclass(frozen=True)
class Page:
    """All that the page says."""

    title: str
    """Name of the clip."""
    preview: str
    """Name of the picture that stands for the page where it is linked to."""
    player: str | None
    """Name of the page that plays the scene, shown first; None if there is none."""
    lead: Video
    """Shown over the whole width."""
    videos: list[Video]
    """Shown beside each other."""
    plot: str
    """Name of the plot's file, a picture that goes with light and dark."""
    scores: list[ScoreRow]
    """Average scores."""
    facts: list[tuple[str, str]]
    """What was done: labels and values."""
    ply: str
    """Name of the PLY file."""
    ply_note: str
    """What the PLY file holds."""
    scene: str
    """Name of the scene file."""
    scene_note: str
    """What the scene file holds."""


def write_page(path: Path, page: Page) -> None:
    """Write the page; it needs no network, and the files that it names beside it.

    Raises:
        UserError: If it cannot be written.
    """
    text = Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(page.title),
        preview=escape(page.preview),
        player="" if page.player is None else _player(page.player),
        lead=_figure(page.lead),
        videos="\n".join(_figure(video) for video in page.videos),
        plot=escape(page.plot),
        scores="\n".join(_score_row(row) for row in page.scores),
        facts="\n".join(
            f"<div><dt>{escape(label)}</dt><dd>{escape(value)}</dd></div>"
            for label, value in page.facts
        ),
        ply=escape(page.ply),
        ply_note=escape(page.ply_note),
        scene=escape(page.scene),
        scene_note=escape(page.scene_note),
    )
    write_bytes(path, text.encode(errors="backslashreplace"))


def _figure(video: Video) -> str:
    return (
        f'<figure><video src="{escape(video.file)}" controls autoplay loop muted playsinline '
        f'preload="auto"></video><figcaption><b>{escape(video.title)}</b> '
        f"{escape(video.caption)}</figcaption></figure>"
    )


def _player(file: str) -> str:
    return (
        f'<figure class="player"><iframe src="{escape(file)}" title="The scene"></iframe>'
        f'<figcaption><b>The scene</b> Play it, and turn it by dragging; <a href="{escape(file)}">'
        f"{escape(file)}</a> fills the window, and can be sent as it is.</figcaption></figure>"
    )


def _score_row(row: ScoreRow) -> str:
    values = "".join(
        f"<td>{psnr:.2f}</td><td>{ssim:.3f}</td>" for psnr, ssim in (row.native, row.published)
    )
    return f'<tr><th scope="row">{escape(row.label)}</th><td>{row.count}</td>{values}</tr>'
