"""Pixel statistics of samples: sharpness, isolated pixels, greys.

Images are (N, H, W, C), float in [0, 1] or uint8; colours are averaged first. No value is
good in itself: compare with real images of the same data set.
"""

import numpy as np

# MNIST's test images have 0.07 such pixels per image, and 1.1 after noise with a standard
# deviation of 0.1. At half this margin even clean images have 0.24.
MARGIN = 0.2
DARK, LIGHT = 0.1, 0.9


def sharpness(images: np.ndarray) -> np.ndarray:
    """Mean slope of the edges of each image, grey levels per pixel: (N,) in [0, sqrt(2)].

    sum |grad|^2 / sum |grad| with forward differences: the mean slope, weighted by itself.
    Flat areas and the length of edges do not matter; blurring lowers it. A hard
    axis-aligned edge from 0 to 1 gives 1, a flat image 0, MNIST's test images 0.68 on
    average. It does not measure quality: strong isolated pixels raise it, faint noise
    lowers it.
    """
    grey = _grey(images)
    down = np.diff(grey, axis=1, append=grey[:, -1:])
    across = np.diff(grey, axis=2, append=grey[:, :, -1:])
    squares = down**2 + across**2
    total = np.sqrt(squares).sum(axis=(1, 2))
    return squares.sum(axis=(1, 2)) / np.where(total, total, 1)


def isolated_pixels(images: np.ndarray, margin: float = MARGIN) -> np.ndarray:
    """Count the isolated pixels of each image: int (N,), at most a quarter of its pixels.

    An isolated pixel is lighter by more than `margin` than all of its neighbours, or
    darker: eight inside the image, five at the border, three in a corner.
    """
    grey = _grey(images)
    lightest, darkest = _extremes(grey)
    return ((grey > lightest + margin) | (grey < darkest - margin)).sum(axis=(1, 2))


def grey_share(images: np.ndarray) -> np.ndarray:
    """Share of each image's pixels above 0.1 that are below 0.9: (N,) in [0, 1].

    For light ink on a dark ground; 0 without ink. A decoder trained by maximum likelihood
    draws a stroke grey where it is uncertain of its border.
    """
    grey = _grey(images)
    ink = (grey > DARK).sum(axis=(1, 2))
    between = ((grey > DARK) & (grey < LIGHT)).sum(axis=(1, 2))
    return between / np.maximum(ink, 1)


def _grey(images):
    """(N, H, W), float32 in [0, 1]."""
    images = np.asarray(images)
    scale = 255 if images.dtype == np.uint8 else 1
    return images.mean(axis=-1, dtype=np.float32) / np.float32(scale)


def _extremes(grey):
    """The lightest and the darkest neighbour of each pixel: (N, H, W) each."""
    height, width = grey.shape[1:]
    around = [(1, 1), (1, 1)]
    high = np.pad(grey, [(0, 0), *around], constant_values=-np.inf)
    low = np.pad(grey, [(0, 0), *around], constant_values=np.inf)
    highest, lowest = np.full_like(grey, -np.inf), np.full_like(grey, np.inf)
    for y in range(3):
        for x in range(3):
            if (y, x) != (1, 1):
                window = np.s_[:, y : y + height, x : x + width]
                np.maximum(highest, high[window], out=highest)
                np.minimum(lowest, low[window], out=lowest)
    return highest, lowest
