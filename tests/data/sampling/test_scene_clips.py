import numpy as np
import pytest
import torch

from core.data.procedural import ProceduralOptions, ProceduralSource
from core.data.sampling.scene_clips import MIN_SPAN, SceneClips, draw_times


@pytest.mark.parametrize("num_frames", [2, 3, 6])
def test_times_rise_within_the_scene_and_cover_a_stretch(num_frames):
    for seed in range(50):
        times = draw_times(np.random.default_rng(seed), num_frames)
        assert times.shape == (num_frames,)
        assert (np.diff(times) > 0.1 * MIN_SPAN / num_frames).all()
        assert 0 <= times[0] <= times[-1] <= 1 + 1e-6
        assert times[-1] - times[0] >= MIN_SPAN - 1e-6


def _clips(options, *, num_frames, seed):
    return SceneClips(ProceduralSource(options, seed=seed), num_frames=num_frames, seed=seed)


def test_a_sample_is_a_function_of_seed_and_index_whatever_its_batch():
    options = ProceduralOptions(height=32, width=48, max_objects=4)
    clips = _clips(options, num_frames=3, seed=1)
    alone, together = clips.batch([4]), clips.batch([9, 4])
    for one, other in zip(alone.tensors(), together.element(1).tensors(), strict=True):
        # Where the coverage is one half to the last bit, a pixel may change its layer.
        assert ((one.float() - other.float()).abs() > 1e-4).float().mean() < 2e-3
    other = _clips(options, num_frames=3, seed=2).batch([4])
    assert (other.frames - alone.frames).abs().mean() > 0.01


def test_evaluation_looks_at_even_times():
    options = ProceduralOptions(height=32, width=48, max_objects=4)
    batch = _clips(options, num_frames=5, seed=1).even_batch([0, 1])
    torch.testing.assert_close(batch.times, torch.linspace(0, 1, 5).expand(2, 5))
    assert batch.has_depth.all()
