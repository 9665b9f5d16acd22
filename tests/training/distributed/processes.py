"""What each of several processes gets that work together, run as a program by their test.

``runpy.run_path(processes.py, {"ARGUMENTS": {...}}, "__main__")`` is one of them; it writes what it
got to ``<folder>/<process>.json``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator

from core.checks import UserError
from core.training.distributed.agreement import (
    Agreement,
    StepFlags,
    in_each_process,
    on_main_process,
)
from core.training.distributed.launch import check_alike
from core.training.reporting.meters import Meters
from core.training.reporting.validation import validate


class Stage:
    """Gives each sample as it is, but for an error that grows with it."""

    num_frames = 1

    def reconstruct(self, _model: Any, batch: Any) -> Any:
        return batch


class Sample:
    """Frames of one value, and views that differ from them."""

    def __init__(self, error: float) -> None:
        self.frames = torch.full((1, 1, 3, 16, 16), 0.5)
        self.views = self
        self.rgb = self.frames + error

    def to(self, _device: torch.device) -> Sample:
        return self


def main(folder: Path, process: int, processes: int, port: int) -> None:
    """Join the others and write down what comes of each call."""
    os.environ.update(
        {"RANK": str(process), "LOCAL_RANK": str(process), "WORLD_SIZE": str(processes)},
        **{"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "ACCELERATE_USE_CPU": "true"},
    )
    torch.set_num_threads(1)
    accelerator = Accelerator(cpu=True)
    second = process == 1
    got: dict[str, Any] = {}

    agreement = Agreement(accelerator)
    got["nothing posted"] = agreement.poll()
    agreement.post(torch.tensor(False), StepFlags(signalled=second, out_of_time=not second))
    got["flags"] = asdict(agreement.poll() or StepFlags())
    got["polled again"] = agreement.poll()

    def fail_where(condition: bool) -> Callable[[], int]:
        def work() -> int:
            if condition:
                raise UserError("the disk is full")
            return process

        return work

    got["main"] = on_main_process(accelerator, fail_where(False))
    got["main fails"] = _message(lambda: on_main_process(accelerator, fail_where(True)))
    got["main breaks"] = _message(lambda: on_main_process(accelerator, lambda: 1 // 0))
    got["each"] = in_each_process(accelerator, fail_where(False), local_main_first=True)
    got["one fails"] = _message(lambda: in_each_process(accelerator, fail_where(second)))
    left = folder / "left"
    in_each_process(
        accelerator,
        lambda: left.read_text() if second else left.write_text("x"),
        local_main_first=True,
    )

    alike = {"run.seed": 1, "run.workspace": f"/{process}", "data.datasets.davis.path": process}
    got["alike"] = _message(lambda: check_alike(accelerator, alike, 16))
    other = {**alike, "run.seed": process}
    got["other options"] = _message(lambda: check_alike(accelerator, other, 16))
    got["other data"] = _message(lambda: check_alike(accelerator, alike, 40 if second else 16))

    meters = Meters()
    values = {"loss": torch.tensor(float(process))} if second else {}
    values["grad_norm"] = torch.tensor(2.0 + process)
    meters.add(values, skipped=torch.tensor(False))
    got["sums"] = meters.state(accelerator)
    resumed = Meters()
    resumed.restore(got["sums"], accelerator)
    got["means"] = resumed.read(accelerator)

    sets: dict[str, Any] = {"a": [Sample(0.01 * (1 + i)) for i in range(5)]}
    got["validation"] = validate(accelerator, Stage(), torch.nn.Identity(), sets)  # type: ignore[arg-type]
    (folder / f"{process}.json").write_text(json.dumps(got))


def _message(work: Callable[[], object]) -> str:
    try:
        work()
    except (UserError, ZeroDivisionError) as error:
        return f"{type(error).__name__}: {error}"
    return ""


if __name__ == "__main__":
    main(**globals()["ARGUMENTS"])
