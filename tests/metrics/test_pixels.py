import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from keras_ganvae.metrics.pixels import grey_share, isolated_pixels, sharpness


def _blank(count=1, size=12, depth=1):
    return np.zeros((count, size, size, depth), np.float32)


def _edge(ramp, size=24):
    """From 0 to 1 over `ramp` steps along x."""
    profile = np.clip((np.arange(size) - 8) / ramp, 0, 1)
    return np.tile(profile.astype(np.float32), (size, 1))[None, :, :, None]


def _specks(count, ground, level):
    images = np.full((1, 24, 24, 1), ground, np.float32)
    spots = [(y, x) for y in range(0, 24, 3) for x in range(0, 24, 3)]
    for i in np.random.default_rng(0).permutation(len(spots))[:count]:
        images[0, spots[i][0], spots[i][1]] = level
    return images


@pytest.mark.parametrize("value", [0, 0.5, 1])
@pytest.mark.parametrize("measure", [sharpness, isolated_pixels])
def test_flat_images(measure, value):
    np.testing.assert_array_equal(measure(_blank(3) + np.float32(value)), [0, 0, 0])


@pytest.mark.parametrize("ramp", [1, 2, 4, 8])
def test_sharpness_is_the_slope_of_an_edge(ramp):
    np.testing.assert_allclose(sharpness(_edge(ramp)), 1 / ramp, rtol=1e-5)
    np.testing.assert_allclose(sharpness(_edge(ramp).swapaxes(1, 2)), 1 / ramp, rtol=1e-5)


def test_sharpness_does_not_count_ink():
    one, two = _blank(), _blank()
    one[0, :, 3] = 1
    two[0, :, 3] = two[0, :, 8] = 1
    assert sharpness(one) == sharpness(two) == 1


def test_a_checkerboard_is_as_sharp_as_can_be():
    board = np.indices((12, 12)).sum(axis=0) % 2
    found = sharpness(board[None, :, :, None].astype(np.float32))
    # sqrt(2) but in the last row and column, where one direction has no next pixel.
    expected = (121 * 2 + 22) / (121 * np.sqrt(2) + 22)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert found <= np.sqrt(2)


def test_blurring_lowers_sharpness_and_adds_grey(digits):
    pixels = digits / np.float32(255)
    blurred = [pixels] + [gaussian_filter(pixels, (0, s, s, 0)) for s in (0.5, 0.75, 1, 1.5)]
    sharp, grey = ([measure(each) for each in blurred] for measure in (sharpness, grey_share))
    assert (np.diff(sharp, axis=0) < 0).all(), "for each image and each step"
    assert (np.diff(np.mean(grey, axis=1)) > 0).all()


@pytest.mark.parametrize(("ground", "level"), [(0, 1), (1, 0), (0.4, 0.7), (0.4, 0.1)])
@pytest.mark.parametrize("count", [0, 1, 7, 64])
def test_every_speck_is_counted(ground, level, count):
    assert isolated_pixels(_specks(count, ground, level)).tolist() == [count]


def test_what_is_no_speck():
    images = _blank(4)
    images[0, 4, 4] = 0.19  # within the margin
    images[1, 4, 4:6] = 1  # two together
    images[2, 4, 4] = images[2, 5, 5] = 1  # neighbours across a corner
    images[3, 4, :] = 1  # a line
    assert isolated_pixels(images).tolist() == [0, 0, 0, 0]
    assert isolated_pixels(images, margin=0.1).tolist() == [1, 0, 0, 0]


def test_a_corner_may_be_a_speck():
    images = _blank()
    images[0, 0, 0] = images[0, -1, -1] = images[0, 0, 6] = 1
    assert isolated_pixels(images).tolist() == [3]


def test_drawn_digits_have_few_specks(digits):
    assert isolated_pixels(digits).mean() < 0.5
    noisy = digits.copy()
    noisy[:, 0, ::2] = 255
    assert (isolated_pixels(noisy) - isolated_pixels(digits)).mean() == pytest.approx(14, abs=1)


def test_grey_share():
    images = _blank(3)
    images[0, 0, :4, 0] = 0.05, 0.5, 0.95, 1
    images[1] = 0.5
    np.testing.assert_allclose(grey_share(images), [1 / 3, 1, 0])


@pytest.mark.parametrize("measure", [sharpness, isolated_pixels, grey_share])
def test_bytes_are_the_same_as_floats(measure, digits):
    np.testing.assert_allclose(measure(digits), measure(digits / np.float32(255)), rtol=1e-5)


@pytest.mark.parametrize("measure", [sharpness, isolated_pixels, grey_share])
def test_colours_are_averaged(measure, digits):
    colours = np.random.default_rng(0).random((8, 9, 9, 3), np.float32)
    np.testing.assert_allclose(
        measure(colours), measure(colours.mean(axis=-1, keepdims=True)), rtol=1e-5
    )
    np.testing.assert_allclose(measure(digits.repeat(3, axis=-1)), measure(digits), rtol=1e-5)
