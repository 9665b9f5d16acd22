import numpy as np
import torch

from core.training.pictures import color_panel, depth_panel, draw_sheet


def test_a_sheet_shows_every_pixel_of_every_panel():
    images = torch.rand(2, 3, 9, 160)
    panels = [color_panel(f"image {i}", image) for i, image in enumerate(images)]
    sheet = draw_sheet([panels, panels[:1]])
    shown = sheet[6 + 24 : 6 + 24 + 18, 6 : 6 + 320]  # enlarged twice
    np.testing.assert_array_equal(shown[::2, ::2], panels[0].image)
    label = sheet[6 : 6 + 24, 6 : 6 + 320]
    assert (label < 100).any()
    assert sheet.shape[:2] == (6 + 2 * (24 + 18 + 6), 6 + 2 * (320 + 6))


def test_near_is_warm_and_empty_is_white():
    depth = torch.linspace(0.2, 4.0, 32).repeat(8, 1)[None]
    alpha = torch.ones_like(depth)
    alpha[:, 0] = 0.0
    image = depth_panel("depth", depth * alpha, alpha).image.astype(int)
    near, far = image[4, 0], image[4, -1]
    assert near[0] > near[2]
    assert far[2] > far[0]
    assert (image[0] == 255).all()


def test_an_empty_depth_map_is_white():
    nothing = torch.zeros(1, 4, 4)
    assert (depth_panel("depth", nothing, nothing).image == 255).all()
