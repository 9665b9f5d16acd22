import numpy as np

from core.data.sampling.order import draw_frames, normalized_times, sample_generator


def _draws(count, **arguments):
    rng = np.random.default_rng(0)
    return [draw_frames(rng, **arguments) for _ in range(count)]


def test_frames_begin_at_start_and_rise_within_reach():
    for frames in _draws(50, start=7, num_frames=4, reach=9, clip_length=100):
        assert frames[0] == 7
        assert (np.diff(frames) >= 1).all()
        assert frames[-1] <= 16


def test_every_offset_within_reach_is_drawn():
    drawn = np.unique(np.concatenate(_draws(200, start=0, num_frames=3, reach=6, clip_length=50)))
    assert drawn.tolist() == [0, 1, 2, 3, 4, 5, 6]


def test_a_reach_below_the_frame_count_gives_consecutive_frames():
    for frames in _draws(5, start=3, num_frames=5, reach=2, clip_length=50):
        assert frames.tolist() == [3, 4, 5, 6, 7]


def test_the_end_of_the_clip_cuts_the_reach():
    for frames in _draws(20, start=5, num_frames=3, reach=30, clip_length=9):
        assert frames[-1] <= 8


def test_one_frame_is_the_start():
    assert _draws(1, start=4, num_frames=1, reach=5, clip_length=5)[0].tolist() == [4]


def test_every_sample_and_every_attempt_draws_its_own_numbers():
    keys = [(0, 0), (0, 1), (1, 0), (0, 0, 1), (0, 0, 2), (0, 1, 1)]
    drawn = [sample_generator(*key).uniform() for key in keys]
    assert len(set(drawn)) == len(keys)
    assert drawn == [sample_generator(*key).uniform() for key in keys]


def test_times_run_from_zero_to_one():
    np.testing.assert_allclose(normalized_times(np.array([3.0, 4, 8])), [0, 0.2, 1])
    np.testing.assert_allclose(normalized_times(np.array([8.0, 4, 3])), [0, 0.8, 1])
    assert normalized_times(np.array([9.0])).tolist() == [0.0]
