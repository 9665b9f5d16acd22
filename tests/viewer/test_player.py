"""The player in a real browser, beside the rasteriser."""

from __future__ import annotations

import base64
import io
import math
import re
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from core.geometry.cameras import Lens
from core.geometry.canonical import depth_from_inverse_depth
from core.geometry.fit import FitMode
from core.geometry.lift import lift
from core.geometry.motion import freeze_at
from core.geometry.surfaces import surface_slopes
from core.io.video import VideoWriter
from core.outputs.views.scene import SceneView
from core.rendering.perspective import render_perspective
from core.scene_file import open_scene
from core.streaming import StoredScene
from core.tracking import grid_points, track
from core.viewer import write_player
from tests.viewer.chromium import Chromium
from tests.viewer.conftest import WriteScene

pytestmark = pytest.mark.slow
LEAST_PSNR = 40.0


def show(browser: Chromium, scene: Path, video: Path | None = None) -> Path:
    """Open the page of a scene and wait for its first picture."""
    page = scene.with_suffix(".html")
    write_player(page, scene, video)
    browser.call("Page.navigate", url=page.as_uri())
    browser.wait_for("document.readyState === 'complete' && clock.textContent !== ''")
    return page


def seek(browser: Chromium, seconds: float) -> None:
    browser.run(f"time.value = {seconds}; time.dispatchEvent(new Event('input'))")
    browser.wait_for(f"clock.textContent === '{seconds:.3f} s'")


def select(browser: Chromium, mode: str) -> None:
    browser.run(f"document.querySelector('[value={mode}]').click()")


def seen(browser: Chromium) -> np.ndarray:
    # The mark of the focus lies over the picture. Two frames later what was drawn is on the screen.
    browser.run("document.activeElement.blur()")
    browser.run("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
    with Image.open(io.BytesIO(browser.picture("canvas"))) as image:
        return np.asarray(image.convert("RGB")) / 255


def press(browser: Chromium, key: str, times: int = 1) -> None:
    for _ in range(times):
        browser.call("Input.dispatchKeyEvent", type="keyDown", key=key)
        browser.call("Input.dispatchKeyEvent", type="keyUp", key=key)


def psnr(picture: np.ndarray, rendered: torch.Tensor) -> float:
    expected = rendered.clamp(0, 1).squeeze(0).permute(1, 2, 0).numpy()
    return -10 * math.log10(float(np.square(picture - expected).mean()))


@pytest.mark.parametrize(
    ("fit_mode", "frame_size"), [("stretch", (100, 100)), ("crop", (90, 90)), ("pad", (90, 120))]
)
def test_the_picture_at_the_input_camera_is_that_of_the_rasteriser(
    browser: Chromium, write_scene: WriteScene, fit_mode: FitMode, frame_size: tuple[int, int]
) -> None:
    scene = write_scene(fit_mode, frame_size, turned_in_picture=fit_mode == "crop")
    show(browser, scene)
    width, height = browser.run("[picture.width, picture.height]")
    with open_scene(scene) as reader:
        view, stored = SceneView(reader.header, size=(height, width)), StoredScene(reader)
        # Within an interval, in the fade after a key frame, at key frames, a shot of one key frame.
        for seconds in (0.0, 0.4, 1.0, 1.02, 1.5, 2.0, 3.0):
            seek(browser, seconds)
            expected = view.draw(*stored.at(seconds), 0.0)
            assert psnr(seen(browser), expected.rgb) > LEAST_PSNR, seconds
        select(browser, "depth")
        # The player interpolates 17 samples of the colour map.
        assert psnr(seen(browser), expected.depth_colors) > 35


@pytest.mark.parametrize("on_a_surface", [False, True])
def test_other_views_are_those_of_a_pinhole_camera(
    browser: Chromium, write_scene: WriteScene, on_a_surface: bool
) -> None:
    scene, turns = write_scene(on_a_surface=on_a_surface), 12 if on_a_surface else 3
    show(browser, scene)
    browser.run("picture.focus()")
    press(browser, "ArrowRight", turns)
    press(browser, "ArrowDown", 2)
    press(browser, "-", 1)
    browser.wait_for("!home.disabled")
    seek(browser, 0.4)
    yaw, pitch, distance = turns * 0.03, 2 * 0.03, 1.1
    width, height = browser.run("[picture.width, picture.height]")
    with open_scene(scene) as reader:
        gaussians = reader.read_interval(0)
        lens = Lens(60.0, reader.header.fit.aspect)
        inverse_depths = gaussians.means[0, : reader.header.num_gaussians, 1]
        valid = inverse_depths[(inverse_depths >= 0) & (inverse_depths <= 1)]
        focus = depth_from_inverse_depth(valid.sort().values[len(valid) // 2])
        background = torch.tensor(reader.header.background)
    right = torch.tensor([math.cos(yaw), 0, -math.sin(yaw)])
    forward = torch.tensor(
        [math.sin(yaw) * math.cos(pitch), math.sin(pitch), math.cos(yaw) * math.cos(pitch)]
    )
    pose = torch.eye(4)
    pose[:3, :3] = torch.stack([right, torch.linalg.cross(forward, right), forward])
    pose[:3, 3] = -pose[:3, :3] @ (torch.tensor([0, 0, focus]) - distance * focus * forward)
    still = freeze_at(gaussians, 0.4)
    slopes = surface_slopes(gaussians.means, reader.header.grid_size, lens)
    receding, facing = (
        render_perspective(
            scene,
            pose[None],
            lens,
            (height, width),
            background,
            model_size=reader.header.image_size,
        ).rgb[0]
        for scene in (lift(still, lens, slopes), lift(still, lens))
    )
    assert psnr(seen(browser), receding) > LEAST_PSNR
    if on_a_surface:
        assert psnr(seen(browser), facing) < LEAST_PSNR - 5


def test_controls_change_the_picture(browser: Chromium, write_scene: WriteScene) -> None:
    show(browser, write_scene())
    first = seen(browser)
    seek(browser, 0.5)
    assert np.abs(seen(browser) - first).max() > 0.1, "the slider"
    browser.run("time.focus()")
    press(browser, "ArrowRight")
    browser.wait_for("clock.textContent === '0.600 s'")
    seek(browser, 0.0)
    assert np.array_equal(seen(browser), first)
    for mode in ("depth", "motion"):
        select(browser, mode)
        assert np.abs(seen(browser) - first).max() > 0.1, mode
    press(browser, "1")
    assert np.array_equal(seen(browser), first), "the key of the first view"
    for kind, x in (("mousePressed", 200), ("mouseMoved", 300), ("mouseReleased", 300)):
        browser.call(
            "Input.dispatchMouseEvent",
            **{"type": kind, "x": x, "y": 200, "button": "left", "buttons": 1, "clickCount": 1},
        )
    browser.wait_for("!home.disabled")
    assert np.abs(seen(browser) - first).max() > 0.1, "dragging"
    browser.run("home.click()")
    browser.wait_for("home.disabled")
    assert np.array_equal(seen(browser), first), "the view of the camera again"
    browser.run("loop.click(); speed.value = 2; play.click()")
    browser.wait_for("play.dataset.state === 'paused' && clock.textContent === '3.000 s'")


def test_tracks_are_drawn_where_the_points_are(browser: Chromium, write_scene: WriteScene) -> None:
    scene = write_scene("pad", (90, 120))
    show(browser, scene)
    press(browser, "t")
    seek(browser, 0.75)
    with open_scene(scene) as reader:
        fit = reader.header.fit
        points = grid_points(fit.input_size, 17)
        stored = StoredScene(reader)
        moved = track([stored.interval(0)], points, 0.0, [0.5, 1.0], fit)
    middle = moved.points.mean(0)
    scale = browser.run("trails.width") / fit.input_size[1]
    inside = ((middle > 1) & (middle < torch.tensor([118.0, 88.0]))).all(1)
    # A disc is drawn, or a ring, whose middle is of no colour; at both is something around.
    drawn = [
        browser.run(
            f"[...trails.getContext('2d').getImageData({u} - 3, {v} - 3, 7, 7).data]"
            ".reduce((sum, value, i) => sum + (i % 4 === 3 ? value : 0), 0)"
        )
        for u, v in ((middle[inside] + 0.5) * scale).round().int().tolist()
    ]
    assert inside.sum() > 100
    assert min(drawn) > 3 * 255
    press(browser, "t")
    browser.wait_for("trails.hidden")


def test_the_input_is_shown_beside_the_scene_and_over_it(
    browser: Chromium, write_scene: WriteScene, tmp_path: Path
) -> None:
    video = tmp_path / "input.mp4"
    with VideoWriter(video, (90, 160), 10) as writer:
        for i in range(31):
            writer.write(np.full((90, 160, 3), (8 * i, 255 - 8 * i, 128), np.uint8))
    show(browser, write_scene(), video)

    def color_at(x: str, y: str) -> np.ndarray:
        x, y = browser.run(f"[Math.floor({x}), Math.floor({y})]")
        browser.run("new Promise(done => setTimeout(done, 100))")
        with Image.open(io.BytesIO(browser.picture())) as image:
            return np.asarray(image.convert("RGB"))[y, x].astype(float)

    def expect(color: Sequence[float] | np.ndarray) -> None:
        for _ in range(200):  # a frame is shown some time after it has been sought
            if np.abs(color_at(*middle) - color).max() <= 6:
                return
        np.testing.assert_allclose(color_at(*middle), color, atol=6)

    box = "video.getBoundingClientRect()"
    middle = (f"{box}.x + {box}.width / 2", f"{box}.y + {box}.height / 2")
    press(browser, "i")  # beside
    for seconds in (1.25, 0.5, 3.0):
        seek(browser, seconds)
        shown = 8 * math.floor(10 * seconds)
        expect([shown, 255 - shown, 128])
    assert browser.run(
        "((a, b) => a.bottom <= b.top || a.right <= b.left)"
        f"({box}, picture.getBoundingClientRect())"
    )
    press(browser, "i")  # over
    browser.run("fade.value = 0; fade.dispatchEvent(new Event('input'))")
    scene = color_at(*middle)
    browser.run("fade.value = 0.5; fade.dispatchEvent(new Event('input'))")
    expect((scene + np.array([240, 15, 128])) / 2)
    press(browser, "i")
    browser.wait_for("video.hidden")


def test_two_fingers_zoom_and_move(browser: Chromium, write_scene: WriteScene) -> None:
    show(browser, write_scene())
    first = seen(browser)

    def touch(kind: str, *places: tuple[int, int]) -> None:
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(places)]
        browser.call("Input.dispatchTouchEvent", type=kind, touchPoints=points)

    touch("touchStart", (180, 200), (240, 200))
    touch("touchMove", (120, 200), (300, 200))
    touch("touchEnd")
    browser.wait_for("!home.disabled")
    assert np.abs(seen(browser) - first).max() > 0.1, "zoomed"
    browser.run("home.click()")
    browser.wait_for("home.disabled")
    touch("touchStart", (180, 200), (240, 200))
    touch("touchMove", (220, 200), (280, 200))
    touch("touchEnd")
    browser.wait_for("!home.disabled")
    moved = seen(browser)
    # The middle depth goes with the fingers, 40 pixels; what is nearer or farther more or less.
    here, there = moved[:, 60:400], first[:, 20:360]
    assert np.abs(here - there).mean() < 0.7 * np.abs(here - first[:, 60:400]).mean()


def test_scrubbing_leaks_nothing(browser: Chromium, write_scene: WriteScene) -> None:
    browser.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="""window.alive = 0;
        for (const kind of ["Texture", "Buffer", "Framebuffer", "Program"]) {
          const gl = WebGL2RenderingContext.prototype;
          const [make, remove] = [gl["create" + kind], gl["delete" + kind]];
          gl["create" + kind] = function () { alive++; return make.call(this); };
          gl["delete" + kind] = function (it) { if (it) alive--; return remove.call(this, it); };
        }""",
    )
    show(browser, write_scene())

    def scrub(times: int) -> tuple[int, int]:
        for i in range(times):
            seek(browser, round(2 * (i * 0.618 % 1), 3))
        browser.call("HeapProfiler.collectGarbage")
        return browser.run("alive"), browser.call("Runtime.getHeapUsage")["usedSize"]

    objects, heap = scrub(20)
    later_objects, later_heap = scrub(200)
    assert later_objects == objects
    assert later_heap < heap + 200_000, "one picture's order of Gaussians has 7 kB"


def test_a_browser_that_alters_pixels_is_told_so(
    browser: Chromium, write_scene: WriteScene
) -> None:
    page = write_scene().with_suffix(".html")
    write_player(page, page.with_suffix(".ssplat"))
    # The browser's way to write pixels is taken out, so that others are read than were written.
    page.write_text(page.read_text().replace(".putImageData(", ".x=(()=>0)("))
    assert note(browser, page).startswith("This browser alters image data")


def note(browser: Chromium, page: Path) -> str:
    browser.call("Page.navigate", url=page.as_uri())
    browser.wait_for(
        "document.readyState === 'complete' && !/Decoding|Loading/.test(note.textContent)"
        " && (note.textContent || clock.textContent)"
    )
    return browser.run("note.textContent")


def test_what_is_missing_or_damaged_is_said_in_one_line(
    browser: Chromium, write_scene: WriteScene, tmp_path: Path
) -> None:
    scene = write_scene()
    page = show(browser, scene)
    text = page.read_text()
    data, start = scene.read_bytes(), text.index('id="scene">') + len('id="scene">')
    assert note(browser, page) == ""

    def cut(share: float) -> Path:
        page.write_text(text[: start + int(4 * len(data) / 3 * share)])
        return page

    def with_scene(content: bytes) -> Path:
        page.write_text(text[:start] + base64.b64encode(content).decode() + "</script>")
        return page

    tracks = text.index('id="tracks"')
    page.write_text(text[: tracks + 500])
    assert note(browser, page) == (
        "The page is cut short: the scene is whole, tracks or input frames are missing."
    )
    assert note(browser, cut(0.9)) == "The file is cut short: the scene ends at 2.00 s."
    assert note(browser, cut(0.01)) == "The file is cut short: nothing of the scene is left."
    assert note(browser, cut(0)) == "The page is cut short: it holds no scene."
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    assert re.fullmatch(
        r"The scene is damaged: the checksum of the record at byte \d+ is wrong\.",
        note(browser, with_scene(bytes(flipped))),
    )
    assert note(browser, with_scene(b"x" * 100)) == "This is no scene file."
    # An image of another size, behind a right checksum.
    at, kind = data.index(b"INTV") - 4, slice(4, 8)
    (length,) = struct.unpack_from("<I", data, at)
    record = bytearray(data[at : at + 8 + length])
    assert record[kind] == b"INTV"
    record[record.index(b"VP8L") + 9] ^= 1
    record += struct.pack("<I", zlib.crc32(record[4:]))
    broken = data[:at] + bytes(record) + data[at + len(record) :]
    assert note(browser, with_scene(broken)) == (
        "The scene is damaged: an image is not as it should be."
    )
