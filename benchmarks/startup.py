"""How long programs take to start: ``python benchmarks/startup.py [--device cuda]``.

First ``--help`` of every program, each in a process of its own: seconds of the wall clock and the
most resident memory. Then ``splat_inference.py`` on a synthetic clip until its first frame is
rendered, by part, and what of that is imports, by package (a package's own modules, as
``python -X importtime`` has them; those that another one imports count there). The fastest of
``--rounds`` counts; with ``--baseline`` another checkout takes turns.
"""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clip import RASTERIZER, ROOT, make_clip, run

PROGRAMS = (
    *("splat_inference.py", "train.py", "train_decoder.py", "evaluate.py", "export.py"),
    *("render.py", "preprocess_depth_davis.py"),
)
_SHOWN_PACKAGES = 12


@dataclass(frozen=True)
class Options:
    """Time how programs start."""

    device: str = "auto"
    """Of the clip: cpu, cuda or auto."""
    rounds: int = 3
    """How often each is started; the fastest one counts."""
    baseline: Path | None = None
    """Another checkout of the project."""
    programs: bool = True
    """Time --help of all programs, too."""


def time_help(checkout: Path, program: str) -> tuple[float, float]:
    """Return seconds and MiB of a program's ``--help``."""
    start = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, program, "--help"],
        cwd=checkout,
        env=_environment(checkout),
        stdout=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, f"{program} --help ended with {child.returncode}"
    return time.perf_counter() - start, usage.ru_maxrss / 1024


def import_times(checkout: Path, clip: Path, device: str, folder: Path) -> dict[str, float]:
    """Return seconds of the imports of ``splat_inference.py`` by package."""
    arguments = ["--input_frames_path", clip, "--output_dir", folder / "out", "--device", device]
    log = subprocess.run(
        [sys.executable, "-X", "importtime", "splat_inference.py", *map(str, arguments)],
        cwd=checkout,
        env=_environment(checkout),
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    seconds: defaultdict[str, float] = defaultdict(float)
    for line in log.splitlines():
        fields = line.removeprefix("import time:").split("|")
        if len(fields) == 3 and fields[0].strip().isdecimal():
            seconds[fields[2].strip().split(".")[0]] += int(fields[0]) / 1e6
    return seconds


def _environment(checkout: Path) -> dict[str, str]:
    paths = [str(checkout), str(checkout / RASTERIZER), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def main(options: Options) -> None:
    """Measure and print."""
    checkouts = {"this version": ROOT}
    if options.baseline is not None:
        checkouts = {"baseline": options.baseline.resolve(), **checkouts}
    print(f"{datetime.date.today()}, {platform.machine()}, {os.cpu_count()} cores, {options}")
    if options.programs:
        _print_help(checkouts, options.rounds)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        clip = folder / "clip.mp4"
        make_clip(clip, 2, (720, 1280))
        starts: dict[str, dict[str, Any]] = {}
        for _ in range(options.rounds):
            for name, checkout in checkouts.items():
                measured = run(checkout, clip, folder, device=options.device)
                if name not in starts or measured["start"] < starts[name]["start"]:
                    starts[name] = measured
        packages = {
            name: import_times(checkout, clip, options.device, folder)
            for name, checkout in checkouts.items()
        }
    for name, measured in starts.items():
        print(f"\n{name}: {measured['start']:.2f} s until the first frame")
        print("\n| part | s |\n|---|---:|")
        parts = measured["start_up"]
        for part, seconds in sorted(parts.items(), key=lambda item: -item[1]):
            print(f"| {part} | {seconds:.2f} |")
        print(f"| the rest | {measured['start'] - sum(parts.values()):.2f} |")
        print("\n| imports | s |\n|---|---:|")
        ranked = sorted(packages[name].items(), key=lambda item: -item[1])
        for package, seconds in ranked[:_SHOWN_PACKAGES]:
            print(f"| {package} | {seconds:.2f} |")
        print(f"| others | {sum(seconds for _, seconds in ranked[_SHOWN_PACKAGES:]):.2f} |")


def _print_help(checkouts: dict[str, Path], rounds: int) -> None:
    print(f"\n| --help | {' | '.join(f'{name}, s | MiB' for name in checkouts)} |")
    print(f"|---|{'---:|---:|' * len(checkouts)}")
    for program in PROGRAMS:
        times = {
            name: min(time_help(checkout, program) for _ in range(rounds))
            for name, checkout in checkouts.items()
        }
        cells = (f"{seconds:.2f} | {mib:.0f}" for seconds, mib in times.values())
        print(f"| {program} | {' | '.join(cells)} |")


if __name__ == "__main__":
    from core.command_line import parse

    main(parse(Options))
