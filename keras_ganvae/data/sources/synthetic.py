"""`synthetic`: handwriting-like digits, generated without any download.

28 by 28 grey images, white ink on black like MNIST's: 30,000 for training and 5,000 for
testing. A digit is a glyph of `handwriting.GLYPHS` that is bent, slanted, rotated, scaled,
drawn with a pen of random width and strength, and centred on its mass like MNIST's digits.

Image i of a part depends on nothing but the part and i: images are generated in chunks of
fixed size, each with its own seed. All random numbers are drawn for the whole chunk, even if
only a few of its images are needed.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from keras_ganvae.data.sources.base import Chunk, Part, Source
from keras_ganvae.data.sources.handwriting import GLYPHS, Glyph, Point, Stroke

SIZE = 28
TRAIN_IMAGES = 30_000
TEST_IMAGES = 5_000
CLASSES = tuple(str(digit) for digit in range(10))

_CHUNK = 500  # images; a multiple of 10, so that every chunk is balanced
_SEED = 1311_2013
_SEGMENTS = 40  # line segments that approximate the strokes of one digit
_MARGIN = 8  # pixels around the image, so that no segment's window leaves the canvas
_WINDOW = 12  # pixels: side of the square that one segment can affect
_CANVAS = SIZE + 2 * _MARGIN


def open_source() -> Source:
    """The synthetic digits as a `Source`: uint8 (N, 28, 28, 1) with labels 0 to 9."""
    return Source(
        name="synthetic",
        spec="synthetic",
        classes=CLASSES,
        parts={
            "train": Part(TRAIN_IMAGES, lambda indices: _draw_part(0, indices)),
            "test": Part(TEST_IMAGES, lambda indices: _draw_part(1, indices)),
        },
        shuffled=True,
        shape=lambda: (SIZE, SIZE, 1),
    )


def _draw_part(part: int, indices: np.ndarray) -> Iterator[Chunk]:
    """Yield the images at the sorted `indices`: uint8 (n, 28, 28, 1), labels int64 (n,)."""
    chunks = indices // _CHUNK
    for chunk in np.unique(chunks):
        strokes, digits = _random_strokes(part, int(chunk))
        wanted = indices[chunks == chunk] % _CHUNK
        yield _render(strokes.take(wanted))[..., None], digits[wanted]


@dataclass(frozen=True)
class _Strokes:
    """The pen strokes of B images as S line segments each, in pixels.

    Attributes:
        starts: first points of the segments, (B, S, 2).
        ends: last points of the segments, (B, S, 2).
        radii: half the width of the pen, (B, S).
        softness: width of the ink's blurred edge, (B,).
        strength: brightness of the ink in (0, 1], (B,).
    """

    starts: np.ndarray
    ends: np.ndarray
    radii: np.ndarray
    softness: np.ndarray
    strength: np.ndarray

    def take(self, rows):
        """The strokes of some images, as float32."""
        return _Strokes(*(value[rows].astype(np.float32) for value in vars(self).values()))


def _random_strokes(part: int, chunk: int) -> tuple[_Strokes, np.ndarray]:
    """Draw all random numbers of one chunk: strokes of 500 images, and their digits (500,)."""
    # RandomState, because NumPy promises that its streams never change: the images and
    # their fingerprint survive an update of NumPy.
    seed = np.random.SeedSequence((_SEED, part, chunk))
    random = np.random.RandomState(np.random.MT19937(seed))
    digits = random.permutation(np.repeat(np.arange(10), _CHUNK // 10))
    glyphs = _ALL_GLYPHS
    first, count = glyphs.first[digits], glyphs.count[digits]
    glyph = first + (random.random_sample(_CHUNK) * count).astype(np.int64)
    points = glyphs.points[glyph]
    points = points + _jitter(random, points.shape) * glyphs.freedom[glyph][:, :, None]
    starts = _trace(glyphs.starts[glyph], points)
    ends = _trace(glyphs.ends[glyph], points)
    starts, ends = _bend(random, starts, ends)
    starts, ends = _slant(random, starts, ends)
    starts, ends = _place(random, starts, ends)
    return _with_pen(random, starts, ends), digits


def _jitter(random, shape):
    """Displacements of the control points, (B, K, 2); each image has its own scale."""
    carefulness = np.clip(random.lognormal(-3.3, 0.4, (shape[0], 1, 1)), 0.012, 0.075)
    noise = np.clip(random.standard_normal((shape[0], shape[1] + 2, 2)), -2, 2)
    # Neighbours on a stroke move together; independent displacements would make corners.
    smooth = (noise[:, :-2] + 1.5 * noise[:, 1:-1] + noise[:, 2:]) / 2.06
    return smooth * carefulness


def _trace(weights, points):
    """Points on the splines, (B, S, 2), from weights (B, S, K) and control points (B, K, 2)."""
    return np.matmul(weights, points)


def _bend(random, *curves):
    """Bend the whole plane by sine waves, so that strokes that meet still meet."""
    shape = (2, _CHUNK, 1)
    height = random.normal(0, 0.034, shape)
    turns = random.uniform(2.0, 6.0, shape)
    phase = random.uniform(0, 2 * np.pi, shape)

    def bend(curve):
        x, y = curve[..., 0], curve[..., 1]
        return np.stack(
            [
                x + height[0] * np.sin(turns[0] * y + phase[0]),
                y + height[1] * np.sin(turns[1] * x + phase[1]),
            ],
            axis=-1,
        )

    return [bend(curve) for curve in curves]


def _slant(random, *curves):
    """Random aspect ratio, slant and rotation, around the middle of the box."""
    aspect = np.clip(random.lognormal(-0.18, 0.16, _CHUNK), 0.62, 1.25)
    slant = np.clip(random.normal(0.14, 0.20, _CHUNK), -0.35, 0.65)
    angle = np.clip(random.normal(0, 0.09, _CHUNK), -0.22, 0.22)
    cos, sin = np.cos(angle), np.sin(angle)
    # The images of the unit vectors: scale x, then shear along x, then rotate.
    x_column = np.stack([cos * aspect, sin * aspect], axis=-1)
    y_column = np.stack([-cos * slant - sin, -sin * slant + cos], axis=-1)

    def slant_one(curve):
        x, y = curve[..., :1] - 0.5, curve[..., 1:] - 0.5
        return x * x_column[:, None] + y * y_column[:, None]

    return [slant_one(curve) for curve in curves]


def _place(random, starts, ends):
    """Scale to about 20 pixels, with the centre of mass near the middle of the image."""
    both = np.concatenate([starts, ends], axis=1)
    extent = (both.max(axis=1) - both.min(axis=1)).max(axis=1)
    scale = random.uniform(15.2, 18.2, _CHUNK) / extent
    lengths = np.sqrt(((ends - starts) ** 2).sum(axis=-1, keepdims=True))
    mass = ((starts + ends) / 2 * lengths).sum(axis=1) / lengths.sum(axis=1)
    shift = (SIZE - 1) / 2 + np.clip(random.normal(0, 0.6, (_CHUNK, 2)), -1.5, 1.5)

    def place(curve):
        return (curve - mass[:, None]) * scale[:, None, None] + shift[:, None]

    return place(starts), place(ends)


def _with_pen(random, starts, ends):
    """Add a pen, whose width depends on the stroke's direction and pressure, and its ink."""
    width = np.clip(random.lognormal(0.2, 0.24, (_CHUNK, 1)), 0.75, 2.0)
    broad = random.uniform(0.0, 0.28, (_CHUNK, 1))
    nib = random.uniform(0, np.pi, (_CHUNK, 1))
    pressure = random.uniform(0.0, 0.14, (_CHUNK, 1))
    phase = random.uniform(0, 2 * np.pi, (_CHUNK, 1))
    along = starts - ends
    direction = np.arctan2(along[..., 1], along[..., 0])
    time = np.linspace(0, 2 * np.pi, starts.shape[1])
    radii = width * (1 + broad * np.cos(2 * (direction - nib)) / 2)
    radii = radii * (1 + pressure * np.sin(time + phase))
    return _Strokes(
        starts,
        ends,
        radii,
        softness=random.uniform(1.0, 1.7, _CHUNK),
        strength=np.minimum(random.uniform(0.85, 1.35, _CHUNK), 1.0),
    )


def _render(strokes: _Strokes) -> np.ndarray:
    """Render uint8 (B, 28, 28): the coverage of each pixel by a round pen.

    A segment affects few pixels, so only a small window per image and segment is updated.
    All operations are +, -, *, / and square roots of float32, which every processor rounds
    alike.
    """
    count = len(strokes.strength)
    # The distance of each pixel from the ink; pixels outside all windows are far from it.
    outside = np.full(count * _CANVAS * _CANVAS, np.float32(9.0))
    steps = np.arange(_WINDOW)
    window = steps[:, None] * _CANVAS + steps[None, :]
    image = np.arange(count)[:, None, None] * (_CANVAS * _CANVAS)
    for segment in range(strokes.starts.shape[1]):
        start, end = strokes.starts[:, segment], strokes.ends[:, segment]
        radius = strokes.radii[:, segment, None, None]
        # The rare segments outside the canvas are drawn at its edge.
        corner = np.floor((start + end) / 2).astype(np.int64) + (_MARGIN + 1 - _WINDOW // 2)
        corner = np.clip(corner, 0, _CANVAS - _WINDOW)
        x = (corner[:, :1] + steps - _MARGIN).astype(np.float32) - start[:, :1]
        y = (corner[:, 1:] + steps - _MARGIN).astype(np.float32) - start[:, 1:]
        where = image + (corner[:, 1] * _CANVAS + corner[:, 0])[:, None, None] + window
        distance = _distance(x[:, None, :], y[:, :, None], end - start) - radius
        outside[where] = np.minimum(outside[where], distance)
    visible = outside.reshape(count, _CANVAS, _CANVAS)
    visible = visible[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    coverage = np.clip(np.float32(0.5) - visible / strokes.softness[:, None, None], 0, 1)
    brightness = coverage * strokes.strength[:, None, None] * np.float32(255)
    return (brightness + np.float32(0.5)).astype(np.uint8)


def _distance(x, y, along):
    """Distances of the points (x, y) from the segments from (0, 0) to `along` (B, 2)."""
    dx, dy = along[:, 0, None, None], along[:, 1, None, None]
    # Avoids 0 / 0 for a segment of length 0.
    length = np.maximum(dx * dx + dy * dy, np.float32(1e-12))
    fraction = np.clip((x * dx + y * dy) / length, 0, 1)
    off_x, off_y = x - fraction * dx, y - fraction * dy
    return np.sqrt(off_x * off_x + off_y * off_y)


@dataclass(frozen=True)
class _Glyphs:
    """All G glyphs as arrays, padded to K control points.

    Attributes:
        first: index of each digit's first glyph, (10,).
        count: number of each digit's glyphs, (10,).
        points: control points, (G, K, 2).
        freedom: how freely each point moves, 0 for padding, (G, K).
        starts: weights of the control points in each segment's start, (G, S, K).
        ends: weights of the control points in each segment's end, (G, S, K).
    """

    first: np.ndarray
    count: np.ndarray
    points: np.ndarray
    freedom: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def _all_glyphs() -> _Glyphs:
    glyphs = [glyph for digit in range(10) for glyph in GLYPHS[digit]]
    count = np.array([len(GLYPHS[digit]) for digit in range(10)])
    most = max(len(_distinct(glyph)) for glyph in glyphs)
    points = np.zeros((len(glyphs), most, 2))
    freedom = np.zeros((len(glyphs), most))
    starts = np.zeros((len(glyphs), _SEGMENTS, most))
    ends = np.zeros((len(glyphs), _SEGMENTS, most))
    for row, glyph in enumerate(glyphs):
        distinct = _distinct(glyph)
        points[row, : len(distinct)] = distinct
        freedom[row, : len(distinct)] = _freedom(glyph, distinct)
        starts[row, :, : len(distinct)], ends[row, :, : len(distinct)] = _segments(glyph)
    return _Glyphs(np.cumsum(count) - count, count, points, freedom, starts, ends)


def _distinct(glyph: Glyph) -> list[Point]:
    return list(dict.fromkeys(point for stroke in glyph for point in stroke))


def _freedom(glyph: Glyph, distinct: list[Point]) -> list[float]:
    """The loose ends of strokes move twice as far as other points."""
    points = [point for stroke in glyph for point in stroke]
    ends = {point for stroke in glyph for point in (stroke[0], stroke[-1])}
    return [2.0 if p in ends and points.count(p) == 1 else 1.0 for p in distinct]


def _segments(glyph: Glyph) -> tuple[np.ndarray, np.ndarray]:
    """Weights of the segments' starts and ends, (S, K) each; long strokes have more segments."""
    distinct = _distinct(glyph)
    lengths = np.array([_length(stroke) for stroke in glyph])
    # At least one for each stroke; the longest gets what rounding leaves.
    counts = 1 + np.floor((_SEGMENTS - len(glyph)) * lengths / lengths.sum()).astype(int)
    counts[lengths.argmax()] += _SEGMENTS - counts.sum()
    starts, ends = [], []
    for stroke, count in zip(glyph, counts, strict=True):
        chosen = np.eye(len(distinct))[[distinct.index(point) for point in stroke]]
        on_curve = _spline(stroke, count) @ chosen
        starts.append(on_curve[:-1])
        ends.append(on_curve[1:])
    return np.concatenate(starts), np.concatenate(ends)


def _length(stroke: Stroke) -> float:
    return np.sqrt((np.diff(np.array(stroke), axis=0) ** 2).sum(axis=1)).sum()


def _spline(stroke: Stroke, segments: int) -> np.ndarray:
    """Catmull-Rom weights (segments + 1, points), for segments of about equal length."""
    knots = len(stroke)
    # Extra points beyond the ends continue the first and the last step.
    extended = np.zeros((knots + 2, knots))
    extended[1:-1] = np.eye(knots)
    extended[0, :2] = 2, -1
    extended[-1, -2:] = -1, 2
    steps = np.sqrt((np.diff(np.array(stroke), axis=0) ** 2).sum(axis=1))
    along = np.concatenate([[0], np.cumsum(steps)])
    time = np.interp(np.linspace(0, along[-1], segments + 1), along, np.arange(knots))
    knot = np.minimum(time.astype(int), knots - 2)
    t = (time - knot)[:, None]
    blend = (
        (-t + 2 * t**2 - t**3) / 2,
        (2 - 5 * t**2 + 3 * t**3) / 2,
        (t + 4 * t**2 - 3 * t**3) / 2,
        (-(t**2) + t**3) / 2,
    )
    return sum(weight * extended[knot + offset] for offset, weight in enumerate(blend))


_ALL_GLYPHS = _all_glyphs()
