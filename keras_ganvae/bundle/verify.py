"""Proof that a bundle draws what was trained: hashes, lint, and parity with golden.npz.

It takes the bundle and the LiteRT interpreter, nothing else.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from keras_ganvae.bundle import card
from keras_ganvae.bundle.formats import GOLDEN
from keras_ganvae.bundle.read import MANY, Bundle
from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.tflite import lint
from keras_ganvae.tflite import run as interpreter

# What may stand in a bundle without its card's word: the card, and what is made from it.
UNLISTED = {card.NAME, card.README, "benchmark.json", "benchmark.png"}
MOST_LATENT_ERROR = 1e-5  # between the numpy prior, Keras and every file
MOST_OUTSIDE = 1e-6  # of [0, 1]: what rounding may add


@dataclass(frozen=True)
class Tolerance:
    """Limits of the distance from the Keras model's images, each None where there is none.

    max_error, mean_error: of pixels in [0, 1]. psnr: dB, at least. correlation: at least.
    """

    reason: str
    max_error: float | None = None
    mean_error: float | None = None
    psnr: float | None = None
    correlation: float | None = None

    def record(self) -> dict:
        """As the model card has it."""
        limits = {name: getattr(self, name) for name in LIMITS}
        given = {name: limit for name, limit in limits.items() if limit is not None}
        return given | {"reason": self.reason}

    def broken(self, parity: dict) -> str | None:
        """Which limit is broken, or None."""
        for name, at_most in LIMITS.items():
            limit, value = getattr(self, name), parity[name]
            if limit is None:
                continue
            # A NaN keeps no limit.
            if not (value <= limit if at_most else value >= limit):
                return f"{name} is {value:.3g}, {'above' if at_most else 'below'} {limit:g}"
        return None


# Name -> whether it is a maximum.
LIMITS = {"max_error": True, "mean_error": True, "psnr": False, "correlation": False}

_SUMS = "the same float32 weights; only the order of sums differs"
# Golden numbers are the Keras model's own, so that every error is that of a conversion. The
# 8-bit limits leave twice to five times the room that the default presets needed on MNIST:
# mean errors up to .0017 and .0038, 43.9 and 37.7 dB, correlations from .999.
TOLERANCES = {
    "float32": Tolerance(_SUMS, max_error=1e-5),
    "float16": Tolerance("weights keep 11 significant bits", max_error=5e-3),
    "dynamic_int8": Tolerance(
        "weights and activations keep 8 bits: single pixels on an edge move, images do not",
        mean_error=0.005,
        psnr=36.0,
        correlation=0.995,
    ),
    "int8": Tolerance(
        "all is 8-bit integers in ranges fixed beforehand: edges soften a little",
        mean_error=0.01,
        psnr=32.0,
        correlation=0.99,
    ),
}
# `sample` decodes a z that may itself differ: by 1e-5, times how steeply an image depends on it.
SAMPLE_TOLERANCE = Tolerance("its z may differ by 1e-5", max_error=1e-4)
# `encode` gives means of any size, by the type of the weights.
ENCODE_TOLERANCES = {
    "float32": Tolerance("its outputs are not bounded as pixels are", max_error=1e-4),
    "float16": Tolerance("weights keep 11 significant bits, outputs reach 5", max_error=2e-2),
}


def verify(path, progress=None) -> dict:
    """Check everything that a bundle promises.

    Args:
        progress: called with the name of each file as its turn comes.

    Returns:
        name, files (how many), and for each .tflite file under `models`: variant, operators,
        delegates, and parity by signature (max_error, mean_error, psnr in dB or None where
        it is infinite, correlation).

    Raises:
        InputError: there is no bundle at `path`.
        GateFailed: a check failed; the message names the file and says what is wrong.
    """
    path = Path(path)
    if not (path / card.NAME).is_file():
        Bundle.open(path)  # says what is missing
    try:
        return _verify(Bundle.open(path), progress or (lambda name: None))
    except InputError as error:
        raise GateFailed(str(error)) from error


def parity(images, golden) -> dict:
    """How far images are from the golden ones, both in [0, 1] and of one shape.

    Returns:
        max_error, mean_error: absolute; psnr: 10 log10(1 / mean squared error), dB, infinite
        for equal images; correlation: Pearson's, over all pixels.
    """
    images, golden = np.asarray(images, np.float64), np.asarray(golden, np.float64)
    error = np.abs(images - golden)
    square = float((error**2).mean())
    return {
        "max_error": float(error.max()),
        "mean_error": float(error.mean()),
        "psnr": -10 * math.log10(square) if square > 0 else math.inf,
        "correlation": _correlation(images.ravel(), golden.ravel()),
    }


def measure(model: interpreter.Model, golden: dict) -> dict:
    """Parity by signature of one loaded model with the arrays of golden.npz.

    Raises:
        InputError: a signature can't be run or lacks an output.
        GateFailed: an output is not finite, an image outside [0, 1], or `sample` draws
            another z than the golden one.
    """
    found = {}
    for signature in model.signatures:
        if signature not in CHECKS:
            raise GateFailed(f"{model.path} has a signature that is not known: {signature}")
        inputs, outputs = CHECKS[signature]
        missing = {inputs[1], *outputs.values()} - golden.keys()
        if missing:
            raise GateFailed(f"{model.path} has {signature}, but {GOLDEN} no {min(missing)}")
        results = _results(model, signature, inputs[0], golden[inputs[1]])
        found[signature] = {}
        for output, name in outputs.items():
            if output not in results:
                raise GateFailed(f"{signature} of {model.path} has no output {output}")
            _check_result(model, signature, output, results[output], golden[name])
            found[signature][output] = parity(results[output], golden[name])
    return found


# Signature -> (its input, the golden array that goes in), {output: golden array to compare}.
CHECKS = {
    "decode": (("latent", "latents"), {"image": "images"}),
    f"decode_{MANY}": (("latent", "latents"), {"image": "images"}),
    "sample": (("seed", "seeds"), {"latent": "seed_latents", "image": "seed_images"}),
    "encode": (
        ("image", "encode_images"),
        {"mean": "means", "log_variance": "log_variances"},
    ),
    "reconstruct": (("image", "encode_images"), {"reconstruction": "reconstructions"}),
}
UNBOUNDED = {"latent", "mean", "log_variance"}  # outputs that are no images


def tolerance(variant, weights, signature="decode", output="image") -> Tolerance:
    """The limits of one output of one file.

    Args:
        variant: of the file.
        weights: their type, which decides for a sampler: "float32" or "float16".
    """
    if output == "latent":
        return Tolerance("the same integers on every device", max_error=MOST_LATENT_ERROR)
    if signature == "encode":
        return ENCODE_TOLERANCES[weights]
    if signature == "sample" and weights == "float32":
        return SAMPLE_TOLERANCE
    return TOLERANCES[weights if variant == "sampler" else variant]


def _verify(bundle, progress):
    _check_files(bundle, progress)
    golden = bundle.golden()
    _check_prior(bundle, golden)
    models = {}
    for variant, name in bundle.variants.items():
        progress(name)
        models[name] = _verify_model(bundle, variant, name, golden)
    if not models:
        raise GateFailed(f"{bundle.path} has no model; export the run again")
    return {"name": bundle.name, "files": len(bundle.files), "models": models}


def _check_files(bundle, progress):
    for name in bundle.files:
        progress(name)
        bundle.file(name)
    present = {
        each.relative_to(bundle.path).as_posix()
        for each in bundle.path.rglob("*")
        if not each.is_dir() or each.is_symlink()
    }
    unknown = present - bundle.files.keys() - UNLISTED
    if unknown:
        raise GateFailed(f"{bundle.path / min(unknown)} is not in {card.NAME}; remove it")


def _check_prior(bundle, golden):
    """The card's distribution draws the golden latents of the golden seeds."""
    drawn = bundle.prior().draw(golden["seeds"])
    error = float(np.abs(drawn - golden["seed_latents"]).max())
    if not error <= MOST_LATENT_ERROR:
        raise GateFailed(
            f"{bundle.path / card.NAME} describes another distribution than {GOLDEN} was drawn"
            f" from (z differs by {error:.2g}); export the run again"
        )


def _verify_model(bundle, variant, name, golden):
    if FILES.get(variant) != name:
        raise GateFailed(f"{bundle.path / name} is of an unknown variant, {variant}")
    weights = bundle.files[name]["weights"]
    if variant == "sampler" and weights not in ENCODE_TOLERANCES:
        raise GateFailed(f"{bundle.path / name} has weights of an unknown type, {weights}")
    parsed = bundle.parsed(variant)
    stated = bundle.files[name]["signatures"]
    if sorted(stated) != sorted(parsed.signatures):
        has = ", ".join(parsed.signatures)
        raise GateFailed(f"{parsed.path} has the signatures {has}, its card says otherwise")
    report = lint.lint(parsed)
    if not report.passed:
        raise GateFailed(f"{parsed.path}: {report.findings[0]}")
    found = measure(interpreter.open_model(parsed), golden)
    for signature, outputs in found.items():
        for output, values in outputs.items():
            broken = tolerance(variant, weights, signature, output).broken(values)
            if broken:
                raise GateFailed(f"{output} of {signature} in {parsed.path}: {broken}")
    return {
        "variant": variant,
        "operators": list(report.operators),
        "delegates": report.delegates,
        "parity": {
            signature: {output: _finite(values) for output, values in outputs.items()}
            for signature, outputs in found.items()
        },
    }


FILES = {variant: name for name, variant in card.MODELS.items()}


def _results(model, signature, name, arrays):
    """The outputs for all golden inputs, as many at once as the signature takes."""
    if name not in model.signatures[signature].inputs:
        raise GateFailed(f"{signature} of {model.path} has no input {name}")
    shape = model.signatures[signature].inputs[name].shape
    count = shape[0] if shape else 1
    if len(arrays) % max(count, 1):
        raise GateFailed(f"{signature} of {model.path} takes {count} at once")
    parts = [
        model.run(signature, **{name: arrays[start : start + count]})
        for start in range(0, len(arrays), count)
    ]
    return {output: np.concatenate([part[output] for part in parts]) for output in parts[0]}


def _check_result(model, signature, output, result, golden):
    what = f"{output} of {signature} in {model.path}"
    if result.shape != golden.shape:
        raise GateFailed(f"{what} is {list(result.shape)}, the golden one {list(golden.shape)}")
    if not np.isfinite(result).all():
        raise GateFailed(f"{what} is not finite")
    if output in UNBOUNDED:
        return
    if result.min() < -MOST_OUTSIDE or result.max() > 1 + MOST_OUTSIDE:
        raise GateFailed(f"{what} reaches from {result.min():.3g} to {result.max():.3g}")


def _correlation(a, b):
    a, b = a - a.mean(), b - b.mean()
    norm = math.sqrt(float(a @ a) * float(b @ b))
    # Two constants vary alike.
    return float(a @ b) / norm if norm > 0 else float(not a.any() and not b.any())


def _finite(values):
    """JSON has no infinity, the PSNR of equal images."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
