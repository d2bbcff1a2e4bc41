"""Verify that a bundle draws what was trained: checksums, lint, parity with golden.npz.

Needs the bundle, numpy and the LiteRT interpreter, nothing else.
"""

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_ganvae.bundle import card
from keras_ganvae.bundle.formats import GOLDEN, VARIANTS, Tolerance
from keras_ganvae.bundle.inspection import Inspection, inspect_file
from keras_ganvae.bundle.read import Bundle
from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.ownership import UNLISTED

MAX_LATENT_ERROR = 1e-5  # between numpy's prior and every file's

LATENT_TOLERANCE = Tolerance("the same integers on every device", max_error=MAX_LATENT_ERROR)
# `sample` decodes a z that may differ by 1e-5, times how steeply an image depends on it.
SAMPLE_TOLERANCE = Tolerance("its z may differ by 1e-5", max_error=1e-4)
# `encode` returns means of any size. By the type of the weights.
ENCODE_TOLERANCES = {
    "float32": Tolerance("its outputs are not bounded as pixels are", max_error=1e-4),
    "float16": Tolerance("weights keep 11 significant bits, outputs reach 5", max_error=2e-2),
}


def tolerance(
    variant: str, weights: str, signature: str = "decode", output: str = "image"
) -> Tolerance:
    """The limits of one output of one file.

    Args:
        variant: variant of the file.
        weights: type of its weights, which decides for a sampler: "float32" or "float16".
    """
    if output == "latent":
        return LATENT_TOLERANCE
    if signature == "encode":
        return ENCODE_TOLERANCES[weights]
    if signature == "sample" and weights == "float32":
        return SAMPLE_TOLERANCE
    return VARIANTS[weights if variant == "sampler" else variant].tolerance


def verify(
    path: str | os.PathLike,
    progress: Callable[[str], object] | None = None,
    inspections: dict[str, Inspection] | None = None,
) -> dict:
    """Check everything that a bundle promises.

    Args:
        progress: called with the name of each file before it is checked.
        inspections: results of `inspect_file` by file name; the others are made here.

    Returns:
        name; files: their number; models: for each .tflite file its variant, operators,
        delegates, and parity by signature and output (max_error, mean_error, psnr in dB or
        None if it is infinite, correlation).

    Raises:
        InputError: there is no bundle at `path`.
        GateFailed: a check failed; the message names the file and the fault.
    """
    path = Path(path)
    if not (path / card.NAME).is_file():
        Bundle.open(path)  # raises the error that says what is missing
    try:
        return _verify(Bundle.open(path), progress or (lambda name: None), inspections or {})
    except InputError as error:
        raise GateFailed(str(error)) from error


def _verify(bundle, progress, inspections):
    _check_files(bundle, progress)
    golden = bundle.golden()
    _check_prior(bundle, golden)
    models = {}
    for variant, name in bundle.variants.items():
        progress(name)
        _check_variant(bundle, variant, name)
        inspection = inspections.get(name) or inspect_file(bundle.path / name, golden)
        models[name] = _check_model(bundle, variant, name, inspection)
    if not models:
        raise GateFailed(f"{bundle.path} has no model; export the run again")
    return {"name": bundle.name, "files": len(bundle.files), "models": models}


def _check_files(bundle, progress):
    """Compare sizes and checksums with the card, and look for files that it does not list."""
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
    """Compare what the card's distribution draws with the golden latents."""
    drawn = bundle.prior().draw(golden["seeds"])
    error = float(np.abs(drawn - golden["seed_latents"]).max())
    if not error <= MAX_LATENT_ERROR:
        raise GateFailed(
            f"{bundle.path / card.NAME} describes another distribution than {GOLDEN} was drawn"
            f" from (z differs by {error:.2g}); export the run again"
        )


def _check_variant(bundle, variant, name):
    if variant not in VARIANTS or VARIANTS[variant].file != name:
        raise GateFailed(f"{bundle.path / name} has an unknown variant, {variant}")
    weights = bundle.files[name]["weights"]
    if variant == "sampler" and weights not in ENCODE_TOLERANCES:
        raise GateFailed(f"{bundle.path / name} has weights of an unknown type, {weights}")


def _check_model(bundle, variant, name, inspection):
    path, facts = bundle.path / name, bundle.files[name]
    if sorted(facts["signatures"]) != sorted(inspection.signatures):
        found = ", ".join(inspection.signatures)
        raise GateFailed(f"{path} has the signatures {found}; its card lists others")
    for signature, outputs in inspection.parity.items():
        for output, values in outputs.items():
            violation = tolerance(variant, facts["weights"], signature, output).violation(values)
            if violation:
                raise GateFailed(f"{output} of {signature} in {path}: {violation}")
    return {
        "variant": variant,
        "operators": list(inspection.lint.operators),
        "delegates": inspection.lint.delegates,
        "parity": {
            signature: {output: _finite(values) for output, values in outputs.items()}
            for signature, outputs in inspection.parity.items()
        },
    }


def _finite(values):
    """JSON has no infinity, the PSNR of equal images."""
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
