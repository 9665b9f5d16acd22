"""Behaves like a training program without a network: logs, saves, resumes from what it saved.

Its loss depends on the step, the norm of its gradients on the step that it resumed from. It starts
a process with a session of its own, as launchers do, which appends to a file until it ends.
"""

import argparse
import hashlib
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

CHATTER = "import sys, time\nwhile True: open(sys.argv[1], 'a').write('.'); time.sleep(0.01)"


def save(workspace: Path, step: int) -> None:
    """Write a checkpoint in the order in which training does."""
    partial = workspace / ".checkpoint_partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir()
    progress = {"step": step, "samples": step, "skipped_steps": 0, "skipped_in_a_row": 0}
    state = {"stage": "s", "config": {}, "options": {}, "progress": progress, "run_id": "r"}
    sums = ""
    for name in ("model.safetensors", "optimizer.safetensors", "state.json"):
        data = json.dumps({**state, "meters": {}, "format": 1}).encode()
        (partial / name).write_bytes(data)
        sums += f"{hashlib.sha256(data).hexdigest()}  {name}\n"
        time.sleep(0.01)
    (partial / "SHA256SUMS").write_text(sums)
    latest, previous = workspace / "checkpoint_latest", workspace / "checkpoint_previous"
    shutil.rmtree(previous, ignore_errors=True)
    if latest.exists():
        latest.rename(previous)
    partial.rename(latest)


def main() -> None:
    """Take steps."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--workspace", type=Path)
    parser.add_argument("--steps", type=int)
    parser.add_argument("--pace", type=float, default=0.01)
    parser.add_argument("--fail", action="store_true")
    options = parser.parse_args()
    if options.fail:
        sys.exit("no such thing")
    chatter = [sys.executable, "-c", CHATTER, str(options.workspace / "chatter")]
    child = subprocess.Popen(chatter, start_new_session=True)
    log, done = options.workspace / "log.jsonl", 0
    for name in ("checkpoint_latest", "checkpoint_previous"):
        path = options.workspace / name / "state.json"
        if path.exists() and not done:
            done = json.loads(path.read_text())["progress"]["step"]
    lines = log.read_text().splitlines(keepends=True) if log.exists() else []
    log.write_text("".join(lines[:done]))
    for step in range(done + 1, options.steps + 1):
        time.sleep(options.pace)
        line = {"step": step, "kind": "train", "loss": 1 / step, "grad_norm": 1.0 + done}
        with log.open("a") as file:
            file.write(json.dumps(line) + "\n")
        if step % 3 == 0:
            save(options.workspace, step)
    child.kill()


if __name__ == "__main__":
    main()
