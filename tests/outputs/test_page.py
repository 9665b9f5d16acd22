from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

from core.outputs.page import Page, ScoreRow, Video, write_page

PAGE = Page(
    title="clip <b>&",
    preview="overview.png",
    player="scene.html",
    lead=Video("lead.mp4", "Lead", "One sentence."),
    videos=[Video("one.mp4", "One", "First."), Video("two.mp4", "Two", "Second.")],
    plot="plot.png",
    scores=[ScoreRow("given", 4, (31.236, 0.9123), (32.0, 0.95))],
    facts=[("Frames", "12"), ("Depth", "files in <x>")],
    ply="scene.ply",
    ply_note="5 Gaussians",
    scene="scene.ssplat",
    scene_note="7 seconds",
)


class Reader(HTMLParser):
    """Collects what a page refers to, and its text; checks that tags are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.references: list[str] = []
        self.text = ""
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.references += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in ("meta", "img", "br", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_says_and_shows_everything(tmp_path: Path) -> None:
    write_page(tmp_path / "index.html", PAGE)
    reader = Reader()
    reader.feed((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert reader.open == []
    videos = ["lead.mp4", "one.mp4", "two.mp4"]
    assert reader.references == [
        "scene.html",
        "scene.html",
        *videos,
        "plot.png",
        "scene.ssplat",
        "scene.ply",
    ]
    notes = ("5 Gaussians", "7 seconds")
    for text in ("clip <b>&", "One sentence.", "31.24", "0.912", "files in <x>", *notes):
        assert text in reader.text


def test_the_page_asks_nothing_of_a_network(tmp_path: Path) -> None:
    write_page(tmp_path / "index.html", PAGE)
    text = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text
    assert 'name="viewport"' in text
