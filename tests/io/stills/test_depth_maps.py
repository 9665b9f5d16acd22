from __future__ import annotations

import logging
import struct
import zipfile

import cv2
import numpy as np
import pytest
import torch

from core.checks import UserError
from core.io import DepthFolder, read_depth, write_depth_png16, write_png
from core.io.stills.depth_maps import check_orientation

_RAMP = np.linspace(0.25, 5, 6 * 8, dtype=np.float32).reshape(6, 8)


def _exr(channels: dict[bytes, np.ndarray], *, half: bool = False) -> bytes:
    """An uncompressed scan-line OpenEXR file, written by hand from the format's description."""
    h, w = next(iter(channels.values())).shape

    def attribute(name: bytes, kind: bytes, value: bytes) -> bytes:
        return name + b"\0" + kind + b"\0" + struct.pack("<i", len(value)) + value

    kind = 1 if half else 2
    names = sorted(channels)
    listed = b"".join(n + b"\0" + struct.pack("<iBBBBii", kind, 0, 0, 0, 0, 1, 1) for n in names)
    box = struct.pack("<4i", 0, 0, w - 1, h - 1)
    head = struct.pack("<ii", 20000630, 2)
    head += attribute(b"channels", b"chlist", listed + b"\0")
    head += attribute(b"compression", b"compression", b"\0")
    head += attribute(b"dataWindow", b"box2i", box) + attribute(b"displayWindow", b"box2i", box)
    head += attribute(b"lineOrder", b"lineOrder", b"\0")
    head += attribute(b"pixelAspectRatio", b"float", struct.pack("<f", 1))
    head += attribute(b"screenWindowCenter", b"v2f", struct.pack("<ff", 0, 0))
    head += attribute(b"screenWindowWidth", b"float", struct.pack("<f", 1)) + b"\0"
    rows = []
    for y in range(h):
        raw = b"".join(channels[n][y].astype("<f2" if half else "<f4").tobytes() for n in names)
        rows.append(struct.pack("<ii", y, len(raw)) + raw)
    table, at = b"", len(head) + 8 * h
    for row in rows:
        table += struct.pack("<Q", at)
        at += len(row)
    return head + table + b"".join(rows)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_is_scaled_by_its_bit_depth(tmp_path, dtype):
    top = np.iinfo(dtype).max
    values = np.array([[0, top], [top // 3, 1]], dtype)
    write_png(tmp_path / "d.png", values)
    depth = read_depth(tmp_path / "d.png")
    assert depth.dtype == np.float32
    np.testing.assert_allclose(depth, values / top, rtol=1e-6)


def test_sixteen_bit_png_keeps_a_map_to_half_a_step(tmp_path):
    values = torch.rand(7, 9, generator=torch.Generator().manual_seed(0))
    values[0, 0], values[0, 1] = 0, 1
    write_depth_png16(tmp_path / "d.png", values)
    assert cv2.imread(str(tmp_path / "d.png"), cv2.IMREAD_UNCHANGED).dtype == np.uint16
    assert np.abs(read_depth(tmp_path / "d.png") - values.numpy()).max() <= 0.5 / 65535 + 1e-7


def test_write_depth_refuses_what_is_not_normalised(tmp_path):
    for bad in (_RAMP, np.full((2, 2), np.nan), np.full((2, 2), -0.1), np.zeros((1, 2, 2))):
        with pytest.raises(ValueError, match="inverse depth has"):
            write_depth_png16(tmp_path / "d.png", bad)
    assert not list(tmp_path.iterdir())


def test_grey_saved_as_colour_is_read_and_colour_coding_refused(tmp_path):
    grey = np.arange(48, dtype=np.uint8).reshape(6, 8)
    write_png(tmp_path / "rgb.png", np.repeat(grey[..., None], 3, 2))
    np.testing.assert_allclose(read_depth(tmp_path / "rgb.png"), grey / 255, rtol=1e-6)
    write_png(tmp_path / "map.png", cv2.applyColorMap(grey, cv2.COLORMAP_TURBO))
    with pytest.raises(UserError, match="colour-coded"):
        read_depth(tmp_path / "map.png")


@pytest.mark.parametrize("shape", [(6, 8), (1, 6, 8), (6, 8, 1)])
@pytest.mark.parametrize("dtype", [np.float64, np.float16, np.int32])
def test_npy_of_one_map(tmp_path, shape, dtype):
    np.save(tmp_path / "d.npy", _RAMP.reshape(shape).astype(dtype))
    depth = read_depth(tmp_path / "d.npy")
    assert (depth.shape, depth.dtype) == ((6, 8), np.float32)
    np.testing.assert_array_equal(depth, _RAMP.astype(dtype).astype(np.float32))


def test_npy_that_is_no_map_is_refused_and_never_unpickled(tmp_path):
    class Bomb:
        def __reduce__(self):
            return (pytest.fail, ("the file was unpickled",))

    np.save(tmp_path / "object.npy", np.array([Bomb()], dtype=object))
    np.save(tmp_path / "stack.npy", np.zeros((3, 6, 8)))
    np.save(tmp_path / "text.npy", np.array([["a"]]))
    np.save(tmp_path / "none.npy", np.zeros((0, 4)))
    np.save(tmp_path / "half.npy", np.zeros((60, 80)))
    whole = (tmp_path / "half.npy").read_bytes()
    (tmp_path / "half.npy").write_bytes(whole[: len(whole) // 2])
    with zipfile.ZipFile(tmp_path / "archive.npy", "w"):
        pass
    for name in ("object", "stack", "text", "none", "half", "archive"):
        with pytest.raises(UserError, match=rf"{name}\.npy"):
            read_depth(tmp_path / f"{name}.npy")


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("names", [b"Y", b"Z", b"RGB"])
def test_exr(tmp_path, names, half):
    channels = {bytes([name]): _RAMP for name in names}
    (tmp_path / "d.exr").write_bytes(_exr(channels, half=half))
    expected = _RAMP.astype(np.float16) if half else _RAMP
    np.testing.assert_array_equal(read_depth(tmp_path / "d.exr"), expected.astype(np.float32))


def test_exr_that_cannot_be_used_is_refused(tmp_path):
    whole = _exr({b"Y": _RAMP})
    files = {
        "other.exr": _exr({b"velocity": _RAMP}),
        "color.exr": _exr({b"R": _RAMP, b"G": _RAMP * 2, b"B": _RAMP}),
        "cut.exr": whole[:100],
        "empty.exr": b"",
    }
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(UserError, match=name):
            read_depth(tmp_path / name)


def test_pixels_that_are_not_finite_become_far(tmp_path):
    values = _RAMP.copy()
    values[0, 1], values[2, 3], values[4, 5] = np.nan, np.inf, -np.inf
    np.save(tmp_path / "d.npy", values)
    depth = read_depth(tmp_path / "d.npy")
    assert depth[0, 1] == depth[2, 3] == depth[4, 5] == _RAMP.min()
    kept = np.isfinite(values)
    np.testing.assert_array_equal(depth[kept], values[kept])
    np.save(tmp_path / "none.npy", np.full((3, 4), np.nan))
    np.testing.assert_array_equal(read_depth(tmp_path / "none.npy"), np.zeros((3, 4)))


def test_other_files_are_no_depth_maps(tmp_path):
    with pytest.raises(UserError, match=r"\.npy, \.exr, \.png"):
        read_depth(tmp_path / "d.mp4")
    with pytest.raises(UserError, match="cannot read"):
        read_depth(tmp_path / "d.npy")


def _maps(folder, names):
    for value, name in enumerate(names):
        np.save(folder / f"{name}.npy", np.full((2, 3), value, np.float32))


@pytest.mark.parametrize("suffix", ["", "_pred"])
def test_maps_are_found_by_the_frames_names(tmp_path, suffix):
    _maps(tmp_path, [f"{i:05d}{suffix}" for i in range(6)])
    folder = DepthFolder(tmp_path, ["00001", "00003", "00005"])
    assert len(folder) == 3
    assert [folder.read(i)[0, 0] for i in range(3)] == [1, 3, 5]


def test_maps_of_other_names_go_by_natural_order_when_the_numbers_agree(tmp_path):
    _maps(tmp_path, [f"depth_{i}" for i in range(12)])
    folder = DepthFolder(tmp_path, [f"{i:05d}" for i in range(12)])
    assert [folder.read(i)[0, 0] for i in range(12)] == list(range(12))


def test_too_few_maps_are_counted_and_the_first_missing_is_named(tmp_path):
    _maps(tmp_path, ["00000", "00001", "00003"])
    with pytest.raises(UserError, match=r"3 depth maps for 4 frames.*first missing is 00002\."):
        DepthFolder(tmp_path, ["00000", "00001", "00002", "00003"])


def test_a_video_that_outlasts_its_maps_is_noticed_there(tmp_path):
    _maps(tmp_path, ["frame1", "frame2", "frame10"])
    folder = DepthFolder(tmp_path)
    assert [folder.read(i)[0, 0] for i in range(3)] == [0, 1, 2]
    with pytest.raises(UserError, match=r"3 depth maps.*frame 3 .*first without one"):
        folder.read(3)


def test_of_several_files_for_a_frame_the_most_precise_is_taken(tmp_path):
    write_png(tmp_path / "00000.png", np.zeros((2, 3), np.uint8))
    _maps(tmp_path, ["00000"])
    assert DepthFolder(tmp_path, ["00000"]).file(0).suffix == ".npy"
    assert len(DepthFolder(tmp_path)) == 1


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(UserError, match="holds no depth maps"):
        DepthFolder(tmp_path)


def test_numbers_that_cannot_be_averaged_are_far(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[1, 2.5e38], [-3e38, 3]], np.float32))
    np.testing.assert_array_equal(read_depth(tmp_path / "a.npy"), [[1, 1], [1, 3]])


def test_numbers_beyond_float32_are_far_and_no_warning(tmp_path, recwarn):
    np.save(tmp_path / "a.npy", np.array([[1.0, 2.0], [3.0, 1e300]]))
    np.testing.assert_array_equal(read_depth(tmp_path / "a.npy"), [[1, 2], [3, 1]])
    assert not recwarn.list


def test_maps_that_are_left_over_are_told(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr(logging.getLogger("streamsplat"), "propagate", True)
    for i in range(9):
        write_png(tmp_path / f"{i:05d}.png", np.zeros((4, 6), np.uint8))
    for names in (None, [f"{i:05d}" for i in range(4)]):
        folder = DepthFolder(tmp_path, names)
        caplog.clear()
        folder.check_end(4)
        assert "holds 9 depth maps, but the input 4 frames: 5 belong to none" in caplog.text
    caplog.clear()
    DepthFolder(tmp_path).check_end(9)
    assert not caplog.text


def test_a_map_on_its_side_is_refused():
    with pytest.raises(UserError, match=r"0\.png is 72 by 128 pixels and its frame 128 by 72: it"):
        check_orientation((128, 72), (72, 128), "0.png")
    for size in ((72, 128), (518, 518), (518, 924), (128, 127)):
        check_orientation(size, (72, 128), "0.png")


@pytest.mark.parametrize(
    "header",
    [
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000000), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 2), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (4000, 4000), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 5), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (True, 3), }",
        b"{'descr': '<f4\0', 'fortran_order': False, 'shape': (4, 6), }",
        b"{'descr': '<Q9', 'fortran_order': False, 'shape': (4, 6), }",
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (4, 6L), ",
        b"(" * 9000,
        b"  {\n 1: 2\n   }\n3",
        b"{'descr': '<f4', 'shape': (1," + b"-" * 8000 + b"1)}",
    ],
)
def test_whatever_an_npy_header_says_is_one_message(tmp_path, header):
    path = tmp_path / "a.npy"
    path.write_bytes(b"\x93NUMPY\x01\0" + len(header).to_bytes(2, "little") + header + bytes(96))
    with pytest.raises(UserError, match=r"a\.npy"):
        read_depth(path)


@pytest.mark.parametrize("suffix", [".tiff", ".hdr"])
def test_floating_point_pictures_named_png_are_refused(tmp_path, suffix):
    data = cv2.imencode(suffix, np.ones((4, 6, 3), np.float32))[1].tobytes()
    (tmp_path / "a.png").write_bytes(data)
    with pytest.raises(UserError, match=r"a\.png"):
        read_depth(tmp_path / "a.png")
