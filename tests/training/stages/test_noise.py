import torch

from core.training.stages.noise import draw_step_noise


def _noise(step=3, process=0, **changes):
    arguments = {"batch_size": 4, "depth_drop": 0.5, "device": torch.device("cpu"), **changes}
    return draw_step_noise(7, step, process, **arguments)


def test_noise_and_what_networks_draw_are_functions_of_the_step():
    first, drawn = _noise(), torch.rand(5)
    torch.rand(13)  # whatever else was drawn in between
    second, redrawn = _noise(), torch.rand(5)
    assert torch.equal(first.background, second.background)
    assert torch.equal(first.depth_dropped, second.depth_dropped)
    assert torch.equal(drawn, redrawn)
    assert not torch.equal(_noise(step=4).background, first.background)
    assert not torch.equal(_noise(process=1).background, first.background)


def test_backgrounds_fill_the_colour_cube():
    colors = torch.stack([_noise(step=step).background for step in range(400)])
    assert colors.min() < 0.05
    assert colors.max() > 0.95
    torch.testing.assert_close(colors.mean(0), torch.full((3,), 0.5), atol=0.06, rtol=0)


def test_depth_is_dropped_as_often_as_asked():
    dropped = _noise(batch_size=4000, depth_drop=0.2).depth_dropped.float().mean().item()
    assert 0.17 < dropped < 0.23
    assert not _noise(depth_drop=0.0).depth_dropped.any()
