"""`synthetic`: handwriting-like digits, drawn on the spot without any network.

28 by 28 grey images, white ink on black like MNIST's, 30,000 to train on and 5,000 to
test with. A digit is a template of `handwriting.TEMPLATES`, bent, slanted, turned, scaled
and traced with a pen of some width and strength, then centred on its mass as MNIST's
digits are.

Image i of a part is always the same image. It depends on nothing but the part and i,
because images are made in chunks of fixed size, each from a seed of its own; all that is
random is drawn for the whole chunk, even when only a few of its images are wanted.
"""

from dataclasses import dataclass

import numpy as np

from keras_ganvae.data.sources.handwriting import TEMPLATES
from keras_ganvae.data.sources.source import Part, Source

SIZE = 28
TRAIN_IMAGES = 30_000
TEST_IMAGES = 5_000
CLASSES = tuple(str(digit) for digit in range(10))

_CHUNK = 500  # a multiple of 10, so that every chunk holds as many of each digit
_SEED = 1311_2013
_SEGMENTS = 40  # straight pieces that the strokes of one digit are cut into
_MARGIN = 8  # pixels around the image, so that no window of the brush leaves the canvas
_WINDOW = 12  # pixels: side of the square that one segment of the pen can touch
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


def _draw_part(part: int, indices):
    """The images at the given sorted indices, chunk by chunk of those they are made in.

    Yields uint8 (n, 28, 28, 1), and labels int64 (n,).
    """
    chunks = indices // _CHUNK
    for chunk in np.unique(chunks):
        pens, digits = _write_chunk(part, int(chunk))
        wanted = indices[chunks == chunk] % _CHUNK
        yield _ink(pens.take(wanted))[..., None], digits[wanted]


@dataclass(frozen=True)
class _Pens:
    """The way of the pen in B images, as float32, in pixels.

    `starts`, `ends` (B, S, 2) and `radii` (B, S) describe S straight segments; `softness`
    and `strength` (B,) the width of the ink's edge and its brightness in (0, 1].
    """

    starts: np.ndarray
    ends: np.ndarray
    radii: np.ndarray
    softness: np.ndarray
    strength: np.ndarray

    def take(self, rows):
        return _Pens(*(value[rows].astype(np.float32) for value in vars(self).values()))


def _write_chunk(part: int, chunk: int):
    """Everything that is random about one chunk: `_Pens` of 500 images, and their digits."""
    # RandomState rather than Generator: NumPy promises never to change its streams, so the
    # images, and the fingerprint made from them, outlive an update of NumPy.
    seed = np.random.SeedSequence((_SEED, part, chunk))
    random = np.random.RandomState(np.random.MT19937(seed))
    digits = random.permutation(np.repeat(np.arange(10), _CHUNK // 10))
    shapes = _SHAPES
    first, count = shapes.first[digits], shapes.count[digits]
    template = first + (random.random_sample(_CHUNK) * count).astype(np.int64)
    points = shapes.points[template]
    points = points + _jitter(random, points.shape) * shapes.freedom[template][:, :, None]
    starts = _trace(shapes.starts[template], points)
    ends = _trace(shapes.ends[template], points)
    starts, ends = _bend(random, starts, ends)
    starts, ends = _slant(random, starts, ends)
    starts, ends = _place(random, starts, ends)
    return _dip(random, starts, ends), digits


def _jitter(random, shape):
    """Displacements of the control points, (B, K, 2): a hand is careful or it is not."""
    carefulness = np.clip(random.lognormal(-3.3, 0.4, (shape[0], 1, 1)), 0.012, 0.075)
    noise = np.clip(random.standard_normal((shape[0], shape[1] + 2, 2)), -2, 2)
    # Neighbours on the stroke stray together; if each went its own way, curves had corners.
    smooth = (noise[:, :-2] + 1.5 * noise[:, 1:-1] + noise[:, 2:]) / 2.06
    return smooth * carefulness


def _trace(weights, points):
    """Points on the splines: weights (B, S, K) and control points (B, K, 2) give (B, S, 2)."""
    return np.matmul(weights, points)


def _bend(random, *curves):
    """A smooth wobble of the whole plane, so that strokes that meet still meet."""
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
    """Aspect, slant and rotation, around the middle of the box."""
    aspect = np.clip(random.lognormal(-0.18, 0.16, _CHUNK), 0.62, 1.25)
    slant = np.clip(random.normal(0.14, 0.20, _CHUNK), -0.35, 0.65)
    angle = np.clip(random.normal(0, 0.09, _CHUNK), -0.22, 0.22)
    cos, sin = np.cos(angle), np.sin(angle)
    # Columns: where x and y go. Scale x, then shear along x, then rotate.
    x_column = np.stack([cos * aspect, sin * aspect], axis=-1)
    y_column = np.stack([-cos * slant - sin, -sin * slant + cos], axis=-1)

    def slant_one(curve):
        x, y = curve[..., :1] - 0.5, curve[..., 1:] - 0.5
        return x * x_column[:, None] + y * y_column[:, None]

    return [slant_one(curve) for curve in curves]


def _place(random, starts, ends):
    """To pixels: scaled to a box of about 20 pixels, the mass near the middle."""
    both = np.concatenate([starts, ends], axis=1)
    extent = (both.max(axis=1) - both.min(axis=1)).max(axis=1)
    scale = random.uniform(15.2, 18.2, _CHUNK) / extent
    lengths = np.sqrt(((ends - starts) ** 2).sum(axis=-1, keepdims=True))
    mass = ((starts + ends) / 2 * lengths).sum(axis=1) / lengths.sum(axis=1)
    shift = (SIZE - 1) / 2 + np.clip(random.normal(0, 0.6, (_CHUNK, 2)), -1.5, 1.5)

    def place(curve):
        return (curve - mass[:, None]) * scale[:, None, None] + shift[:, None]

    return place(starts), place(ends)


def _dip(random, starts, ends):
    """The pen: its width, which depends on the stroke's direction and pressure, and its ink."""
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
    return _Pens(
        starts,
        ends,
        radii,
        softness=random.uniform(1.0, 1.7, _CHUNK),
        strength=np.minimum(random.uniform(0.85, 1.35, _CHUNK), 1.0),
    )


def _ink(pens: _Pens):
    """Draws: uint8 (B, 28, 28), the coverage of each pixel by the pen's round nib.

    Each pixel wants the nearest segment, but a segment is near few pixels: one small
    window per image and segment is updated, not the whole image. Only +, -, *, / and
    square roots of float32 happen here, which every processor rounds alike.
    """
    count = len(pens.strength)
    # How far each pixel lies outside the ink; what no window touches is far outside.
    outside = np.full(count * _CANVAS * _CANVAS, np.float32(9.0))
    steps = np.arange(_WINDOW)
    window = steps[:, None] * _CANVAS + steps[None, :]
    image = np.arange(count)[:, None, None] * (_CANVAS * _CANVAS)
    for segment in range(pens.starts.shape[1]):
        start, end = pens.starts[:, segment], pens.ends[:, segment]
        radius = pens.radii[:, segment, None, None]
        # Segments off the canvas (there are hardly any) are drawn at its edge.
        corner = np.floor((start + end) / 2).astype(np.int64) + (_MARGIN + 1 - _WINDOW // 2)
        corner = np.clip(corner, 0, _CANVAS - _WINDOW)
        x = (corner[:, :1] + steps - _MARGIN).astype(np.float32) - start[:, :1]
        y = (corner[:, 1:] + steps - _MARGIN).astype(np.float32) - start[:, 1:]
        where = image + (corner[:, 1] * _CANVAS + corner[:, 0])[:, None, None] + window
        distance = _distance(x[:, None, :], y[:, :, None], end - start) - radius
        outside[where] = np.minimum(outside[where], distance)
    outside = outside.reshape(count, _CANVAS, _CANVAS)
    outside = outside[:, _MARGIN:-_MARGIN, _MARGIN:-_MARGIN]
    coverage = np.clip(np.float32(0.5) - outside / pens.softness[:, None, None], 0, 1)
    brightness = coverage * pens.strength[:, None, None] * np.float32(255)
    return (brightness + np.float32(0.5)).astype(np.uint8)


def _distance(x, y, along):
    """From the points (x, y) to the segments from (0, 0) to `along` (B, 2)."""
    dx, dy = along[:, 0, None, None], along[:, 1, None, None]
    # A segment may be a mere point: then any share of it is the point itself.
    length = np.maximum(dx * dx + dy * dy, np.float32(1e-12))
    share = np.clip((x * dx + y * dy) / length, 0, 1)
    off_x, off_y = x - share * dx, y - share * dy
    return np.sqrt(off_x * off_x + off_y * off_y)


@dataclass(frozen=True)
class _Shapes:
    """All templates (T) as arrays: padded control points, and splines as matrices.

    The templates of digit d are `first[d]` to `first[d] + count[d] - 1`. `points`
    (T, K, 2); `freedom` (T, K): how freely a point moves, 0 for padding; `starts` and
    `ends` (T, S, K): the segments' ends as weighted sums of the control points.
    """

    first: np.ndarray
    count: np.ndarray
    points: np.ndarray
    freedom: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def _shapes() -> _Shapes:
    templates = [template for digit in range(10) for template in TEMPLATES[digit]]
    count = np.array([len(TEMPLATES[digit]) for digit in range(10)])
    most = max(len(_distinct(template)) for template in templates)
    points = np.zeros((len(templates), most, 2))
    freedom = np.zeros((len(templates), most))
    starts = np.zeros((len(templates), _SEGMENTS, most))
    ends = np.zeros((len(templates), _SEGMENTS, most))
    for row, template in enumerate(templates):
        distinct = _distinct(template)
        points[row, : len(distinct)] = distinct
        freedom[row, : len(distinct)] = _freedom(template, distinct)
        starts[row, :, : len(distinct)], ends[row, :, : len(distinct)] = _segments(template)
    return _Shapes(np.cumsum(count) - count, count, points, freedom, starts, ends)


def _distinct(template):
    return list(dict.fromkeys(point for stroke in template for point in stroke))


def _freedom(template, distinct):
    """Loose ends of strokes stray twice as far as the points on the way."""
    met = [point for stroke in template for point in stroke]
    loose = {point for stroke in template for point in (stroke[0], stroke[-1])}
    return [2.0 if p in loose and met.count(p) == 1 else 1.0 for p in distinct]


def _segments(template):
    """The segments' starts and ends, two matrices (S, K); long strokes get more of them."""
    distinct = _distinct(template)
    lengths = np.array([_length(stroke) for stroke in template])
    # Round down after giving each stroke one, then give what is left to the longest.
    counts = 1 + np.floor((_SEGMENTS - len(template)) * lengths / lengths.sum()).astype(int)
    counts[lengths.argmax()] += _SEGMENTS - counts.sum()
    starts, ends = [], []
    for stroke, count in zip(template, counts, strict=True):
        chosen = np.eye(len(distinct))[[distinct.index(point) for point in stroke]]
        on_curve = _spline(stroke, count) @ chosen
        starts.append(on_curve[:-1])
        ends.append(on_curve[1:])
    return np.concatenate(starts), np.concatenate(ends)


def _length(stroke):
    return np.sqrt((np.diff(np.array(stroke), axis=0) ** 2).sum(axis=1)).sum()


def _spline(stroke, pieces):
    """Catmull-Rom weights (pieces + 1, points), the pieces about equally long."""
    knots = len(stroke)
    # Ghost points beyond the ends continue the first and the last step.
    ghosts = np.zeros((knots + 2, knots))
    ghosts[1:-1] = np.eye(knots)
    ghosts[0, :2] = 2, -1
    ghosts[-1, -2:] = -1, 2
    steps = np.sqrt((np.diff(np.array(stroke), axis=0) ** 2).sum(axis=1))
    along = np.concatenate([[0], np.cumsum(steps)])
    time = np.interp(np.linspace(0, along[-1], pieces + 1), along, np.arange(knots))
    knot = np.minimum(time.astype(int), knots - 2)
    t = (time - knot)[:, None]
    blend = (
        (-t + 2 * t**2 - t**3) / 2,
        (2 - 5 * t**2 + 3 * t**3) / 2,
        (t + 4 * t**2 - 3 * t**3) / 2,
        (-(t**2) + t**3) / 2,
    )
    return sum(weight * ghosts[knot + offset] for offset, weight in enumerate(blend))


_SHAPES = _shapes()
