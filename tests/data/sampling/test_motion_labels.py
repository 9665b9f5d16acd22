"""Labels are the true motion where they say so, and nothing where frames have nothing in common."""

from __future__ import annotations

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from core.data.augmentation.augment import augment
from core.data.augmentation.options import AugmentationOptions
from core.data.datasets import open_dataset
from core.data.sampling.motion_labels import label_motion
from core.data.sampling.sequence_source import SequenceSource
from core.data.sampling.stored_clips import StoredClips

HEIGHT, WIDTH = 96, 160


def picture(seed: int) -> np.ndarray:
    """A smooth picture with a margin of 20 pixels."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0, 255, (18, 26, 3)).astype(np.float32)
    size = (WIDTH + 40, HEIGHT + 40)
    return cv2.resize(coarse, size, interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)


def view(image: np.ndarray, right: int, down: int) -> np.ndarray:
    return image[20 - down : 20 - down + HEIGHT, 20 - right : 20 - right + WIDTH]


def test_a_shift_is_found_and_what_leaves_the_frame_is_unknown() -> None:
    image = picture(0)
    motion, known = label_motion(view(image, 0, 0), view(image, 12, -6))
    assert motion.shape == (2, 2, HEIGHT // 2, WIDTH // 2)
    expected = np.array([12 * 2 / WIDTH, 6 * 2 / HEIGHT])  # z points upwards
    for direction, sign in ((0, 1.0), (1, -1.0)):
        found = motion[direction][:, known[direction]]
        error = np.abs(found - sign * expected[:, None]) * np.array([[WIDTH / 2], [HEIGHT / 2]])
        assert np.median(error) < 0.2, "pixels"
        assert known[direction, 10:-10, 10:-10].mean() > 0.9
    assert not known[0, :, -5:].any(), "leaves to the right"
    assert not known[0, :2].any(), "leaves at the top"
    assert not motion.transpose(1, 0, 2, 3)[:, ~known].any()


def test_frames_without_anything_in_common_have_few_labels() -> None:
    _, known = label_motion(view(picture(1), 0, 0), view(picture(2), 0, 0))
    assert known.mean() < 0.25


def test_labels_follow_reversal_and_augmentation(tmp_path) -> None:
    folder = tmp_path / "clips" / "one" / "JPEGImages"
    folder.mkdir(parents=True)
    image = picture(3)
    for i in range(6):
        frame = view(image, 3 * i, i)[..., ::-1]
        cv2.imwrite(str(folder / f"{i:05d}.png"), np.ascontiguousarray(frame))
    source = SequenceSource(
        open_dataset("frames", tmp_path / "clips", cache_folder=tmp_path / "cache"),
        (HEIGHT, WIDTH),
        num_frames=3,
        reach=5,
        seed=0,
        reverse=True,
        label_motion=True,
    )
    batch = StoredClips.cat([source.sample(i).clips for i in range(8)]).unpack("cpu")
    rightwards = batch.motion[:, 0, 0, 20:-20, 20:-20].mean((1, 2)) > 0
    assert {False, True} == set(rightwards.tolist()), "some are played backwards"
    options = AugmentationOptions(p=0.5, brightness=0, contrast=0, hue=0, saturation=0)
    changed = augment(batch, seed=0, positions=range(8), options=options)
    y, x = torch.meshgrid(
        (2 * torch.arange(HEIGHT // 2) + 1) / (HEIGHT // 2) - 1,
        (2 * torch.arange(WIDTH // 2) + 1) / (WIDTH // 2) - 1,
        indexing="ij",
    )
    for clips in (batch, changed):
        known = clips.motion_known[:, 0]
        assert 0.3 < known.float().mean() < 1.0
        grid = torch.stack([x + clips.motion[:, 0, 0], y - clips.motion[:, 0, 1]], dim=-1)
        first, last = (F.avg_pool2d(clips.frames[:, v], 2) for v in (0, -1))
        found = F.grid_sample(last, grid, align_corners=False, padding_mode="reflection")
        error = (found - first).abs().mean(dim=1)[known].mean()
        assert error < 0.25 * (last - first).abs().mean(dim=1)[known].mean()
