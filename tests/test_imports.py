"""What is not needed is not imported."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROGRAM = """
import runpy, sys
sys.argv = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as end:
    assert not end.code, end.code
print("imported:", *sorted(sys.modules))
"""


def _modules_after(*arguments: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return set(run.stdout.partition("imported: ")[2].split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("splat_inference.py",),
        ("evaluate.py",),
        ("export.py",),
        ("render.py",),
        ("train.py", "davis"),
        ("train_decoder.py", "combined"),
        ("preprocess_depth_davis.py",),
        ("core/viewer/__main__.py",),
        ("core/data/check/__main__.py",),
        ("core/data/miniature/__main__.py",),
        ("tools/push.py",),
    ],
)
def test_help_needs_no_pytorch(arguments):
    heavy = {"torch", "numpy", "cv2", "av", "matplotlib", "numba", "websockets"}
    assert not heavy & _modules_after(*arguments, "--help")


@pytest.mark.slow
def test_reconstruction_imports_nothing_of_training_and_compiling(tmp_path):
    clip = ROOT / "core/assets/demo_clip/clip.mp4"
    options = {"input_frames_path": clip, "output_dir": tmp_path, "max_frames": 2}
    arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    unused = {"wandb", "torchvision", "timm", "lpips", "accelerate", "torch._dynamo"}
    assert not unused & _modules_after("splat_inference.py", *arguments, "--orbit_frames", "0")
