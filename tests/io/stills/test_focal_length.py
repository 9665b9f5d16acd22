"""Angles of view from metadata."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from core.io.frames import open_frames
from core.io.stills.focal_length import field_of_view

PHONE = 67.3
"""Degrees along the longer side of a picture of 4 by 3 by a lens of 26 mm on film."""


def _photograph(path: Path, focal_mm: float | None) -> None:
    exif = Image.Exif()
    if focal_mm is not None:
        exif.get_ifd(0x8769)[0xA405] = focal_mm
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(path, exif=exif)


def test_a_full_frame_lens_of_50_mm_sees_40_degrees_across() -> None:
    assert field_of_view(50, 36, 24) == pytest.approx(39.6, abs=0.1)
    assert field_of_view(50, 24, 36) == field_of_view(50, 36, 24)


@pytest.mark.parametrize(("focal_mm", "expected"), [(26, PHONE), (None, None), (0, None)])
def test_a_folder_has_the_angle_of_its_first_image(
    tmp_path: Path, focal_mm: float | None, expected: float | None
) -> None:
    _photograph(tmp_path / "0.jpg", focal_mm)
    _photograph(tmp_path / "1.jpg", 90)
    found = open_frames(tmp_path).field_of_view
    assert found == (expected and pytest.approx(expected, abs=0.1))


def test_an_image_that_cannot_be_read_has_no_angle(tmp_path: Path) -> None:
    (tmp_path / "0.jpg").write_bytes(b"no image")
    assert open_frames(tmp_path).field_of_view is None


@pytest.mark.parametrize(("noted", "expected"), [("26", PHONE), ("wide", None), (None, None)])
def test_a_video_has_the_angle_that_a_phone_notes(
    tmp_path: Path, noted: str | None, expected: float | None
) -> None:
    path = tmp_path / "clip.mov"
    with av.open(str(path), "w", options={"movflags": "use_metadata_tags"}) as container:
        if noted is not None:
            key = "com.apple.quicktime.camera.focal_length.35mm_equivalent"
            container.metadata[key] = noted
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 40, 30, "yuv420p"
        frame = av.VideoFrame.from_ndarray(np.zeros((30, 40, 3), np.uint8), format="rgb24")
        for packet in [*stream.encode(frame), *stream.encode()]:
            container.mux(packet)
    found = open_frames(path).field_of_view
    assert found == (expected and pytest.approx(expected, abs=0.1))
