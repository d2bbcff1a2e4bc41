"""The headers of plain PNG files, read without a decoder.

Pillow decodes a whole PNG before it can say that no chunk behind the pixels turns the
image. A folder of a few hundred thousand small files is looked through in seconds if that
is found out from the chunks' names.
"""

import struct

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_MOST = 1 << 16  # bytes; longer files are left to Pillow
_CHUNK = struct.Struct(">I4s")
_HEADER = struct.Struct(">IIBB")
# Those that change neither size nor orientation nor whether the image is grey.
_HARMLESS = {b"IDAT", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"pHYs", b"tIME", b"bKGD", b"sBIT"}
# (bit depth, colour type): is it grey? Others (palettes, 16 bits with alpha) are Pillow's.
_GREY = {(1, 0): True, (2, 0): True, (4, 0): True, (8, 0): True, (16, 0): True, (8, 4): True}
_COLOUR = {(8, 2): False, (16, 2): False, (8, 6): False, (16, 6): False}
_KINDS = _GREY | _COLOUR
_MOST_PIXELS = 1 << 24  # so that no file passes whose size Pillow would refuse


def plain_header(path: str) -> tuple[tuple[int, int], bool] | None:
    """((width, height), is it grey) of a small, whole PNG file, or None for any other file."""
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read(_MOST)
    except OSError:
        return None  # opening it again, as an image, says what is wrong with it
    if len(data) == _MOST or not data.startswith(_SIGNATURE):
        return None
    try:
        return _parsed(data)
    except struct.error:
        return None  # it ends in the middle of a chunk's name


def _parsed(data: bytes):
    place = len(_SIGNATURE)
    length, name = _CHUNK.unpack_from(data, place)
    width, height, depth, colour = _HEADER.unpack_from(data, place + _CHUNK.size)
    if name != b"IHDR" or not 0 < width * height <= _MOST_PIXELS:
        return None
    while name != b"IEND":
        place += length + 12  # its length, name and checksum
        length, name = _CHUNK.unpack_from(data, place)
        if name not in _HARMLESS and name != b"IEND":
            return None
    grey = _KINDS.get((depth, colour))
    return None if grey is None else ((width, height), grey)
