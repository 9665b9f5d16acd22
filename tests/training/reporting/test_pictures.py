import numpy as np
import torch

from core.io.stills.sheets import Panel
from core.training.reporting.pictures import color_panel, depth_panel, shrink


def test_colors_are_rounded_to_bytes():
    panel = color_panel("image", torch.tensor([0.0, 0.5, 1.2])[:, None, None].expand(3, 4, 6))
    assert (panel.image == [0, 128, 255]).all()


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


def test_panels_shrink_to_means_and_never_grow():
    image = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    panel = Panel("noise", image)
    assert shrink(panel, 8) is panel
    small = shrink(panel, 4)
    assert small.label == "noise"
    means = image.reshape(3, 2, 4, 2, 3).mean((1, 3))
    np.testing.assert_allclose(small.image, means, atol=0.51)
