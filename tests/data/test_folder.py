import logging
import os
import socket

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from keras_ganvae.data import dataset, load
from keras_ganvae.errors import InputError


@pytest.fixture
def root(tmp_path):
    (tmp_path / "My faces").mkdir()
    return tmp_path / "My faces"


def _save(path, image=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    if image is None:
        image = Image.new("L", (8, 8), 50)
    image.save(path, **options)
    return path


def _everything(data):
    return np.concatenate([data.train.images, data.validation.images, data.test.images])


def _load_one(root, image, name="picture.png", image_size=None, **options):
    """The image after loading. There are three copies, one for each split."""
    for copy in "abc":
        _save(root / f"{copy}-{name}", image, **options)
    data = load(f"folder:{root}", image_size=image_size)
    assert (len(data.train), len(data.validation), len(data.test)) == (1, 1, 1)
    return data.train.images[0]


GREY = {
    "1": (Image.new("1", (8, 8), 1), 255),
    "L": (Image.new("L", (8, 8), 100), 100),
    "LA": (Image.new("LA", (8, 8), (100, 255)), 100),
    "LA, transparent": (Image.new("LA", (8, 8), (100, 0)), 255),
    "LA, half": (Image.new("LA", (8, 8), (0, 51)), 204),
    "I;16": (Image.fromarray(np.full((8, 8), 100 * 256 + 7, np.uint16)), 100),
    "P": (Image.new("L", (8, 8), 100).convert("P"), 100),
}


@pytest.mark.parametrize(("image", "value"), GREY.values(), ids=GREY.keys())
def test_grey_modes_give_one_channel(root, image, value):
    np.testing.assert_array_equal(_load_one(root, image), np.full((8, 8, 1), value))


COLOUR = {
    "RGB": (Image.new("RGB", (8, 8), (10, 20, 30)), (10, 20, 30)),
    "RGBA": (Image.new("RGBA", (8, 8), (10, 20, 30, 255)), (10, 20, 30)),
    "RGBA, transparent": (Image.new("RGBA", (8, 8), (10, 20, 30, 0)), (255, 255, 255)),
    "RGBA, half": (Image.new("RGBA", (8, 8), (0, 255, 0, 51)), (204, 255, 204)),
    "P": (Image.new("RGB", (8, 8), (255, 0, 51)).convert("P"), (255, 0, 51)),
}


@pytest.mark.parametrize(("image", "value"), COLOUR.values(), ids=COLOUR.keys())
def test_colour_modes_give_three_channels(root, image, value):
    np.testing.assert_array_equal(_load_one(root, image), np.full((8, 8, 3), value))


def test_a_transparent_palette_colour_is_white(root):
    image = Image.new("P", (8, 8), 1)
    image.putpalette([0, 0, 0, 200, 10, 10])
    loaded = _load_one(root, image, transparency=1)
    np.testing.assert_array_equal(loaded, np.full((8, 8, 3), 255))


def test_cmyk_photographs(root):
    loaded = _load_one(root, Image.new("CMYK", (16, 16), (255, 0, 0, 0)), "print.jpg", quality=100)
    np.testing.assert_allclose(loaded.reshape(-1, 3).mean(axis=0), (0, 255, 255), atol=3)


@pytest.mark.parametrize("suffix", ["png", "jpg", "JPEG", "bmp", "gif", "webp"])
@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_formats(root, suffix, mode):
    colour = 90 if mode == "L" else (90, 200, 30)
    loaded = _load_one(root, Image.new(mode, (16, 16), colour), f"picture.{suffix}")
    # Grey WebP does not exist: such files are colour.
    assert loaded.shape == (16, 16, 3 if mode == "RGB" or suffix == "webp" else 1)
    np.testing.assert_allclose(loaded.mean(axis=(0, 1)), colour, atol=4)


def test_the_first_frame_of_a_gif(root):
    first, second = Image.new("L", (8, 8), 10), Image.new("L", (8, 8), 240)
    loaded = _load_one(root, first, "moving.gif", save_all=True, append_images=[second])
    assert (loaded == 10).all()


def test_grey_and_colour_together_are_colour(root):
    for name in "abc":
        _save(root / f"{name}.png", Image.new("L", (8, 8), 100))
    _save(root / "d.png", Image.new("RGB", (8, 8), (1, 2, 3)))
    images = _everything(load(f"folder:{root}"))
    assert images.shape == (4, 8, 8, 3)
    assert sorted(images[:, 0, 0].tolist()) == [[1, 2, 3]] + 3 * [[100] * 3]


def test_photographs_are_rotated_upright(root):
    image = Image.new("L", (20, 10), 0)
    image.paste(255, (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate clockwise by 90 degrees
    loaded = _load_one(root, image, exif=exif)
    assert loaded.shape == (20, 10, 1)
    assert (loaded[:10] == 255).all() and (loaded[10:] == 0).all()


def test_one_size_is_kept_square_or_not(root, pixels):
    image = pixels(12, 20, 3)
    np.testing.assert_array_equal(_load_one(root, Image.fromarray(image)), image)


def test_the_central_square_is_kept(root):
    wide = np.zeros((10, 30), np.uint8)
    wide[:, 10:20] = 200
    loaded = _load_one(root, Image.fromarray(wide), image_size=10)
    np.testing.assert_array_equal(loaded, np.full((10, 10, 1), 200))


@pytest.mark.parametrize("name", ["board.png", "board.jpg"])
def test_shrinking_does_not_alias(root, name):
    board = (np.indices((256, 256)).sum(axis=0) % 2 * 255).astype(np.uint8)
    loaded = _load_one(root, Image.fromarray(board), name, image_size=32)
    inside = loaded[2:-2, 2:-2].astype(int)
    assert np.abs(inside - 127.5).max() < 6, "a fine chequerboard becomes an even grey"


def test_images_of_several_sizes_need_a_size(root):
    for side in (8, 9, 10, 11):
        _save(root / f"{side:02}.png", Image.new("L", (side, 8), side))
    with pytest.raises(InputError, match="08.png is 8x8, 09.png is 9x8.*`image_size=N`"):
        load(f"folder:{root}")
    images = _everything(load(f"folder:{root}", image_size=6))
    assert images.shape == (4, 6, 6, 1) and sorted(images[:, 0, 0, 0]) == [8, 9, 10, 11]


def test_name_spec_and_order(root):
    for number in range(30):
        _save(root / f"{number:03}.png", Image.new("L", (4, 4), number))
    data = load(f"folder:{root}")
    assert (data.name, data.spec) == ("folder-My-faces", f"folder:{root}")
    assert data.classes is None
    assert (len(data.train), len(data.validation), len(data.test)) == (25, 2, 3)
    for split in (data.train, data.validation, data.test):
        values = split.images[:, 0, 0, 0].tolist()
        assert values == sorted(values), "the order of the paths"
    assert sorted(_everything(data)[:, 0, 0, 0]) == list(range(30))


def test_a_relative_folder_gives_an_absolute_spec(root, monkeypatch):
    for name in "abc":
        _save(root / f"{name}.png")
    monkeypatch.chdir(root)
    data = load("folder:.")
    assert (data.name, data.spec) == ("folder-My-faces", f"folder:{root}")


def test_sub_folders_are_labels(root):
    for value, kind in ((10, "cat/kittens"), (20, "dog"), (30, "emu")):
        for number in range(10):
            _save(root / kind / f"{number}.png", Image.new("L", (4, 4), value))
    data = load(f"folder:{root}")
    assert data.classes == ("cat", "dog", "emu")
    for split in (data.train, data.validation, data.test):
        assert split.labels.dtype == np.int64
        assert ((split.labels + 1) * 10).tolist() == split.images[:, 0, 0, 0].tolist()
    few = load(f"folder:{root}", limit=3)
    assert few.train.labels.tolist() == [0, 1, 2], "a limit takes some of every class"


def test_one_image_outside_the_sub_folders_means_no_labels(root):
    for name in ("cat/a.png", "dog/b.png", "c.png"):
        _save(root / name)
    data = load(f"folder:{root}")
    assert data.classes is None and data.train.labels is None


def test_split_folders(root, caplog):
    for split, count in (("train", 6), ("validation", 2), ("test", 3)):
        for number in range(count):
            kind = "cat" if number % 2 else "dog"
            image = Image.new("L", (4, 4), 10 * count + number % 2)
            _save(root / split / kind / f"{number}.png", image)
    data = load(f"folder:{root}")
    assert data.classes == ("cat", "dog")
    for split, count in ((data.train, 6), (data.validation, 2), (data.test, 3)):
        assert len(split) == count
        assert (split.images[:, 0, 0, 0] == 10 * count + 1 - split.labels).all()
    assert not caplog.records


@pytest.mark.parametrize(
    ("folders", "sizes"),
    [(("train", "test"), (11, 1, 3)), (("train", "val"), (11, 3, 1)), (("train", "emu"), None)],
)
def test_which_folders_are_splits(root, folders, sizes):
    for folder, count in zip(folders, (12, 3), strict=True):
        for number in range(count):
            _save(root / folder / f"{number}.png")
    data = load(f"folder:{root}")
    if sizes:
        assert (len(data.train), len(data.validation), len(data.test)) == sizes
    assert data.classes == (None if sizes else ("emu", "train"))


def test_images_outside_the_split_folders_are_reported(root, caplog):
    for name in ("train/a.png", "train/b.png", "test/c.png", "cover.png"):
        _save(root / name)
    with caplog.at_level(logging.WARNING, "keras_ganvae"):
        assert len(_everything(load(f"folder:{root}"))) == 3
    assert f"1 images in {root} are outside test/, train/" in caplog.text


def test_two_validation_folders(root):
    for name in ("train/a.png", "validation/b.png", "val/c.png"):
        _save(root / name)
    with pytest.raises(InputError, match="both validation/ and val/"):
        load(f"folder:{root}")


def test_hidden_and_other_files_are_ignored(root):
    for name in ("a.png", "b.png", "c.png"):
        _save(root / "x" / name, Image.new("L", (4, 4), 7))
    for name in (".hidden.png", ".cache/d.png", "x/._a.png"):
        _save(root / name, Image.new("RGB", (5, 5)))
    (root / "notes.txt").write_text("not an image")
    data = load(f"folder:{root}")
    assert _everything(data).shape == (3, 4, 4, 1) and data.classes == ("x",)


def _png(path):
    _save(path, Image.effect_noise((64, 64), 50))


def _truncate(path):
    _png(path)
    path.write_bytes(path.read_bytes()[:600])


def _corrupt(path):
    _png(path)
    data = bytearray(path.read_bytes())
    data[300:400] = bytes(100)
    path.write_bytes(data)


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("not an image"),
        lambda path: _save(path, format="TIFF"),
        _truncate,
        _corrupt,
    ],
)
def test_an_unreadable_image_is_named(root, damage):
    for name in "acd":
        _png(root / f"{name}.png")
    damage(root / "b.png")
    with pytest.raises(InputError, match="b.png cannot be read; it is damaged") as failure:
        load(f"folder:{root}", image_size=8)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("side", [40, 60])  # above Pillow's limit, and above twice of it
def test_a_decompression_bomb_is_named(root, monkeypatch, side):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for name in ("a", "b", "bomb"):
        _save(root / f"{name}.png", Image.new("L", (side if name == "bomb" else 8, side)))
    with pytest.raises(InputError, match="bomb.png is too large"):
        load(f"folder:{root}", image_size=8)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nowhere", "There is no folder .*nowhere"),
        ("a file", "There is no folder .*a file"),
        ("empty", "There are no images in .*empty"),
    ],
)
def test_folders_without_images(tmp_path, name, message):
    (tmp_path / "a file").write_text("")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=message):
        load(f"folder:{tmp_path / name}")


def test_too_few_images(root):
    for name in "ab":
        _save(root / f"{name}.png")
    with pytest.raises(InputError, match="2 images are too few.*at least 3"):
        load(f"folder:{root}")


def _rotated_by_exif(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (7, 5)).save(path, exif=exif)


def _rotated_by_xmp_in_png(path):
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    Image.new("L", (7, 5)).save(path, pnginfo=text)


def _rotated_by_xmp(path):
    Image.new("L", (7, 5)).save(path, xmp=b'<x tiff:Orientation="6"/>')


ROTATED = [
    ("png", _rotated_by_exif),
    ("jpg", _rotated_by_exif),
    ("png", _rotated_by_xmp_in_png),
    ("jpg", _rotated_by_xmp),
]


@pytest.mark.parametrize(("suffix", "save"), ROTATED)
def test_the_orientation_is_found_wherever_it_is(root, suffix, save):
    for name in "abc":
        save(root / f"{name}.{suffix}")
    assert load(f"folder:{root}").image_shape == (7, 5, 1)


def test_an_orientation_behind_the_pixels(root):
    """PNG allows the EXIF chunk after the pixels."""
    for name in "abc":
        path = root / f"{name}.png"
        _rotated_by_exif(path)
        data = path.read_bytes()
        start = data.index(b"eXIf") - 4
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        pixels_end = data.index(b"IEND") - 4
        moved = data[:start] + data[end:pixels_end] + data[start:end] + data[pixels_end:]
        path.write_bytes(moved)
    assert load(f"folder:{root}").image_shape == (7, 5, 1)


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_a_file_truncated_anywhere_is_named(root, suffix):
    for name in "abc":
        _save(root / f"{name}.{suffix}", Image.new("RGB", (7, 5)))
    path = root / f"b.{suffix}"
    whole = path.read_bytes()
    for length in range(0, len(whole) // 2, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=f"b.{suffix} cannot be read"):
            load(f"folder:{root}")


def test_a_large_folder(root):
    """More files than one task reads the headers of, the last of which is in colour."""
    for number in range(600):
        mode = "RGB" if number == 599 else "L"
        _save(root / f"{number:03}.png", Image.new(mode, (2, 2)))
    assert load(f"folder:{root}").image_shape == (2, 2, 3)


def _pipe(path):
    os.mkfifo(path)


def _socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path.name)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="POSIX has pipes and sockets as files")
@pytest.mark.parametrize(
    "make",
    [
        _pipe,
        _socket,
        lambda path: path.symlink_to(path.name),
        lambda path: path.symlink_to("nowhere"),
    ],
    ids=["pipe", "socket", "loop", "dangling link"],
)
def test_what_is_no_file_is_named_and_not_opened(root, monkeypatch, make):
    for name in "abc":
        _save(root / f"{name}.png")
    monkeypatch.chdir(root)  # the path of a socket has at most 107 bytes
    make(root / "x.png")
    with pytest.raises(InputError, match="x.png cannot be read"):
        load(f"folder:{root}")


def test_links_to_files_are_images_and_links_to_folders_are_not_followed(root):
    for name in "abc":
        _save(root / "x" / f"{name}.png")
    (root / "x" / "d.png").symlink_to("a.png")
    (root / "x" / "folder.png").symlink_to(root)
    assert len(_everything(load(f"folder:{root}"))) == 4


@pytest.fixture
def nested(root, monkeypatch):
    """`nested(depth)`: three images below so many folders, removed step by step at the end."""
    depths = []

    def make(depth):
        monkeypatch.chdir(root)
        for _ in range(depth):
            os.mkdir("d")
            os.chdir("d")
            depths.append("d")
        for name in "abc":
            Image.new("L", (8, 8)).save(f"{name}.png")

    yield make
    os.chdir(root)
    for folder in depths:
        os.chdir(folder)
    for name in "abc":
        os.unlink(f"{name}.png")
    for folder in depths:
        os.chdir("..")
        os.rmdir(folder)


def test_images_below_a_thousand_folders(root, nested):
    nested(1500)  # more than Python's limit of recursion
    assert len(_everything(load(f"folder:{root}"))) == 3


def test_folders_nested_beyond_the_longest_path(root, nested):
    nested(3000)
    with pytest.raises(InputError, match="are nested too deeply"):
        load(f"folder:{root}")


def test_images_beyond_the_memory(root, monkeypatch):
    for name in "abc":
        _save(root / f"{name}.png")
    monkeypatch.setattr(dataset, "available_memory", lambda: 10_000)
    with pytest.raises(InputError, match="3 images .* take 12.3 kB, .*10 kB.* enough for 2;"):
        load(f"folder:{root}", image_size=64)
    assert load(f"folder:{root}", image_size=32).image_shape == (32, 32, 1)


@pytest.mark.parametrize("size", [0, 100_000, 10**400])
def test_image_sizes_that_no_model_has(root, size):
    for name in "abc":
        _save(root / f"{name}.png")
    with pytest.raises(InputError, match="`image_size` must be at"):
        load(f"folder:{root}", image_size=size)


@pytest.mark.skipif(os.name != "posix", reason="file names are bytes on POSIX only")
def test_names_that_are_no_utf_8(root):
    name = os.fsdecode(b"caf\xe9")
    for number in range(3):
        _save(root / name / f"{name}{number}.png")
    assert load(f"folder:{root}").classes == (name,)
