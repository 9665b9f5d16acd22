import numpy as np

from core.io.stills.sheets import Panel, color_inverse_depth, color_motion, draw_sheet


def test_a_sheet_shows_every_pixel_of_every_panel():
    images = np.random.default_rng(0).integers(0, 256, (2, 9, 160, 3), dtype=np.uint8)
    panels = [Panel(f"image {i}", image) for i, image in enumerate(images)]
    sheet = draw_sheet([panels, panels[:1]])
    shown = sheet[6 + 24 : 6 + 24 + 18, 6 : 6 + 320]  # enlarged twice
    np.testing.assert_array_equal(shown[::2, ::2], panels[0].image)
    label = sheet[6 : 6 + 24, 6 : 6 + 320]
    assert (label < 100).any()
    assert sheet.shape[:2] == (6 + 2 * (24 + 18 + 6), 6 + 2 * (320 + 6))


def test_panels_that_are_wide_enough_keep_their_size():
    image = np.zeros((9, 160, 3), np.uint8)
    assert draw_sheet([[Panel("", image)]], min_panel_width=100).shape[1] == 6 + 160 + 6


def test_near_is_lighter_than_far():
    colors = color_inverse_depth(np.linspace(0, 1, 12, dtype=np.float32)[None])
    assert (np.diff(colors.sum(axis=-1, dtype=int)) > 0).all()
    assert colors[0, 0, 2] > colors[0, 0, 1]  # the darkest is blue: channels are RGB
    assert colors[0, 6, 0] > colors[0, 6, 2]


def test_motion_is_hue_and_length_and_white_where_unknown():
    motion = np.zeros((2, 1, 4), np.float32)
    motion[:, 0] = [[2, 0, -1, 9], [0, 2, 0, 0]]
    image = color_motion(motion, np.array([[True, True, True, False]]))[0]
    right, up, left, unknown = image.astype(int)
    assert right.tolist() == [255, 0, 0]
    assert up.argmax() == 1
    assert 100 < left.max() < 140
    assert unknown.tolist() == [255, 255, 255]
