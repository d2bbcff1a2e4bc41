"""The headers of plain PNG and JPEG files, read without a decoder.

Pillow takes ten times as long to open a small image, and decodes a whole PNG before it can
say that no chunk behind the pixels turns it. A folder of a few hundred thousand files is
looked through in seconds if that is found out from the names of the files' segments.
"""

import struct

_MOST = 1 << 16  # bytes read; what needs more is left to Pillow
_MOST_PIXELS = 1 << 24  # likewise, so that no file passes whose size Pillow would refuse

Look = tuple[tuple[int, int], bool]


def plain_header(path: str) -> Look | None:
    """((width, height), is it grey) of a plain image, or None for any other file.

    Plain is what says nothing about its orientation and has no palette.
    """
    try:
        with open(path, "rb", buffering=0) as file:
            data = file.read(_MOST)
    except OSError:
        return None  # opening it again, as an image, says what is wrong with it
    try:
        if data.startswith(_PNG):
            look = _png(data)
        elif data.startswith(_JPEG):
            look = _jpeg(data)
        else:
            return None
    except struct.error:
        return None  # it ends in the middle of a number
    if look is None or not 0 < look[0][0] * look[0][1] <= _MOST_PIXELS:
        return None
    return look


_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_CHUNK = struct.Struct(">I4s")
_PNG_HEADER = struct.Struct(">IIBB")
# Those that change neither size nor orientation nor whether the image is grey.
_PNG_HARMLESS = {
    b"IDAT",
    b"tRNS",
    b"gAMA",
    b"cHRM",
    b"sRGB",
    b"pHYs",
    b"tIME",
    b"bKGD",
    b"sBIT",
}
# (bit depth, colour type): is it grey? Palettes and 16 bits with alpha are Pillow's.
_PNG_KINDS = {(depth, 0): True for depth in (1, 2, 4, 8, 16)} | {
    (8, 4): True,
    (8, 2): False,
    (16, 2): False,
    (8, 6): False,
    (16, 6): False,
}


def _png(data: bytes) -> Look | None:
    place = len(_PNG)
    length, name = _PNG_CHUNK.unpack_from(data, place)
    width, height, depth, colour = _PNG_HEADER.unpack_from(data, place + _PNG_CHUNK.size)
    if name != b"IHDR":
        return None
    while name != b"IEND":
        place += length + 12  # its length, name and checksum
        length, name = _PNG_CHUNK.unpack_from(data, place)
        if name not in _PNG_HARMLESS and name != b"IEND":
            return None
    grey = _PNG_KINDS.get((depth, colour))
    return None if grey is None else ((width, height), grey)


_JPEG = b"\xff\xd8"
_JPEG_SEGMENT = struct.Struct(">BBH")
_JPEG_FRAME = struct.Struct(">BHHB")
_JPEG_FRAMES = {0xC0, 0xC1, 0xC2}  # baseline, extended, progressive
_JPEG_SCAN = 0xDA  # the pixels begin
# JFIF, Adobe's kind of colours, comments, tables. Not APP1, which is Exif or XMP.
_JPEG_HARMLESS = {0xE0, 0xEE, 0xFE, 0xDB, 0xC4, 0xDD}
_JPEG_KINDS = {1: True, 3: False, 4: False}  # components: is it grey?


def _jpeg(data: bytes) -> Look | None:
    place = len(_JPEG)
    look = None
    while True:
        begin, kind, length = _JPEG_SEGMENT.unpack_from(data, place)
        if begin != 0xFF:
            return None
        if kind == _JPEG_SCAN:
            return look
        if kind in _JPEG_FRAMES:
            bits, height, width, components = _JPEG_FRAME.unpack_from(data, place + 4)
            if bits != 8 or components not in _JPEG_KINDS or look:
                return None
            look = (width, height), _JPEG_KINDS[components]
        elif kind not in _JPEG_HARMLESS:
            return None
        place += 2 + length
