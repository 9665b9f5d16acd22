import numpy as np
import pytest
import torch

from core.data.sampling.stored_clips import StoredClips


def _clips(seed, *, depth=True):
    rng = np.random.default_rng(seed)
    depths = rng.integers(100, 65536, (1, 2, 4, 6)).astype(np.uint16) * np.uint16(depth)
    return StoredClips(
        frames=torch.from_numpy(rng.integers(0, 256, (1, 2, 4, 6, 3), np.uint8)),
        inverse_depths=torch.from_numpy(depths),
        masks=torch.from_numpy(rng.integers(0, 2, (1, 2, 4, 6), np.uint8)),
        times=torch.tensor([[0.0, 1.0]]),
        has_depth=torch.tensor([depth]),
        has_mask=torch.tensor([True]),
    )


def test_numbers_become_what_networks_expect():
    clips = StoredClips.cat([_clips(0), _clips(1, depth=False)])
    batch = clips.unpack("cpu")
    assert batch.frames.shape == (2, 2, 3, 4, 6)
    assert torch.equal((batch.frames[1, 0, 2] * 255).round().byte(), clips.frames[1, 0, ..., 2])
    depths = batch.inverse_depths[0, 1, 0]
    stored = clips.inverse_depths[0, 1].float()
    torch.testing.assert_close(
        depths, (stored - stored.min()) / (stored.max() - stored.min()), atol=1e-6, rtol=0
    )
    assert not batch.inverse_depths[1].any()
    assert torch.equal(batch.masks[:, :, 0], clips.masks.float())
    assert batch.motion.shape == (2, 2, 2, 2, 3)
    assert batch.has_depth.tolist() == [True, False]
    assert batch.motion_known.shape == (2, 2, 2, 3)
    assert not batch.motion_known.any()
    assert all(value.dtype in (torch.float32, torch.bool) for value in batch.tensors())


@pytest.mark.gpu
def test_a_device_gives_the_same_from_pinned_memory():
    clips = StoredClips.cat([_clips(0), _clips(1, depth=False)])
    batch = clips.map(torch.Tensor.pin_memory).unpack("cuda")
    expected = clips.unpack("cpu")
    torch.testing.assert_close(vars(batch.to("cpu")), vars(expected), atol=1e-6, rtol=0)
