"""The output files of the picture commands: their endings, checked early, and their writers."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_ganvae.errors import InputError
from keras_ganvae.files import check_parent, replacing, replacing_folder
from keras_ganvae.ownership import check_output
from keras_ganvae.plots.images import captioned, enlarge, grid, save_png

SAMPLE_FORMATS = ".png (one grid), .npz (an array), or a folder ending in / (one PNG each)"

# (out, uint8 images (N, H, W, C), description) -> None
Writer = Callable[[str | Path, np.ndarray, str], None]


def check_ending(out: str | Path, ending: str) -> None:
    """Check that `out` can be a file with this ending, such as ".png".

    Raises:
        InputError: it has another ending, is a folder, lies below a file, or is part of a run
            or bundle.
    """
    if Path(out).suffix.lower() != ending or Path(out).is_dir():
        raise InputError(f"`out={out}` must be a {ending} file")
    check_parent(out)
    check_output(out)


def sample_writer(out: str | Path) -> Writer:
    """The writer for `out`, by its ending (`SAMPLE_FORMATS`).

    Raises:
        InputError: the ending is unknown, the folder is not empty, or `out` is part of a run
            or bundle.
    """
    check_parent(out)
    check_output(out)
    if str(out).endswith("/"):
        if Path(out).is_file():
            raise InputError(f"`out={out}` is a file")
        if Path(out).is_dir() and any(Path(out).iterdir()):
            raise InputError(f"`out={out}` is not empty; choose another folder")
        return _write_folder
    writer = {".png": write_grid, ".npz": _write_npz}.get(Path(out).suffix.lower())
    if writer is None or Path(out).is_dir():
        raise InputError(f"`out={out}` must be {SAMPLE_FORMATS}")
    return writer


def write_grid(
    out: str | Path, images: np.ndarray, description: str, columns: int | None = None
) -> None:
    """Write images as one enlarged PNG grid with the description as its caption.

    Args:
        out: the file.
        images: uint8 (N, H, W, C).
        description: one line, also stored in the PNG's text chunk.
        columns: images per row; None makes the grid about square.
    """
    picture = captioned(enlarge(grid(images, columns)), description)
    save_png(out, picture, description)


def _write_npz(out, images, description):
    with replacing(out) as beside, open(beside, "wb") as file:
        np.savez_compressed(file, samples=images, description=description)


def _write_folder(out, images, description):
    digits = len(str(len(images) - 1))
    with replacing_folder(out) as folder:
        for i, image in enumerate(images):
            save_png(folder / f"{i:0{digits}d}.png", image, description)
