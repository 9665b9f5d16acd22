"""An evaluation from its clips to its report."""

from __future__ import annotations

import platform
import resource
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from tqdm import tqdm

from core.checks import UserError
from core.evaluation.data.clips import Clip
from core.evaluation.measure import Measurement
from core.evaluation.processes import Processes
from core.evaluation.protocol import comparison_size
from core.evaluation.records import Records
from core.evaluation.report.writing import PAGE, write_report
from core.logging import get_logger

_FORMAT = 2
"""Changes whenever the numbers in records do."""
_logger = get_logger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """What is evaluated, and where it goes."""

    clips: Sequence[Clip]
    """All clips; processes share them."""
    measurement: Measurement
    """How each is measured."""
    settings: Mapping[str, Any]
    """All other things that the numbers depend on, for the report and for resuming."""
    command: str
    """The command line, without the output folder."""
    output: Path
    """Where everything is written."""


def run(evaluation: Evaluation, processes: Processes) -> None:
    """Measure the clips that are not finished, then write the report, in process 0.

    Raises:
        UserError: If the clips are too short, one cannot be read, or the folder holds another
            evaluation. Finished clips are kept, and the same command goes on.
    """
    started = time.time()
    measurement = evaluation.measurement
    clips = _long_enough(evaluation)
    settings = {
        "format": _FORMAT,
        "versions": _versions(),
        "network_size": list(measurement.network.network_size),
        "protocols": list(measurement.frames.protocols),
        "gaps": list(measurement.gaps),
        "max_pairs": measurement.max_pairs,
        "context": measurement.network.context,
        "methods": {other.name: str(other.folder) for other in measurement.others},
        "save_frames": measurement.frames_folder is not None,
        "clips": [clip.name for clip in clips],
        **evaluation.settings,
    }
    records = Records(evaluation.output, settings)
    with processes.failure_noted(evaluation.output):
        _measure_share(evaluation, records, processes.share(clips), quiet=processes.rank > 0)
        if processes.rank > 0:
            return
        names = [clip.name for clip in clips]
        processes.wait(records, names, started)
        records.remove_partial()
        found = [records.read(name) for name in names]
        result = {
            "command": evaluation.command,
            **settings,
            "sizes": {
                protocol: list(comparison_size(protocol, measurement.network.network_size))
                for protocol in measurement.frames.protocols
            },
        }
        write_report(evaluation.output, result, found, clips, measurement)
        _logger.info("%s", evaluation.output / PAGE)


def _long_enough(evaluation: Evaluation) -> list[Clip]:
    measurement = evaluation.measurement
    clips = [c for c in evaluation.clips if any(measurement.pairs(c, g) for g in measurement.gaps)]
    if not clips:
        raise UserError(
            f"no clip has a pair of key frames at a distance of {min(measurement.gaps)}; choose "
            "smaller --gaps or longer clips."
        )
    for clip in evaluation.clips:
        missing = [str(gap) for gap in measurement.gaps if not measurement.pairs(clip, gap)]
        if missing:
            _logger.warning(
                "%s has %d frames, too few for gaps of %s.",
                clip.name,
                clip.num_frames,
                ", ".join(missing),
            )
    return clips


def _measure_share(
    evaluation: Evaluation, records: Records, clips: Sequence[Clip], *, quiet: bool
) -> None:
    measurement = evaluation.measurement
    todo = [clip for clip in clips if not records.has(clip.name)]
    total = sum(len(measurement.pairs(c, gap)) for c in todo for gap in measurement.gaps)
    device = measurement.network.device
    with tqdm(total=total, unit="pair", disable=True if quiet else None) as progress:
        for clip in todo:
            progress.set_description(clip.name)
            if device.type == "cuda":
                torch.cuda.reset_peak_memory_stats(device)
            start = time.perf_counter()
            record, times = measurement.measure(clip, progress.update)
            times["total_seconds"] = time.perf_counter() - start
            times["peak_memory_mib"] = _peak_memory(device)
            times["device"] = _device_name(device)
            records.write(clip.name, record, times)


def _peak_memory(device: torch.device) -> dict[str, float]:
    """Return the most memory in use so far, by the process and on the GPU."""
    host = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    if device.type != "cuda":
        return {"host": host}
    return {"host": host, "gpu": torch.cuda.max_memory_allocated(device) / 2**20}


def _device_name(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    name = platform.processor() or platform.machine()
    return f"{name}, {threads} {'thread' if threads == 1 else 'threads'}"


def _versions() -> dict[str, str]:
    return {
        "streamsplat": metadata.version("streamsplat"),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }
