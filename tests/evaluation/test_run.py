"""A whole evaluation: numbers against an independent computation, resuming, other methods."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from core.checks import UserError
from core.evaluation.methods.frame_folders import FolderMethod
from core.evaluation.processes import Processes
from core.evaluation.run import Evaluation, run
from core.io import read_image
from tests.evaluation.conftest import BuildEvaluation, area_resize
from tests.pixel_clips import MODEL_SIZE

pytestmark = pytest.mark.slow

ONE = Processes(0, 1)
REPORT = ("evaluation.json", "evaluation.md", "index.html", "psnr_by_time.png", "worst_1.png")


def result_of(evaluation: Evaluation) -> dict:
    run(evaluation, ONE)
    return json.loads((evaluation.output / "evaluation.json").read_bytes())


def test_numbers_are_those_of_the_saved_frames(evaluation: BuildEvaluation) -> None:
    result = result_of(evaluation(save=True))
    frames = Path(evaluation(save=True).output) / "frames"
    checked = 0
    for clip in result["clips"]:
        for pair in clip["gaps"]["3"]["pairs"]:
            for frame in pair["frames"]:
                place = f"{clip['name']}/gap_3/{frame['index']:05d}.png"
                truth = read_image(frames / "truth" / place)
                assert truth.shape[:2] == MODEL_SIZE
                for protocol, scores in frame["scores"].items():
                    for name, score in scores.items():
                        image = read_image(frames / name.replace(" ", "_") / place)
                        size = tuple(result["sizes"][protocol])
                        x, y = (
                            area_resize(picture.astype(np.float32) / 255, size)
                            for picture in (image, truth)
                        )
                        psnr = peak_signal_noise_ratio(y, x, data_range=1)
                        ssim = structural_similarity(
                            y.astype(np.float64),
                            x.astype(np.float64),
                            win_size=11,
                            gaussian_weights=True,
                            sigma=1.5,
                            use_sample_covariance=False,
                            data_range=1,
                            channel_axis=2,
                        )
                        assert score["psnr"] == pytest.approx(psnr, abs=1e-3)
                        assert score["ssim"] == pytest.approx(ssim, abs=1e-4)
                        checked += 1
    # Seven frames of a clip belong to pairs: three key frames and two times two between them.
    assert checked == 3 * 2 * (3 * 2 + 4 * 4)


def test_steadiness_is_that_of_the_saved_frames(evaluation: BuildEvaluation) -> None:
    settings = evaluation(save=True)
    result = result_of(settings)
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)

    def flows(name: str, pair: dict) -> np.ndarray:
        folder = settings.output / "frames" / name / "dog" / "gap_3"
        grey = [
            cv2.cvtColor(read_image(folder / f"{i:05d}.png"), cv2.COLOR_RGB2GRAY)
            for i in range(pair["first"], pair["second"] + 1)
        ]
        return np.stack([dis.calc(a, b, None) for a, b in pairwise(grey)])

    pairs = result["clips"][2]["gaps"]["3"]["pairs"]
    assert [pair["first"] for pair in pairs] == [0, 3]  # the second begins as the first one ends
    for pair in pairs:
        expected = np.abs(flows("streamsplat", pair) - flows("truth", pair)).sum(axis=-1).mean()
        assert pair["temporal"]["streamsplat"]["tof"] == pytest.approx(expected, rel=1e-5)


def test_means_are_over_frames_then_over_clips(evaluation: BuildEvaluation) -> None:
    result = result_of(evaluation())
    by_clip = [
        np.mean(
            [
                frame["scores"]["published"]["blend"]["ssim"]
                for pair in clip["gaps"]["3"]["pairs"]
                for frame in pair["frames"]
                if frame["role"] == "middle"
            ]
        )
        for clip in result["clips"]
    ]
    mean = result["summary"]["images"]["published"]["3"]["middle"]["blend"]["ssim"]
    assert mean == pytest.approx(np.mean(by_clip))


def test_masks_depth_and_data_are_noted(evaluation: BuildEvaluation) -> None:
    result = result_of(evaluation())
    scores = result["clips"][0]["gaps"]["3"]["pairs"][0]["frames"][1]["scores"]["native"]
    halves = [scores["blend"][f"psnr_{part}"] for part in ("moving", "still")]
    errors = 10 ** (-np.array([*halves, scores["blend"]["psnr"]]) / 10)
    assert errors[:2].mean() == pytest.approx(errors[2], rel=1e-4)
    depth = result["summary"]["depth"]["3"]["per_frame"]
    assert depth["row"]["abs_rel"] < 0.02  # depth is a function of the row
    assert depth["constant"]["abs_rel"] > 0.3
    assert len({clip["sha256"] for clip in result["clips"]}) == 3


def test_own_frames_as_another_method_get_the_same_numbers(evaluation: BuildEvaluation) -> None:
    first = evaluation(save=True)
    result_of(first)
    names = ("streamsplat", "flow")
    others = tuple(FolderMethod(f"{n} again", first.output / "frames" / n) for n in names)
    result = result_of(evaluation("second", others=others))
    for clip in result["clips"]:
        for pair in clip["gaps"]["3"]["pairs"]:
            for frame in pair["frames"]:
                for scores in frame["scores"].values():
                    for name in names:
                        assert scores.get(f"{name} again") == scores.get(name)
            for name in names:
                assert pair["temporal"][f"{name} again"] == pair["temporal"][name]


def test_copies_of_the_clip_at_its_own_size_are_perfect(
    evaluation: BuildEvaluation, clips_folder: Path, tmp_path: Path
) -> None:
    for clip in clips_folder.iterdir():
        shutil.copytree(clip / "JPEGImages", tmp_path / "copies" / clip.name / "gap_3")
    result = result_of(evaluation(others=(FolderMethod("copies", tmp_path / "copies"),)))
    for by_gap in result["summary"]["images"].values():
        for role in ("given", "middle"):
            assert by_gap["3"][role]["copies"]["psnr"] == 100


def test_a_missing_frame_of_another_method_is_named(
    evaluation: BuildEvaluation, tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    other = FolderMethod("theirs", tmp_path / "empty")
    with pytest.raises(UserError, match=r"--method theirs: .*boat/gap_3/00001\.png is missing"):
        run(evaluation(others=(other,)), ONE)


def test_an_interrupted_evaluation_goes_on_to_the_same_bytes(
    evaluation: BuildEvaluation, clips_folder: Path
) -> None:
    whole = evaluation("whole")
    run(whole, ONE)
    broken = clips_folder / "cat" / "JPEGImages" / "00004.png"
    data = broken.read_bytes()
    broken.write_bytes(data[:100])
    resumed = evaluation("resumed")
    with pytest.raises(UserError, match="00004"):
        run(resumed, ONE)
    finished = resumed.output / "clips" / "boat.json"
    stamp = finished.stat().st_mtime_ns
    broken.write_bytes(data)
    run(evaluation("resumed"), ONE)
    assert finished.stat().st_mtime_ns == stamp
    for name in REPORT:
        assert (resumed.output / name).read_bytes() == (whole.output / name).read_bytes()


def test_another_evaluation_in_the_same_folder_is_refused(evaluation: BuildEvaluation) -> None:
    run(evaluation(), ONE)
    with pytest.raises(UserError, match=r"another gaps \(\[3\] rather than \[2\]\)"):
        run(evaluation(gaps=(2,)), ONE)


def test_processes_share_the_clips(evaluation: BuildEvaluation) -> None:
    whole = evaluation("whole")
    run(whole, ONE)
    shared = evaluation("shared")
    run(shared, Processes(1, 2))
    assert [path.name for path in (shared.output / "clips").glob("*[!s].json")] == ["cat.json"]
    run(evaluation("shared"), Processes(0, 2))
    for name in REPORT:
        assert (shared.output / name).read_bytes() == (whole.output / name).read_bytes()


def test_a_gap_of_one_has_no_middle(evaluation: BuildEvaluation) -> None:
    result = result_of(evaluation(gaps=(1,)))
    by_role = result["summary"]["images"]["published"]["1"]
    assert by_role["middle"] == {}
    assert set(by_role["given"]) == {"streamsplat", "half resolution"}
    assert not (evaluation().output / "best.png").exists()


def test_clips_that_are_too_short_are_said(
    evaluation: BuildEvaluation, caplog: pytest.LogCaptureFixture
) -> None:
    run(evaluation(gaps=(3, 20)), ONE)
    assert "boat has 8 frames, too few for gaps of 20." in caplog.text
    with pytest.raises(UserError, match="no clip has a pair of key frames at a distance of 20"):
        run(evaluation("none", gaps=(20,)), ONE)
