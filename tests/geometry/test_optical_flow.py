import numpy as np
import pytest
import torch

from core.geometry.optical_flow import agreement, dis_flow, warp
from tests.metrics.textures import texture


@pytest.mark.parametrize("shift", [(3, 0), (-2, 4)])
def test_a_shift_is_found_and_undone(shift):
    u, v = shift
    first = texture(64, 96)
    second = first.roll((v, u), dims=(1, 2))
    flow = dis_flow(first, second)
    inner = flow[12:-12, 12:-12]
    assert (inner - torch.tensor([float(u), float(v)])).norm(dim=-1).median() < 0.1
    # Backward warping of the second image by the flow gives the first one.
    back = warp(second[None] / 255, flow[None])[0]
    error = (back - first / 255)[:, 12:-12, 12:-12].abs().mean()
    assert error < 0.02


def test_warp_takes_pixels_from_where_the_displacement_leads():
    image = torch.arange(12.0).reshape(1, 1, 3, 4)
    displacements = torch.zeros(1, 3, 4, 2)
    displacements[..., 0] = 1.0
    expected = torch.tensor([[1, 2, 3, 3], [5, 6, 7, 7], [9, 10, 11, 11]])
    torch.testing.assert_close(warp(image, displacements)[0, 0], expected.float())
    displacements[..., 0], displacements[..., 1] = 0.5, 0.0
    torch.testing.assert_close(
        warp(image, displacements)[0, 0, 0, :3], torch.tensor([0.5, 1.5, 2.5])
    )


def test_flows_agree_where_the_way_back_leads_home():
    forward, backward = torch.zeros(6, 10, 2), torch.zeros(6, 10, 2)
    forward[..., 0] = 3.0
    backward[..., 0] = -3.0
    backward[:3, :, 0] = -1.5
    agrees = agreement(forward, backward).numpy()
    assert not agrees[:3].any()  # 1.5 pixels off
    np.testing.assert_array_equal(agrees[3:, :7], True)
    assert not agrees[:, 7:].any()  # they leave the image
