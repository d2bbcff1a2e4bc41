"""The model files of a bundle in one table, with what is promised of each."""

from dataclasses import dataclass

GOLDEN = "golden.npz"
SAVED_MODEL = "saved_model"
C = "c"  # folder of the C files
BENCHMARK = "benchmark.json"
BENCHMARK_PICTURE = "benchmark.png"

# Limit -> whether it is an upper bound.
LIMITS = {"max_error": True, "mean_error": True, "psnr": False, "correlation": False}


@dataclass(frozen=True)
class Tolerance:
    """Limits of the distance to the Keras model's outputs; None is no limit.

    max_error, mean_error: absolute; pixels are in [0, 1]. psnr: lower bound, dB.
    correlation: lower bound.
    """

    reason: str
    max_error: float | None = None
    mean_error: float | None = None
    psnr: float | None = None
    correlation: float | None = None

    def record(self) -> dict:
        """The limits and their reason, for the model card."""
        limits = {name: getattr(self, name) for name in LIMITS}
        given = {name: limit for name, limit in limits.items() if limit is not None}
        return given | {"reason": self.reason}

    def violation(self, parity: dict) -> str | None:
        """The first limit that a measurement violates, or None."""
        for name, is_upper in LIMITS.items():
            limit, value = getattr(self, name), parity[name]
            if limit is None:
                continue
            # NaN is within no limit.
            if not (value <= limit if is_upper else value >= limit):
                return f"{name} is {value:.3g}, {'above' if is_upper else 'below'} {limit:g}"
        return None


@dataclass(frozen=True)
class Variant:
    """One .tflite file of a bundle.

    weights, activations: their types. tolerance: of its images. preference: 0 is what most
    apps should take, for the `reason`.
    """

    name: str
    file: str
    weights: str
    activations: str
    tolerance: Tolerance
    preference: int
    reason: str


_EXACT = Tolerance("the same float32 weights; only the order of sums differs", max_error=1e-5)
# Golden numbers come from the Keras model, so that every error is one of conversion. The 8-bit
# limits are two to five times what the default presets needed on MNIST: mean errors up to
# 0.0017 and 0.0038, 43.9 and 37.7 dB, correlations from 0.999.
_TABLE = (
    Variant("float32", "model.tflite", "float32", "float32", _EXACT, 1, "the reference"),
    Variant(
        "float16",
        "model_float16.tflite",
        "float16",
        "float32",
        Tolerance("weights keep 11 significant bits", max_error=5e-3),
        0,
        "half the size of float32, and the same images to one grey level of 255",
    ),
    Variant(
        "dynamic_int8",
        "model_dynamic_int8.tflite",
        "int8",
        "float32",
        Tolerance(
            "weights and activations keep 8 bits: single pixels on an edge move, images do not",
            mean_error=0.005,
            psnr=36.0,
            correlation=0.995,
        ),
        2,
        "the only one here that keeps float activations",
    ),
    Variant(
        "int8",
        "model_int8.tflite",
        "int8",
        "int8",
        Tolerance(
            "all is 8-bit integers in ranges fixed beforehand: edges soften a little",
            mean_error=0.01,
            psnr=32.0,
            correlation=0.99,
        ),
        3,
        "the only one here",
    ),
    # Its weights may be float16: then its images keep that variant's tolerance.
    Variant("sampler", "sampler.tflite", "float32", "float32", _EXACT, 4, "the only one here"),
)
VARIANTS = {each.name: each for each in _TABLE}
SAMPLER = VARIANTS["sampler"].file
