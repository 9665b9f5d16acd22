import pytest
import torch
import torch.nn.functional as F
from einops import rearrange

from core.evaluation.data.clips import ClipFrame
from core.evaluation.data.pair import Pair
from core.evaluation.methods.baselines import blend, flow, half_resolution, repeat
from tests.metrics.textures import texture

SIZE = (64, 96)


def moving_pair(*, opens: bool = True, step: int = 2, times: tuple[float, ...] = ()) -> Pair:
    """Return five frames of a texture that moves to the left by ``step`` pixels a frame."""
    wide = rearrange(texture(SIZE[0], SIZE[1] + 40), "c h w -> h w c").numpy()
    frames = tuple(
        ClipFrame(i, wide[:, step * i : step * i + SIZE[1]].copy(), time)
        for i, time in enumerate(times or (0.0, 1.0, 2.0, 3.0, 4.0))
    )
    return Pair("clip", 4, frames, opens, SIZE, torch.device("cpu"))


def test_repeat_takes_the_nearer_key_frame():
    pair = moving_pair()
    images = repeat(pair)
    assert sorted(images) == [1, 2, 3]
    assert torch.equal(images[1], pair.truth[0])
    assert torch.equal(images[2], pair.truth[0])
    assert torch.equal(images[3], pair.truth[4])


def test_blend_goes_by_time_stamps():
    pair = moving_pair(times=(10.0, 11.0, 12.0, 17.0, 20.0))
    images = blend(pair)
    for place, share in ((1, 0.1), (2, 0.2), (3, 0.7)):
        expected = (1 - share) * pair.truth[0].double() + share * pair.truth[4].double()
        assert (images[place].double() - expected).abs().max() <= 0.51


def test_flow_follows_the_motion():
    pair = moving_pair()
    images = flow(pair)
    for place in (1, 2, 3):
        inner = (slice(None), slice(12, -12), slice(16, -16))
        error = (images[place].float() - pair.truth[place].float())[inner].abs().mean()
        blended = (blend(pair)[place].float() - pair.truth[place].float())[inner].abs().mean()
        assert error < 3
        assert error < 0.4 * blended


@pytest.mark.parametrize(("opens", "places"), [(True, [0, 4]), (False, [4])])
def test_half_resolution_shows_the_key_frames_that_are_scored(opens, places):
    pair = moving_pair(opens=opens)
    images = half_resolution(pair)
    assert list(images) == places
    halved = F.avg_pool2d(pair.truth[4:].double(), 2)
    grown = F.interpolate(halved, SIZE, mode="bicubic")[0]
    low, high = (getattr(halved, side)(dim=(2, 3)).reshape(3, 1, 1) for side in ("amin", "amax"))
    expected = torch.minimum(torch.maximum(grown, low), high)
    assert (images[4].double() - expected).abs().max() <= 0.51
