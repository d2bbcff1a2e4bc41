import tracemalloc

import numpy as np
import pytest
from PIL import Image

from keras_ganvae.plots import images


def _pixels(*shape):
    return np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)


def test_every_uint8_value_survives():
    values = np.arange(256, dtype=np.uint8)
    assert (images.to_uint8(values.astype(np.float32) / 255) == values).all()


def test_blocks_of_pixels_are_rounded_as_a_whole(monkeypatch):
    pixels = np.random.default_rng(0).random((7, 5, 3, 3), dtype=np.float32)
    whole = images.to_uint8(pixels)
    monkeypatch.setattr(images, "BLOCK", 10)
    np.testing.assert_array_equal(images.to_uint8(pixels), whole)
    pixels[-1, -1, -1, -1] = 1.5
    with pytest.raises(ValueError, match=r"not 0\.\d+ to 1\.5"):
        images.to_uint8(pixels)


def test_rounding_takes_little_more_memory_than_its_result():
    pixels = np.zeros((1000, 64, 64, 3), np.float32)
    tracemalloc.start()
    try:
        images.to_uint8(pixels)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < pixels.size + 20e6


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.4 / 255, 0), (0.6 / 255, 1), (254.6 / 255, 255), (1 + 5e-7, 255), (-5e-7, 0)],
)
def test_pixels_are_rounded_not_truncated(value, expected):
    assert images.to_uint8([value]).tolist() == [expected]


@pytest.mark.parametrize("value", [1.01, -0.01, np.nan, np.inf, -np.inf, 255])
def test_pixels_out_of_range_raise(value):
    with pytest.raises(ValueError, match="pixels must be in"):
        images.to_uint8(np.float32([0, 1, value]))


@pytest.mark.parametrize(
    ("count", "columns", "layout"),
    [(1, None, (1, 1)), (4, None, (2, 2)), (5, None, (2, 3)), (5, 2, (3, 2)), (3, 5, (1, 5))],
)
@pytest.mark.parametrize("depth", [1, 3])
def test_grid_layout(count, columns, layout, depth):
    pixels = _pixels(count, 4, 6, depth)
    picture = images.grid(pixels, columns)
    rows, columns = layout
    gap = images.GAP
    assert picture.shape == (rows * (4 + gap) - gap, columns * (6 + gap) - gap, depth)
    covered = np.zeros(picture.shape[:2], bool)
    for i, image in enumerate(pixels):
        y, x = (i // columns) * (4 + gap), (i % columns) * (6 + gap)
        cell = np.s_[y : y + 4, x : x + 6]
        np.testing.assert_array_equal(picture[cell], image)
        covered[cell] = True
    assert (picture[~covered] == images.GAP_GREY).all()


def test_enlarging_repeats_pixels():
    small = _pixels(70, 80, 1)
    large = images.enlarge(small)
    factor = large.shape[0] // 70
    assert factor > 1 and large.shape == (70 * factor, 80 * factor, 1)
    np.testing.assert_array_equal(large[::factor, ::factor], small)
    wide = _pixels(700, 900, 3)
    assert images.enlarge(wide).shape == wide.shape


@pytest.mark.parametrize("depth", [1, 3])
def test_a_caption_is_added_below(depth):
    picture = _pixels(20, 200, depth)
    long = images.captioned(picture, "words " * 30)
    short = images.captioned(picture, "one line")
    np.testing.assert_array_equal(long[:20], picture)
    assert long.shape[1:] == picture.shape[1:]
    assert len(long) > len(short) > 20
    assert short[20:].max() > 100, "the text is visible"


@pytest.mark.parametrize("depth", [1, 3])
def test_png_round_trip(tmp_path, depth):
    picture, path = _pixels(9, 7, depth), tmp_path / "new" / "picture.png"
    images.save_png(path, picture, "prior N(0, I), seed 3")
    np.testing.assert_array_equal(images.load_png(path), picture)
    with Image.open(path) as image:
        assert image.format == "PNG" and image.text["Description"] == "prior N(0, I), seed 3"
    assert [each.name for each in path.parent.iterdir()] == ["picture.png"]


def test_the_same_picture_gives_the_same_bytes(tmp_path):
    for name in ("a.png", "b.png"):
        images.save_png(tmp_path / name, _pixels(9, 7, 1), "the same")
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
