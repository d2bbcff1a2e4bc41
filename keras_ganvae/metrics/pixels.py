"""What pixels say of samples: how sharp their edges are, how many specks and greys they have.

Images are (N, H, W, C), float in [0, 1] or uint8; colours are averaged first. Compare the
numbers with those of real images of the same data set: none is good or bad by itself.
"""

import numpy as np

# Of MNIST's test images one in sixteen has a pixel that stands out so far (.07 an image), and
# noise with a deviation of .1 makes 1.1 an image; half the margin finds .24 in clean ones.
MARGIN = 0.2
DARK, LIGHT = 0.1, 0.9


def sharpness(images):
    """Mean slope of the edges in each image, grey levels per pixel: (N,) in [0, sqrt(2)].

    sum |grad|^2 / sum |grad| with forward differences, so that each slope counts by its own
    size: flat areas and the length of the edges don't matter, blurring lowers it. A hard
    edge from 0 to 1 has 1 along an axis, an image without edges 0; MNIST's test images have
    .68 on average. It is no measure of quality: strong specks raise it, faint noise lowers
    it, as its many small slopes join the mean.
    """
    grey = _grey(images)
    down = np.diff(grey, axis=1, append=grey[:, -1:])
    across = np.diff(grey, axis=2, append=grey[:, :, -1:])
    squares = down**2 + across**2
    total = np.sqrt(squares).sum(axis=(1, 2))
    return squares.sum(axis=(1, 2)) / np.where(total, total, 1)


def isolated_pixels(images, margin=MARGIN):
    """Specks in each image: int (N,), at most a quarter of its pixels.

    A speck is lighter than all its neighbours by more than `margin`, or darker than all of
    them; there are eight, at the border five and in a corner three.
    """
    grey = _grey(images)
    lightest, darkest = _extremes(grey)
    return ((grey > lightest + margin) | (grey < darkest - margin)).sum(axis=(1, 2))


def grey_share(images):
    """Share of the pixels above .1 that are below .9, in each image: (N,) in [0, 1].

    For light ink on a dark ground; 0 without ink. A model that isn't sure where a stroke
    ends, as a decoder trained on likelihood, paints it grey.
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
    """The highest and the lowest of each pixel's neighbours, itself left out: (N, H, W) each."""
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
