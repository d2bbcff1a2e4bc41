"""Verify that a bundle draws what was trained: digest, checksums, lint, parity with golden.npz.

Whatever the card states of a model file is compared with the file: its name decides which
checks apply, and reading and running it gives the rest.

Needs the bundle, numpy, rfc8785 and the LiteRT interpreter; signatures need py-minisign, C files
jinja2 and Pillow, and a C compiler if they are to be compiled, too.
"""

import math
import os
import reprlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from keras_ganvae import runtime
from keras_ganvae.bundle import card, latent
from keras_ganvae.bundle.formats import GOLDEN, SAMPLER, VARIANTS, C, Tolerance
from keras_ganvae.bundle.inspection import Inspection, inspect_file
from keras_ganvae.bundle.read import Bundle
from keras_ganvae.bundle.signature import check_signed, public_key
from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.priors import MixturePrior
from keras_ganvae.priors import random as noise
from keras_ganvae.tflite import signatures

# Measure of parity -> (relative, absolute) change between two processors. Other kernels moved
# the worst pixel of an int8 file by a third, averages by 2 %; float32 errors are rounding.
PARITY_CHANGES = {
    "max_error": (0.5, 1e-5),
    "mean_error": (0.1, 1e-6),
    "psnr": (0.1, 1e-6),
    "correlation": (0.1, 1e-6),
}
MAX_DECIBELS = 1000  # no float overflows

LATENT_TOLERANCE = Tolerance("the same integers on every device", max_error=latent.MAX_ERROR)
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
    key: str | os.PathLike | None = None,
) -> dict:
    """Check everything that a bundle promises.

    Args:
        progress: called with the name of each file before it is checked.
        inspections: results of `inspect_file` by file name; the others are made here.
        key: check that its owner signed the bundle, see `signature.public_key`.

    Returns:
        name; files: their number; signature_checked: whether `key` was given, None for a
        bundle without a signature; mixture_checked: whether every component of the card's
        mixture was compared with sampler.tflite, None without a mixture; c: see
        `c_source.check`; models: for each
        .tflite file its variant, operators, delegates, and parity by signature and output
        (max_error, mean_error, psnr in dB or None if it is infinite, correlation).

    Raises:
        InputError: there is no bundle at `path`, or `key` is not a key.
        GateFailed: a check failed; the message names the file and the fault.
    """
    path = Path(path)
    if not (path / card.NAME).is_file():
        Bundle.open(path)  # raises the error that says what is missing
    maker = None if key is None else public_key(key)
    try:
        bundle = Bundle.open(path)
        if maker is not None:
            check_signed(path, maker)
        report = _verify(bundle, progress or (lambda name: None), inspections or {})
    except InputError as error:
        raise GateFailed(str(error)) from error
    is_signed = (path / card.SIGNATURE).exists()
    return report | {"signature_checked": maker is not None if is_signed else None}


def _verify(bundle, progress, inspections):
    _check_files(bundle, progress)
    golden = bundle.golden()
    _check_prior(bundle, golden)
    found = {}
    for name, facts in bundle.files.items():
        if "variant" in facts:
            progress(name)
            _check_name(bundle, name)
            found[name] = inspections.get(name) or inspect_file(bundle.path / name, golden)
            _check_model(bundle, name, found[name], has_encoder="means" in golden)
    if not found:
        raise GateFailed(f"{bundle.path} has no model; export the run again")
    _check_card(bundle, found)
    return {
        "name": bundle.name,
        "files": len(bundle.files),
        "mixture_checked": _check_mixture(bundle, golden, found),
        "models": {name: _report(name, inspection) for name, inspection in found.items()},
        "c": _check_c(bundle),
    }


def _check_c(bundle):
    """What `c_source.check` finds of the C files, None if there are none."""
    if not any(name.startswith(f"{C}/") for name in bundle.files):
        return None
    from keras_ganvae.bundle import c_source  # needs jinja2 and Pillow

    return c_source.check(bundle, _is_of_this_release(bundle))


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
    for name in present & card.UNLISTED:
        if (bundle.path / name).is_symlink():
            raise GateFailed(f"{bundle.path / name} is a link, not a file of the bundle")
    unknown = present - bundle.files.keys() - card.UNLISTED
    if unknown:
        raise GateFailed(f"{bundle.path / min(unknown)} is not in {card.NAME}; remove it")


def _check_prior(bundle, golden):
    """Compare what the card's distribution draws with the golden latents."""
    prior = bundle.prior()
    found = _difference(prior, golden["seeds"], prior.draw(golden["seeds"]), golden["seed_latents"])
    if found is None and isinstance(prior, MixturePrior):
        seeds = golden["component_seeds"]
        found = _difference(prior, seeds, prior.draw(seeds), golden["component_latents"])
        thresholds = noise.choice_thresholds(prior.weights)
        drawn, all_of_them = (
            noise.choices(each, thresholds, prior.latent_dim)
            for each in (seeds, latent.component_seeds(prior))
        )
        if found is None and not np.array_equal(drawn, all_of_them):
            found = "its seeds choose other components"
    if found is not None:
        raise GateFailed(
            f"{bundle.path / card.NAME} describes another distribution than {GOLDEN} was drawn"
            f" from ({found}); export the run again"
        )


def _difference(prior, seeds, drawn, latents):
    """Where two draws from a prior differ, and by how much; None if they agree."""
    row = latent.first_difference(drawn, latents)
    if row is None:
        return None
    error = f"z differs by {np.abs(drawn[row] - latents[row]).max():.2g}"
    if not isinstance(prior, MixturePrior):
        return error
    thresholds = noise.choice_thresholds(prior.weights)
    (component,) = noise.choices(seeds[row : row + 1], thresholds, prior.latent_dim)
    return f"component {component} of the mixture, {error}"


def _check_name(bundle, name):
    """The name decides on the checks, whatever the card calls the variant."""
    if name not in card.MODELS:
        known = ", ".join(card.MODELS)
        raise GateFailed(f"{bundle.path / name} is not one of a bundle's model files: {known}")
    if name == SAMPLER and bundle.files[name]["weights"] not in ENCODE_TOLERANCES:
        weights = bundle.files[name]["weights"]
        raise GateFailed(f"{bundle.path / name} has weights of an unknown type, {weights}")


def _check_model(bundle, name, inspection, has_encoder):
    """Compare a file with the table of files and signatures, and the card with the file."""
    path, facts, variant = bundle.path / name, bundle.files[name], VARIANTS[card.MODELS[name]]
    kind = signatures.SAMPLER if name == SAMPLER else signatures.PORTABLE
    expected = signatures.in_file(kind, has_encoder)
    if sorted(inspection.signatures) != sorted(expected):
        has = ", ".join(inspection.signatures)
        raise GateFailed(f"{path} has the signatures {has} instead of {', '.join(expected)}")
    weights = facts["weights"] if name == SAMPLER else variant.weights
    for signature, outputs in inspection.parity.items():
        for output, values in outputs.items():
            violation = tolerance(variant.name, weights, signature, output).violation(values)
            if violation:
                raise GateFailed(f"{output} of {signature} in {path}: {violation}")
    for what, wanted in (("weights", weights), ("activations", variant.activations)):
        found = getattr(inspection, what)
        if found != wanted:
            raise GateFailed(f"{path} has {found} {what} instead of {wanted}")
    measured = card.model_facts(
        name,
        signatures=inspection.signatures,
        operators=inspection.lint.operators,
        delegates=inspection.lint.delegates,
        parity=_confirmed(facts["parity"], inspection.parity["decode"]["image"]),
        tolerance=tolerance(variant.name, weights).record(),
        weights=weights,
    )
    if not _is_of_this_release(bundle):
        measured |= {"delegates": facts["delegates"]}
        measured["tolerance"] |= {"reason": facts["tolerance"]["reason"]}
    _compare(bundle, f"files[{name!r}]", {key: facts[key] for key in measured}, measured)


def _is_of_this_release(bundle):
    """Whether its card was written by this release; another one may word it differently."""
    return bundle.card["versions"].get("keras_ganvae") == runtime.versions().get("keras_ganvae")


def _confirmed(stated, measured):
    """The measured parity, with the stated values where another processor could give them."""

    def agrees(name):
        a, b = _error(name, stated[name]), _error(name, measured[name])
        relative, absolute = PARITY_CHANGES[name]
        return abs(a - b) <= relative * max(a, b) + absolute

    return {name: stated[name] if agrees(name) else measured[name] for name in measured}


def _error(name, value):
    """A measure of parity as an error, which is 0 for equal images."""
    if name == "psnr":
        return 0.0 if value is None else 10 ** (-max(value, -MAX_DECIBELS) / 20)
    if value is None:
        return math.nan
    return 1 - value if name == "correlation" else value


def _check_card(bundle, found):
    """Compare the rest that the card states of its models, and its constants."""
    stated = bundle.card
    tensors: dict[str, dict] = {}
    for file, inspection in found.items():
        for name, sides in inspection.tensors.items():
            tensors.setdefault(name, {"files": []} | sides)["files"].append(file)
    _compare(bundle, "signatures", stated["signatures"], tensors)
    file = stated["recommended"]["file"]
    if file not in found:
        raise GateFailed(f"{bundle.path / card.NAME} recommends {file}, which is not a model")
    if _is_of_this_release(bundle):
        reason = VARIANTS[card.MODELS[file]].reason
        _compare(bundle, "recommended.reason", stated["recommended"]["reason"], reason)
    _compare(bundle, "image.meaning", stated["image"]["meaning"], card.MEANING)
    _compare(bundle, "license", stated["license"], card.LICENSE)


def _compare(bundle, where, stated, found):
    """Raise GateFailed at the first place where two values of the card differ."""
    if isinstance(stated, dict) and isinstance(found, dict) and stated.keys() == found.keys():
        for key in stated:
            _compare(bundle, f"{where}[{key!r}]", stated[key], found[key])
    elif isinstance(stated, list) and isinstance(found, list) and len(stated) == len(found):
        for i, pair in enumerate(zip(stated, found, strict=True)):
            _compare(bundle, f"{where}[{i}]", *pair)
    elif stated != found:
        raise GateFailed(
            f"{bundle.path / card.NAME}: {where} is {reprlib.repr(stated)} instead of"
            f" {reprlib.repr(found)}; export the run again"
        )


def _check_mixture(bundle, golden, found):
    """Draw from every component of the sampler's mixture, at both ends of its probability."""
    if "component_seeds" not in golden:
        return None
    if SAMPLER not in found:
        return False
    seeds, model = golden["component_seeds"], found[SAMPLER].model
    drawn = [model.run("sample", seed=seeds[i : i + 1])["latent"] for i in range(len(seeds))]
    latents = golden["component_latents"]
    difference = _difference(bundle.prior(), seeds, np.concatenate(drawn), latents)
    if difference is not None:
        raise GateFailed(
            f"{bundle.path / card.NAME} describes another distribution than {SAMPLER} draws from"
            f" ({difference}); export the run again"
        )
    return True


def _report(name, inspection):
    return {
        "variant": card.MODELS[name],
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
