"""Whether the player's memory stays where it is: ``python -m benchmarks.player_soak PAGE``.

Plays a page of a scene in a headless Chromium, with tracks and the input frames over it where the
page has them, in a loop, for an hour by default. Every ten seconds the memory that belongs to the
browser's processes alone is read, and the heap of the page after a collection. What the page's
worker has done with is collected when the browser likes, tens of megabytes at once of a large
scene. The means of the last quarter may exceed those of the second one, when caches are full, by
less than 10 %. Exit status 1 if not, or if the page met an error.
"""

from __future__ import annotations

import datetime
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import tyro
from tqdm import tqdm

from core.checks import UserError, cli_errors
from core.command_line import parse
from tests.viewer.chromium import EXECUTABLE, Chromium

_READ_EVERY = 10.0
_MOST_GROWTH = 0.1
_PATIENCE_S = 600
"""Within which the browser answers, also on a machine with much else to do."""


@dataclass(frozen=True)
class Options:
    """Play a scene for long and watch the browser's memory."""

    page: tyro.conf.Positional[Path]
    """scene.html, as splat_inference.py and render.py write it."""
    minutes: float = 60.0
    """How long."""
    size: tuple[int, int] = (640, 540)
    """Width and height of the window, pixels."""

    def __post_init__(self) -> None:
        if not self.page.is_file():
            raise UserError(f"{self.page} is no file; name a scene.html.")
        if not self.minutes >= 2:
            raise UserError(f"--minutes is {self.minutes:g}; expected at least 2.")


def browser_bytes(browser: Chromium) -> int:
    """Return the memory that the browser and its children share with nobody."""
    total = 0
    main = psutil.Process(browser.pid)
    for process in (main, *main.children(recursive=True)):
        with suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().uss
    return total


def play(browser: Chromium, page: Path, *, extras: bool = True) -> None:
    """Open a page, play it in a loop, and count the pictures shown as ``window.shown``.

    Args:
        browser: Where.
        page: The page.
        extras: Whether to show tracks and the input frames, where the page has them.
    """
    browser.call("Page.navigate", url=page.resolve().as_uri())
    browser.wait_for("document.readyState === 'complete' && clock.textContent !== ''")
    if extras:
        browser.run(
            "for (const button of [tracked, document.querySelector('[value=over]')])"
            " if (button.checkVisibility()) button.click();"
        )
    browser.run(
        "window.shown = 0; new MutationObserver(() => shown++).observe(clock, {childList: true});"
        "play.click()"
    )


@cli_errors
def main() -> None:
    """Run from the command line."""
    options = parse(Options)
    if EXECUTABLE is None:
        raise UserError("needs chromium on the path.")
    readings: list[tuple[int, int]] = []
    with (
        tempfile.TemporaryDirectory() as profile,
        Chromium(Path(profile), options.size, patience=_PATIENCE_S) as browser,
    ):
        play(browser, options.page)
        count = round(60 * options.minutes / _READ_EVERY)
        begin = time.perf_counter()
        for i in tqdm(range(count), unit="reading", disable=None):
            time.sleep(max(0.0, begin + (i + 1) * _READ_EVERY - time.perf_counter()))
            browser.call("HeapProfiler.collectGarbage")
            heap = browser.call("Runtime.getHeapUsage")["usedSize"]
            readings.append((browser_bytes(browser), heap))
        seconds = time.perf_counter() - begin
        shown = browser.run("shown")
        errors = browser.errors
    print(
        f"{datetime.date.today()}; {options.page.name}, {options.minutes:g} minutes, "
        f"{shown} pictures, {shown / seconds:.1f} a second"
    )
    print("\n| quarter | all processes, MB | heap of the page, MB |\n|---|---:|---:|")
    quarters = [part.mean(0) / 1e6 for part in np.array_split(np.array(readings), 4)]
    for i, (whole, heap) in enumerate(quarters):
        print(f"| {i + 1} | {whole:.1f} | {heap:.2f} |")
    growth = quarters[3] / quarters[1] - 1
    print(f"\nfrom the second to the last: {100 * growth[0]:+.1f} %, {100 * growth[1]:+.1f} %")
    if errors:
        sys.exit("\n".join(errors))
    if growth.max() >= _MOST_GROWTH:
        sys.exit("the memory grows")


if __name__ == "__main__":
    main()
