"""A header is read by a shortcut only where Pillow would say the same."""

import struct
import zlib

import pytest
from PIL import Image, PngImagePlugin

from keras_ganvae.data.sources import folder
from keras_ganvae.data.sources.headers import plain_header

PNG_MODES = {"1": True, "L": True, "LA": True, "I;16": True, "RGB": False, "RGBA": False}


@pytest.mark.parametrize(("mode", "grey"), PNG_MODES.items(), ids=PNG_MODES.keys())
def test_png(tmp_path, mode, grey):
    path = tmp_path / "a.png"
    Image.new(mode, (7, 5)).save(path)
    assert plain_header(path) == folder._long_look(path) == ((7, 5), grey)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize(("mode", "grey"), [("L", True), ("RGB", False), ("CMYK", False)])
def test_jpeg(tmp_path, mode, grey, progressive):
    path = tmp_path / "a.jpg"
    Image.new(mode, (7, 5)).save(path, progressive=progressive, comment="hello")
    assert plain_header(path) == folder._long_look(path) == ((7, 5), grey)


def _turned(path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (7, 5)).save(path, exif=exif)


def _text(path):
    text = PngImagePlugin.PngInfo()
    text.add_itxt("XML:com.adobe.xmp", '<x tiff:Orientation="6"/>')
    Image.new("L", (7, 5)).save(path, pnginfo=text)


NOT_PLAIN = {
    "exif.png": _turned,
    "exif.jpg": _turned,
    "xmp.png": _text,
    "xmp.jpg": lambda path: Image.new("L", (7, 5)).save(path, xmp=b'<x tiff:Orientation="6"/>'),
    "palette.png": lambda path: Image.new("P", (7, 5)).save(path),
    "large.png": lambda path: Image.effect_noise((400, 400), 90).save(path),
    "a.gif": lambda path: Image.new("L", (7, 5)).save(path),
    "a.webp": lambda path: Image.new("L", (7, 5)).save(path),
    "empty.png": lambda path: path.write_bytes(b""),
    "no.jpg": lambda path: path.mkdir(),
}


@pytest.mark.parametrize(("name", "make"), NOT_PLAIN.items(), ids=NOT_PLAIN.keys())
def test_what_is_left_to_pillow(tmp_path, name, make):
    make(tmp_path / name)
    assert plain_header(tmp_path / name) is None


def test_orientation_is_heeded_whatever_says_it(tmp_path):
    for name in ("exif.png", "exif.jpg", "xmp.png", "xmp.jpg"):
        NOT_PLAIN[name](tmp_path / name)
        assert folder._look(tmp_path / name) == ((5, 7), True), name


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_cut_files(tmp_path, suffix):
    """At no length is a damaged file an error of another kind."""
    path = tmp_path / f"a.{suffix}"
    Image.new("RGB", (7, 5)).save(path)
    whole = path.read_bytes()
    for length in range(len(whole) - 1):
        path.write_bytes(whole[:length])
        assert plain_header(path) in (None, ((7, 5), False))


def test_a_png_of_a_pretended_size(tmp_path):
    def chunk(name, data):
        check = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + check

    path = tmp_path / "bomb.png"
    header = struct.pack(">IIBBBBB", 1 << 15, 1 << 15, 8, 0, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IEND", b""))
    assert plain_header(path) is None
