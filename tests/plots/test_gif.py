import numpy as np
import pytest
from PIL import Image

from keras_ganvae.plots import gif
from keras_ganvae.plots.images import save_png


def _pixels(*shape):
    return np.random.RandomState(0).randint(0, 256, shape).astype(np.uint8)


def test_gif_round_trip(tmp_path):
    pictures = [_pixels(12, 10, 1) // (i + 1) for i in range(4)]
    gif.save_gif(tmp_path / "new.gif", pictures, seconds=2)
    with Image.open(tmp_path / "new.gif") as image:
        assert (image.format, image.n_frames, image.info["loop"]) == ("GIF", 4, 0)
        durations = []
        for i, picture in enumerate(pictures):
            image.seek(i)
            np.testing.assert_array_equal(np.asarray(image.convert("L")), picture[..., 0])
            durations.append(image.info["duration"])
    assert durations == [500, 500, 500, 2000]


def test_a_colour_gif_keeps_its_colours(tmp_path):
    pictures = [np.full((6, 6, 3), value, np.uint8) for value in (0, 120, 240)]
    gif.save_gif(tmp_path / "colour.gif", pictures)
    with Image.open(tmp_path / "colour.gif") as image:
        assert (image.n_frames, image.size) == (3, (6, 6))
        image.seek(2)
        assert np.asarray(image.convert("RGB")).tolist() == pictures[2].tolist()


@pytest.mark.parametrize(("most", "expected"), [(60, range(1, 8)), (3, [1, 4, 7]), (1, [1])])
def test_frames_are_ordered_and_evenly_thinned(tmp_path, most, expected):
    for epoch in range(1, 8):
        save_png(tmp_path / f"samples-{epoch:05d}.png", np.full((2, 2, 1), epoch, np.uint8))
    (tmp_path / "loss.png").write_text("not a frame")
    found = gif.load_frames(tmp_path, most)
    assert [int(frame[0, 0, 0]) for frame in found] == list(expected)


def test_a_folder_without_pictures_has_no_frames(tmp_path):
    assert gif.load_frames(tmp_path) == []
