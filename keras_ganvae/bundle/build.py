"""Export a run: signatures -> convert -> read, lint and run each file once -> card -> verify."""

import os
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from keras_ganvae import runtime
from keras_ganvae.bundle import c_source, card, golden, readme, signature
from keras_ganvae.bundle.formats import GOLDEN, SAVED_MODEL, VARIANTS, C
from keras_ganvae.bundle.inspection import Inspection, inspect_file
from keras_ganvae.bundle.verify import tolerance, verify
from keras_ganvae.config import nearest
from keras_ganvae.errors import InputError
from keras_ganvae.files import replacing_folder
from keras_ganvae.models import latents
from keras_ganvae.models.base import GenerativeModel
from keras_ganvae.ownership import BUNDLE, check_replaceable
from keras_ganvae.plots.images import to_uint8
from keras_ganvae.plots.output import write_grid
from keras_ganvae.priors import Prior
from keras_ganvae.runs.run import Run
from keras_ganvae.tflite import saved_model, signatures
from keras_ganvae.tflite.convert import convert, convert_sampler
from keras_ganvae.tflite.functions import ExportedModel, exported, has_encoder, image_decoder
from keras_ganvae.tflite.read import read_model

FORMATS = (*VARIANTS, SAVED_MODEL)
ON_DEMAND = (C,)  # formats that few apps need
SAMPLER_WEIGHTS = ("float32", "float16")
SAMPLES = 64  # images in samples.png
SAMPLES_SEED = 0


def export(
    run: Run,
    out: str | os.PathLike,
    *,
    formats: Iterable[str] | None = None,
    prior: str | None = None,
    sampler_weights: str = "float32",
    overwrite: bool = False,
    max_flash: int | None = None,
    max_ram: int | None = None,
    signer: "signature.SecretKey | None" = None,
) -> Path:
    """Write and verify the bundle of a finished run; a failed export leaves nothing behind.

    Args:
        run: a finished run.
        out: folder of the bundle.
        formats: names from `FORMATS` and `ON_DEMAND`; None takes all of `FORMATS`.
        prior: distribution that `sample` draws from, "normal" or "mixture"; None takes the
            run's own.
        sampler_weights: "float32", or "float16" for a sampler.tflite of half the size.
        overwrite: replace a bundle in `out`.
        max_flash, max_ram: bytes that a device has for the C file of format c.
        signer: sign the bundle with this key, from `signature.secret_key`.

    Returns:
        `out` with links resolved.

    Raises:
        InputError: the run is not finished, a format or type is unknown, there is no C for
            an operator, or `out` can't be used.
        GateFailed: lint, parity or another check of `verify` failed, or the C file exceeds
            `max_flash` or `max_ram`.
    """
    chosen = checked_formats(formats)
    _check_limits(chosen, max_flash=max_flash, max_ram=max_ram)
    if sampler_weights not in SAMPLER_WEIGHTS:
        raise InputError(
            f"unknown weights '{sampler_weights}'{nearest(sampler_weights, SAMPLER_WEIGHTS)}"
        )
    check_replaceable(out, BUNDLE, overwrite)
    out = Path(out).resolve()
    run.check_finished()
    model, distribution = run.model(), run.prior(prior)
    weights = {name: each.weights for name, each in VARIANTS.items()} | {"sampler": sampler_weights}
    with replacing_folder(out) as folder:
        arrays = golden.make(model, distribution)
        golden.write(folder / GOLDEN, arrays)
        _write_models(folder, exported(model, distribution), chosen, sampler_weights)
        inspections = {
            each.file: inspect_file(folder / each.file, arrays)
            for name, each in VARIANTS.items()
            if name in chosen
        }
        _write_picture(folder, run, model, distribution)
        written = _write_c(folder, chosen, distribution, model, max_flash, max_ram)
        files = card.listing(folder)
        for file, inspection in inspections.items():
            files[file] |= _model_facts(file, inspection, weights[card.MODELS[file]])
        for file, facts in written.items():
            files[file] |= facts
        record = card.build(_facts(out.name, run, model, distribution, files))
        readme.write_with_card(folder, record)
        if signer is not None:
            signature.sign(folder, signer)
        verify(folder, inspections=inspections)
        check_replaceable(out, BUNDLE, overwrite)  # minutes have passed
    return out


def checked_formats(names: Iterable[str] | None) -> tuple[str, ...]:
    """Return the formats, those of `FORMATS` for None; at least one has to be a TFLite file.

    C is made from the int8 file, and brings it along.

    Raises:
        InputError: a name is unknown, or there is no TFLite file.
    """
    names = tuple(FORMATS if names is None else names)
    known = (*FORMATS, *ON_DEMAND)
    for name in names:
        if name not in known:
            raise InputError(f"unknown format '{name}'{nearest(name, known)}")
    if C in names and "int8" not in names:
        names += ("int8",)
    if set(names) <= {SAVED_MODEL}:
        raise InputError(f"`formats` needs one of {', '.join(VARIANTS)}")
    return names


def _write_models(
    folder: Path, module: ExportedModel, chosen: tuple[str, ...], sampler_weights: str
) -> None:
    for name, variant in VARIANTS.items():
        if name in chosen:
            content = (
                convert_sampler(module, sampler_weights)
                if name == "sampler"
                else convert(module, name)
            )
            (folder / variant.file).write_bytes(content)
    if SAVED_MODEL in chosen:
        names = signatures.in_file(signatures.SAVED_MODEL, has_encoder(module.model))
        saved_model.write(module, folder / SAVED_MODEL, names)


def _check_limits(chosen: tuple[str, ...], **limits: int | None) -> None:
    for name, limit in limits.items():
        if limit is not None and C not in chosen:
            raise InputError(f"`{name}` is for the C file: add `formats={C}`")
        if limit is not None and limit < 1:
            raise InputError(f"`{name}` must be at least 1, not {limit}")


def _write_c(
    folder: Path,
    chosen: tuple[str, ...],
    prior: Prior,
    model: GenerativeModel,
    max_flash: int | None,
    max_ram: int | None,
) -> dict[str, dict]:
    """Write the C files if they are chosen, and return what the card says of them."""
    if C not in chosen:
        return {}
    models = {
        variant: read_model(folder / VARIANTS[variant].file)
        for variant in c_source.FILES
        if variant in chosen
    }
    made = c_source.generate(models, prior, tuple(model.image_shape))
    made.check_limits(max_flash, max_ram)
    made.write(folder)
    return made.facts()


def _write_picture(folder, run, model, prior):
    drawn = to_uint8(latents.decode(model, prior.sample(SAMPLES, SAMPLES_SEED)))
    description = (
        f"{SAMPLES} samples of {run.config.arch}, {prior.description}, seed {SAMPLES_SEED}"
    )
    write_grid(folder / "samples.png", drawn, description)


def _model_facts(file: str, inspection: Inspection, weights: str) -> dict:
    return card.model_facts(
        file,
        signatures=inspection.signatures,
        operators=inspection.lint.operators,
        delegates=inspection.lint.delegates,
        parity=inspection.parity["decode"]["image"],
        tolerance=tolerance(card.MODELS[file], weights).record(),
        weights=weights,
    )


def _facts(
    name: str,
    run: Run,
    model: GenerativeModel,
    prior: Prior,
    files: dict[str, dict],
) -> card.Facts:
    config = run.config
    parameters = image_decoder(model).count_params()
    encoder = {"encoder_parameters": model.encoder.count_params()} if has_encoder(model) else {}
    facts = card.run_facts(run.record, run.history())
    return card.Facts(
        name=name,
        summary=f"Draws images like those of {run.record['dataset']['name']}"
        f" from {prior.latent_dim} random numbers, with a {config.arch} of"
        f" {parameters:,} parameters.",
        architecture={
            "arch": config.arch,
            "kind": model.kind,
            "preset": config.preset,
            "parameters": parameters,
            **encoder,
        },
        prior=prior,
        image_shape=tuple(model.image_shape),
        files=files,
        recommended=card.recommended(
            [entry["variant"] for entry in files.values() if "variant" in entry]
        ),
        versions=runtime.versions(),
        command=shlex.join(["keras-ganvae", *sys.argv[1:]]),
        dataset=facts["dataset"],
        training=facts["training"],
    )
