"""Whatever a file holds, reading gives a scene that can be rendered, or one clear line."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.checks import UserError
from core.scene_file import open_scene
from core.scene_file.records import SIGNATURE, pack_record
from tests.scene_file.conftest import GRID, HEADER, MakeScene, Write

MUTATIONS = 300


@pytest.fixture
def data(make_scene: MakeScene, write: Write) -> bytes:
    """Write two shots; return the file's bytes."""
    return write(make_scene(3, turned="about the view axis"), make_scene(1)).read_bytes()


def records_of(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return types and payloads of all records."""
    found, at = [], len(SIGNATURE)
    while at < len(data):
        length, kind = struct.unpack_from("<I4s", data, at)
        found.append((kind, data[at + 8 : at + 8 + length]))
        at += 12 + length
    return found


def join(records: list[tuple[bytes, bytes]], *, index: bool = True) -> bytes:
    """Write records with right checksums; the index, if asked for, names them where they are."""
    parts, entries, at = [SIGNATURE], [], len(SIGNATURE)
    for kind, payload in records:
        if kind == b"INDX":
            continue
        if kind != b"HEAD":
            entries.append(struct.pack("<Q4s16s", at, kind, payload[:16]))
        parts.append(pack_record(kind, payload))
        at += len(parts[-1])
    if index:
        table = [struct.pack("<I", len(entries)), *entries, struct.pack("<Q", at)]
        parts.append(pack_record(b"INDX", b"".join(table)))
    return b"".join(parts)


def read(path: Path, data: bytes) -> int | None:
    """Read everything; return the number of intervals, None where the file is refused."""
    path.write_bytes(data)
    try:
        return read_all(path)
    except UserError as error:
        said = str(error)
    assert "\n" not in said
    assert path.name in said
    return None


def read_all(path: Path) -> int:
    """Read everything and look at it; return the number of intervals."""
    with open_scene(path) as scene:
        for number in range(len(scene.intervals)):
            gaussians = scene.read_interval(number)
            assert all(torch.isfinite(tensor).all() for tensor in gaussians.tensors())
            assert gaussians.opacities.min() >= 0
            assert gaussians.opacity_half_lives.min() >= 0
        return len(scene.intervals)


def mutated(data: bytes, random: np.random.Generator) -> bytes:
    """Change, remove, repeat or insert a few bytes."""
    at, count = int(random.integers(len(data))), int(random.integers(1, 9))
    new = random.bytes(count)
    kind = random.integers(5)
    if kind == 0:
        return data[:at] + new + data[at + count :]
    if kind == 1:
        return data[:at] + data[at + count :]
    if kind == 2:
        return data[:at] + new + data[at:]
    if kind == 3:
        return data[: at + count] + data[at:]
    return data[:at] + bytes([random.choice([0, 1, 127, 128, 255])]) + data[at + 1 :]


@pytest.mark.slow
def test_mutations_are_refused_or_read(data: bytes, tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    refused = sum(
        read(tmp_path / "x.ssplat", mutated(data, random)) is None for _ in range(MUTATIONS)
    )
    assert refused > MUTATIONS * 0.8, "checksums find nearly all of them"


@pytest.mark.slow
@pytest.mark.parametrize("index", [True, False])
def test_mutations_with_right_checksums_are_refused_or_read(
    data: bytes, tmp_path: Path, index: bool
) -> None:
    random = np.random.default_rng(1)
    records, outcomes = records_of(data), []
    for _ in range(MUTATIONS):
        number = int(random.integers(len(records)))
        kind, payload = records[number]
        # Half of them where the numbers are, before the images.
        head = int(random.choice([24, len(payload)]))
        changed = mutated(payload[:head], random) + payload[head:]
        broken = [*records[:number], (kind, changed), *records[number + 1 :]]
        outcomes.append(read(tmp_path / "x.ssplat", join(broken, index=index)))
    refused = outcomes.count(None)
    assert 50 < refused < MUTATIONS


def test_a_file_that_is_cut_is_read_up_to_its_last_whole_record(
    data: bytes, tmp_path: Path
) -> None:
    records, path = records_of(data), tmp_path / "x.ssplat"
    at, intervals = len(SIGNATURE), 0
    for kind, payload in records[:-1]:
        if kind != b"HEAD":
            for cut in (at, at + 5, at + 11 + len(payload)):
                assert read(path, data[:cut]) == intervals
        at += 12 + len(payload)
        intervals += kind == b"INTV"
    assert read(path, data[:at]) == intervals == 3
    assert read(path, data[:-1]) == 3
    for cut in (0, 5, len(SIGNATURE), len(SIGNATURE) + 30):
        assert read(path, data[:cut]) is None


Change = Callable[[bytes], bytes]


def patch(offset: int, layout: str, *values: float) -> Change:
    new = struct.pack(layout, *values)
    return lambda payload: payload[:offset] + new + payload[offset + len(new) :]


def image_of(size: tuple[int, int], mode: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture = np.random.default_rng(0).integers(0, 255, (*size, 4), np.uint8)
    Image.fromarray(picture).convert(mode).save(buffer, "webp", **options)
    return buffer.getvalue()


def claiming(height: int, width: int) -> bytes:
    """Return an image whose header announces another size."""
    image = image_of(GRID, "RGB", lossless=True)
    return image[:21] + struct.pack("<I", width - 1 | height - 1 << 14) + image[25:]


def with_image(image: bytes) -> Change:
    """Replace the first image of a key frame, that of the colours."""
    start = 16 + 1 + 3 + 3 * 8

    def change(payload: bytes) -> bytes:
        (length,) = struct.unpack_from("<I", payload, start)
        return (
            payload[:start] + struct.pack("<I", len(image)) + image + payload[start + 4 + length :]
        )

    return change


@pytest.mark.parametrize(
    ("kind", "change", "said"),
    [
        (b"HEAD", patch(0, "<H", 2), "version 2 of the format"),
        (b"HEAD", patch(2, "<H", 7), "fit mode 7"),
        (b"HEAD", patch(4, "<I", 1 << 20), "picture of a scene has sides"),
        (b"HEAD", patch(12, "<II", 4096, 4096), "at most 2097152"),
        (b"HEAD", patch(12, "<II", 1024, 1024), "6 by 10 pixels"),
        (b"HEAD", patch(28, "<f", float("nan")), "background"),
        (b"HEAD", patch(48, "<I", 1 << 30), "name"),
        (b"KEYF", patch(0, "<I", 5), "key frame 5 does not follow"),
        (b"KEYF", patch(4, "<I", 3), "does not follow"),
        (b"KEYF", patch(8, "<d", float("inf")), "does not follow"),
        (b"KEYF", patch(16, "<B", 3), "shorter|longer|missing"),
        (b"KEYF", patch(18, "<B", 9), "group 1 cannot be"),
        (b"KEYF", patch(19, "<B", 3), "group 1 cannot be"),
        (b"KEYF", patch(20, "<f", float("nan")), "impossible values"),
        (b"KEYF", patch(24, "<f", 1e30), "impossible values"),
        (b"KEYF", patch(24, "<f", -1.0), "impossible values"),
        (b"KEYF", patch(44, "<I", 1 << 31), "shorter"),
        (b"KEYF", with_image(image_of(GRID, "RGBA", lossless=True)), "with alpha"),
        (b"KEYF", with_image(claiming(16384, 16384)), "16384 by 16384"),
        (b"KEYF", with_image(image_of(GRID, "RGB", quality=90)), "not lossless"),
        (b"KEYF", with_image(image_of(GRID, "RGB", lossless=True)[:60]), "not lossless"),
        (b"KEYF", with_image(b""), "cut short"),
        (b"KEYF", lambda payload: payload + b"x", "longer"),
        (b"INTV", patch(4, "<II", 0, 7), "does not follow"),
        (b"INTV", patch(12, "<I", 4_000_000_000), "does not follow"),
        (b"INTV", patch(12, "<I", 2), "group 17 is missing"),
    ],
)
def test_what_breaks_the_format_is_named(
    data: bytes, tmp_path: Path, kind: bytes, change: Change, said: str
) -> None:
    records = records_of(data)
    number = next(i for i, record in enumerate(records) if record[0] == kind)
    records[number] = (kind, change(records[number][1]))
    path = tmp_path / "x.ssplat"
    path.write_bytes(join(records))
    with pytest.raises(UserError, match=said):
        read_all(path)


def test_a_record_above_the_maximum_is_refused(data: bytes, tmp_path: Path) -> None:
    at = len(data) // 2
    (tmp_path / "x.ssplat").write_bytes(data[:8] + struct.pack("<I", 1 << 28) + data[12:at])
    with pytest.raises(UserError, match="announces 268435456 bytes"):
        open_scene(tmp_path / "x.ssplat")


def test_an_index_that_does_not_fit_the_records_is_refused(data: bytes, tmp_path: Path) -> None:
    records = records_of(data)
    kind, payload = records[-1]
    for offset, layout, value in (
        (4, "<Q", 1 << 60),
        (4, "<Q", 8),
        (4 + 12 + 8, "<d", -3.0),
        (4 + 28 + 12 + 8, "<d", 0.5),
    ):
        broken = join(records[:-1], index=False) + pack_record(
            kind, patch(offset, layout, value)(payload)
        )
        assert read(tmp_path / "x.ssplat", broken) is None


def test_unknown_records_and_groups_are_skipped(data: bytes, tmp_path: Path) -> None:
    def with_group(payload: bytes) -> bytes:
        group = struct.pack("<BBBff", 200, 1, 0, 1.0, 0.0)
        return payload[:16] + bytes([payload[16] + 1]) + group + payload[17:]

    records = [(k, with_group(p) if k == b"KEYF" else p) for k, p in records_of(data)]
    more = [record for known in records for record in (known, (b"NOTE", b"for later"))]
    assert read(tmp_path / "x.ssplat", join(more)) == 3
    assert read(tmp_path / "x.ssplat", join(more, index=False)) == 3


def other_files(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "empty.ssplat").touch()
    yield tmp_path / "empty.ssplat"
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    yield tmp_path / "picture.png"
    yield tmp_path
    yield tmp_path / "nothing"


def test_other_files_are_one_line(tmp_path: Path) -> None:
    for path in other_files(tmp_path):
        with pytest.raises(UserError, match=rf"{path.name}( is no scene file|: )"):
            open_scene(path)


def test_constant_channels_do_not_need_images(tmp_path: Path) -> None:
    """A few bytes may stand for many Gaussians, but not for more than the maximum."""
    count = HEADER.num_gaussians
    groups = b"".join(
        struct.pack("<BBB", kind, channels, 0) + struct.pack("<ff", 0.5, 0.0) * channels
        for kind, channels in ((1, 3), (2, 2), (3, 1), (4, 3))
    )
    key_frame = struct.pack("<IId", 0, 0, 0.0) + bytes([4]) + groups
    interval = struct.pack("<IIII", 0, 0, 0, 0)
    records = [(b"HEAD", HEADER.pack()), (b"KEYF", key_frame), (b"INTV", interval)]
    path = tmp_path / "x.ssplat"
    path.write_bytes(join(records))
    assert path.stat().st_size < 400
    with open_scene(path) as scene:
        gaussians = scene.read_interval(0)
    assert gaussians.num_gaussians == count
    assert (gaussians.scales == 0.0625).all()
