"""The model card: a bundle's description as JSON, see `model_card.schema.json`.

A card carries the digest of its own content, and the checksums of all other files: whoever
reads a card knows that none of its words was changed since it was written.
"""

import functools
import json
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path, PurePosixPath
from typing import Any

from keras_ganvae.bundle import json_text, latent, schema
from keras_ganvae.bundle.formats import BENCHMARK, BENCHMARK_PICTURE, VARIANTS
from keras_ganvae.errors import InputError
from keras_ganvae.files import sha256_of, write_text
from keras_ganvae.priors import MixturePrior, NormalPrior
from keras_ganvae.tflite.signatures import SIGNATURES

NAME = "model_card.json"
SIGNATURE = f"{NAME}.minisig"
README = "README.md"
SCHEMA = "keras-ganvae/model-card"
SCHEMA_VERSION = 2
UNLISTED = frozenset({NAME, SIGNATURE})  # the only files of a bundle that no card lists
REWRITTEN = (BENCHMARK, BENCHMARK_PICTURE, README)  # by `benchmark`, before the card

MODELS = {each.file: name for name, each in VARIANTS.items()}

MEANING = "0 is black, 1 is white, or a colour's full strength"
LICENSE = "Apache-2.0 for these files; the terms of the data set they were trained on apply too"
SCHEMA_FILE = "model_card.schema.json"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """The content of a card, by the keys of the schema where nothing else is said.

    Args:
        dataset, training: from `run_facts`.
        prior: the distribution of the latents.
        image_shape: (H, W, C).
        files: from `listing`; each .tflite file also has its `model_facts`.
        meaning: what the pixel values 0 and 1 look like.
        metrics: the results of a benchmark; empty before a benchmark.
    """

    name: str
    summary: str
    architecture: dict
    dataset: dict
    training: dict
    prior: NormalPrior | MixturePrior
    image_shape: tuple[int, ...]
    files: dict[str, dict]
    recommended: dict[str, str]
    versions: dict[str, str]
    command: str
    meaning: str = MEANING
    license: str = LICENSE
    metrics: dict = field(default_factory=dict)


def run_facts(record: dict, history: Sequence[Mapping[str, Any]]) -> dict[str, dict]:
    """The fields `dataset` and `training` of `Facts`.

    Args:
        record: the content of a run's config.json.
        history: the rows of its history.csv.
    """
    # The path of the data reveals a user's disk and says nothing about the model.
    left_out = ("arch", "preset", "dataset", "data_dir", "seed", "epochs")
    settings = {k: v for k, v in record["config"].items() if k not in left_out and v is not None}
    return {
        "dataset": {
            "name": record["dataset"]["name"],
            "fingerprint": record["dataset"]["fingerprint"],
            "images": record["dataset"]["train"],
        },
        "training": {
            "epochs": len(history),
            "seed": record["config"]["seed"],
            "command": record["command"],
            "settings": settings,
            "final": {name: _finite(value) for name, value in history[-1].items()},
        },
    }


def recommended(variants: Collection[str], worse: Collection[str] = ()) -> dict[str, str]:
    """The model file for most apps, and why.

    Args:
        variants: those of the bundle, at least one.
        worse: variants whose images a benchmark found worse than float32's.
    """
    order = sorted((VARIANTS[name] for name in variants), key=lambda each: each.preference)
    chosen = next((each for each in order if each.name not in worse), order[0])
    return {"file": chosen.file, "reason": chosen.reason}


def listing(folder: str | Path) -> dict[str, dict]:
    """Size and SHA-256 of each file of a bundle except `UNLISTED`."""
    folder = Path(folder)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {name: _file_facts(path) for name, path in names.items() if name not in UNLISTED}


def with_files(card: dict, folder: Path, names: Iterable[str]) -> dict:
    """The card with the present size and SHA-256 of some files of its bundle."""
    facts = {name: _file_facts(folder / name) for name in names}
    return sealed(card | {"files": card["files"] | facts})


def _file_facts(path):
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def model_facts(
    name: str,
    *,
    signatures: Iterable[str],
    operators: Iterable[Mapping[str, Any]],
    delegates: Mapping[str, Mapping[str, str]],
    parity: Mapping[str, float],
    tolerance: Mapping[str, Any],
    weights: str,
) -> dict[str, Any]:
    """What `files` has on a .tflite file beyond its size and checksum.

    Args:
        name: file name, one of `MODELS`.
        signatures: their names.
        operators: name, version and count of each.
        delegates: signature -> delegate -> "whole graph", or what it leaves to the CPU.
        parity: max_error, mean_error, psnr (dB) and correlation, against the Keras model.
        tolerance: limits on `parity`, and their `reason`.
        weights: type of the weights.
    """
    variant = MODELS[name]
    return {
        "variant": variant,
        "weights": weights,
        "activations": VARIANTS[variant].activations,
        "signatures": list(signatures),
        "operators": [dict(each) for each in operators],
        "delegates": _merged(delegates),
        "parity": {name: _finite(value) for name, value in parity.items()},
        "tolerance": dict(tolerance),
    }


def _merged(delegates):
    """One text for each delegate, which names the signatures where their texts differ."""
    merged: dict[str, str] = {}
    for delegate in dict.fromkeys(name for texts in delegates.values() for name in texts):
        signatures: dict[str, list[str]] = {}
        for signature, texts in delegates.items():
            signatures.setdefault(texts[delegate], []).append(signature)
        parts = [f"{', '.join(names)}: {text}" for text, names in signatures.items()]
        merged[delegate] = next(iter(signatures)) if len(parts) == 1 else "; ".join(parts)
    return merged


def build(facts: Facts) -> dict:
    """A valid card.

    Raises:
        InputError: a fact breaks the schema.
    """
    card = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
        "digest": "",  # its place; `sealed` computes it
        "name": facts.name,
        "summary": facts.summary,
        "architecture": facts.architecture,
        "dataset": facts.dataset,
        "training": facts.training,
        "image": {
            "shape": list(facts.image_shape),
            "layout": "NHWC",
            "dtype": "float32",
            "range": [0, 1],
            "meaning": facts.meaning,
        },
        "signatures": _signatures(facts.prior.latent_dim, list(facts.image_shape), facts.files),
        "files": facts.files,
        "metrics": facts.metrics,
        "recommended": facts.recommended,
        "versions": facts.versions,
        "license": facts.license,
        "command": facts.command,
        "latent": latent.record(facts.prior),
    }
    return validate(sealed(card))


def sealed(card: dict) -> dict:
    """The card with its digest: call it after the last change."""
    return card | {"digest": digest(card)}


def digest(card: dict) -> str:
    """What the key `digest` must be: the `json_text.digest` of the card without it.

    Raises:
        InputError: the card has a value that canonical JSON lacks.
    """
    content = {name: value for name, value in card.items() if name != "digest"}
    try:
        return json_text.digest(content)
    except ValueError as error:  # half of a surrogate pair
        raise InputError(f"card: {error}") from error


def write(path: str | Path, card: dict) -> None:
    """Write a card, each list of numbers on one line."""
    write_text(path, json_text.layout(validate(card)) + "\n")


def read(path: str | Path) -> dict:
    """Read a card and validate it.

    Raises:
        InputError: the file is missing or not JSON, has a key twice or a number with digits
            that do not count, or the card is invalid.
    """
    try:
        card = json_text.parse(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"no {Path(path).name} in {Path(path).parent}: not a bundle") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {error}") from error
    try:
        return validate(card)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def validate(card: Any) -> dict:
    """The card itself, if it is valid.

    Raises:
        InputError: another release wrote the card, it breaks the schema, two keys contradict
            each other (the message names the key), or it was changed after it was written.
    """
    _check_version(card)
    schema.check(card, _schema(), "card")
    latent.check(card["latent"])
    for name in card["files"]:
        _check_path(name)
    for name, signature in card["signatures"].items():
        for file in signature["files"]:
            if name not in card["files"].get(file, {}).get("signatures", ()):
                raise InputError(f"card.signatures.{name}.files: {file} has no such signature")
    if card["recommended"]["file"] not in card["files"]:
        raise InputError(f"card.recommended.file: {card['recommended']['file']} is not in files")
    if digest(card) != card["digest"]:
        raise InputError(
            "card.digest is not that of the card, which was changed; export the run again"
        )
    return card


def _check_version(card):
    if not isinstance(card, dict) or card.get("schema") != SCHEMA:
        return
    version = card.get("schema_version")
    if type(version) is int and 0 < version < SCHEMA_VERSION:
        raise InputError(
            f"card.schema_version is {version}: an earlier release of keras-ganvae made the"
            " bundle; export the run again"
        )


@functools.cache
def _schema():
    file = resources.files("keras_ganvae.bundle") / SCHEMA_FILE
    return json.loads(file.read_text(encoding="utf-8"))


def _check_path(name):
    path = PurePosixPath(name)
    # Readers join it to the path of the bundle.
    if path.is_absolute() or ".." in path.parts or "\\" in name or str(path) != name:
        raise InputError(f"card.files: {name!r} is not a path within the bundle")


def _signatures(size, image_shape, files):
    """Files, inputs and outputs of each signature that the bundle has."""
    found = {}
    for name, each in SIGNATURES.items():
        having = [file for file, entry in files.items() if name in entry.get("signatures", ())]
        if having:
            inputs, outputs = (
                {key: _tensor(spec, each.batch, size, image_shape) for key, spec in side.items()}
                for side in (each.inputs, each.outputs)
            )
            found[name] = {"files": having, "inputs": inputs, "outputs": outputs}
    return found


def _tensor(spec, batch, size, image_shape):
    tensor = {"shape": list(spec.shape(batch, size, image_shape)), "dtype": spec.dtype}
    return tensor | ({"range": [0, 1]} if spec.is_image else {})


def _finite(value):
    """A float as JSON has it: null for infinity, the PSNR of equal images, and NaN."""
    return value if not isinstance(value, float) or math.isfinite(value) else None
