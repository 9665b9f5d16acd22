"""Pages that show results in a browser, without a network."""

from core.viewer.page import Page, ScoreRow, Video, write_page

__all__ = ["Page", "ScoreRow", "Video", "write_page"]
