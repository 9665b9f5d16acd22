import numpy as np

from core.data.datasets.resizing import covering_size, crop_center, resize


def _coordinates(height, width):
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.stack([rows, columns], axis=-1)


def test_the_centred_crop_is_the_largest_of_the_aspect_ratio():
    seen = crop_center(_coordinates(40, 100), (20, 40))
    assert seen.shape == (20, 40, 2)
    # 80 of the 100 columns are seen, from the 10th on; each output pixel averages 2 by 2.
    np.testing.assert_allclose(seen[0, 0], [0.5, 10.5])
    np.testing.assert_allclose(seen[-1, -1], [38.5, 88.5])


def test_covering_size_shrinks_no_further_than_needed_and_never_grows():
    assert covering_size(1080, 1920, (288, 512)) == (288, 512)
    assert covering_size(480, 1000, (288, 512)) == (288, 600)
    assert covering_size(700, 1000, (288, 512)) == (358, 512)
    assert covering_size(100, 100, (288, 512)) == (100, 100)


def test_shrinking_averages_areas():
    checker = np.indices((32, 32)).sum(0) % 2 * np.float32(1)
    np.testing.assert_allclose(resize(checker, (16, 16)), 0.5)
    np.testing.assert_allclose(resize(checker, (8, 8)), 0.5)


def test_masks_keep_their_values():
    mask = np.random.default_rng(0).integers(0, 2, (33, 57), np.uint8) * np.uint8(7)
    for size in ((12, 20), (80, 100)):
        assert set(np.unique(resize(mask, size, nearest=True))) == {0, 7}
