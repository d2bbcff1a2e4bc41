"""The training as a GIF: the fixed-noise grid, epoch by epoch."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from keras_ganvae.errors import first_line
from keras_ganvae.files import replacing
from keras_ganvae.plots.images import load_png, to_pil

log = logging.getLogger("keras_ganvae")

MAX_FRAMES = 60  # more enlarge the file without looking smoother
MIN_MILLISECONDS = 20  # browsers slow down shorter frames
LAST_FRAME_MILLISECONDS = 1500  # added to the last frame


def epoch_pictures(folder: str | Path) -> list[Path]:
    """The files samples-00001.png, ... of a figures folder, in order of epochs."""
    return sorted(Path(folder).glob(f"samples-{'[0-9]' * 5}.png"))


def load_frames(folder: str | Path, most: int = MAX_FRAMES) -> list[np.ndarray]:
    """Load `epoch_pictures`, evenly thinned to `most`: uint8 pictures (H, W, C).

    Damaged pictures, and those of another size than the last one, are logged and left out.
    """
    files = epoch_pictures(folder)
    chosen = np.linspace(0, len(files) - 1, min(len(files), most)).round().astype(int)
    frames = [_load(files[i]) for i in np.unique(chosen)]
    valid = [frame for frame in frames if frame is not None]
    return [frame for frame in valid if frame.shape == valid[-1].shape]


def _load(path):
    try:
        return load_png(path)
    except (OSError, SyntaxError, ValueError) as error:  # Pillow's, for a damaged file
        log.warning("%s is damaged and left out: %s", path, first_line(error))
        return None


def save_gif(path: str | Path, pictures: Sequence[np.ndarray], seconds: float = 6.0) -> None:
    """Write a GIF that loops forever, atomically.

    Args:
        path: the file.
        pictures: uint8 (H, W, C) each, at least one.
        seconds: approximate duration of one loop.
    """
    frames = [to_pil(picture) for picture in pictures]
    duration = max(MIN_MILLISECONDS, int(1000 * seconds / len(frames)))
    durations = [duration] * len(frames)
    durations[-1] += LAST_FRAME_MILLISECONDS
    with replacing(path) as beside:
        frames[0].save(
            beside,
            format="GIF",
            save_all=True,
            append_images=frames[1:],
            duration=durations,
            loop=0,
        )
