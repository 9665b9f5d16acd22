import numpy as np

from core.data.augmentation import MAX_ZOOM, View, covering_size, resize


def _coordinates(height, width):
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack([rows, columns], axis=-1)


def test_the_centred_view_is_the_largest_crop_of_the_aspect_ratio():
    seen = View.centered().apply(_coordinates(40, 100), (20, 40))
    assert seen.shape == (20, 40, 2)
    # 80 of the 100 columns are seen, from the 10th on; each output pixel averages 2 by 2.
    np.testing.assert_allclose(seen[0, 0], [0.5, 10.5])
    np.testing.assert_allclose(seen[-1, -1], [38.5, 88.5])


def test_a_view_is_applied_alike_to_images_of_different_kinds():
    coordinates = _coordinates(60, 90)
    for seed in range(10):
        view = View.draw(np.random.default_rng(seed))
        together = view.apply(coordinates, (24, 36))
        np.testing.assert_allclose(view.apply(coordinates[..., 0], (24, 36)), together[..., 0])
        nearest = view.apply(coordinates, (24, 36), nearest=True)
        assert np.abs(nearest - together).max() < 1.6  # within the averaged area


def test_mirroring_reverses_columns():
    straight = View(1.1, 0.3, 0.6, mirrored=False).apply(_coordinates(40, 70), (20, 30))
    mirrored = View(1.1, 0.3, 0.6, mirrored=True).apply(_coordinates(40, 70), (20, 30))
    np.testing.assert_array_equal(mirrored, straight[:, ::-1])


def test_draws_cover_their_range():
    views = [View.draw(np.random.default_rng(seed)) for seed in range(300)]
    zooms = [view.zoom for view in views]
    assert 1.0 <= min(zooms) < 1.02
    assert MAX_ZOOM - 0.02 < max(zooms) <= MAX_ZOOM
    assert 120 < sum(view.mirrored for view in views) < 180


def test_covering_size_shrinks_no_further_than_needed_and_never_grows():
    assert covering_size(1080, 1920, (288, 512), margin=1.0) == (288, 512)
    assert covering_size(480, 1000, (288, 512), margin=1.25) == (360, 750)
    assert covering_size(100, 100, (288, 512), margin=1.25) == (100, 100)


def test_shrinking_averages_areas():
    checker = np.indices((32, 32)).sum(0) % 2 * np.float32(1)
    np.testing.assert_allclose(resize(checker, (8, 8)), 0.5)
