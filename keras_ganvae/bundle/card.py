"""The model card: what a bundle says of itself, as JSON that `docs/model-card.md` describes."""

import json
import math
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np

from keras_ganvae.bundle.formats import VARIANTS
from keras_ganvae.errors import InputError
from keras_ganvae.files import sha256_of, write_text
from keras_ganvae.tflite.signatures import SIGNATURES

NAME = "model_card.json"
README = "README.md"
SCHEMA = "keras-ganvae/model-card"
SCHEMA_VERSION = 1

MODELS = {each.file: name for name, each in VARIANTS.items()}
LONG_LIST = 16  # numbers; a longer list is written without spaces

MEANING = "0 is black, 1 is white, or a colour's full strength"
LICENSE = "Apache-2.0 for these files; the terms of the data set they were trained on apply too"


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a card is made from.

    architecture: arch, kind, preset, parameters (of the decoder or generator) and, for
    VAEs, encoder_parameters. dataset, training: of `run_facts`. prior: of prior.py.
    image_shape: (H, W, C). files: of `listing`, each .tflite with its `model_facts` added.
    recommended: file, reason. metrics: what a benchmark measured, if one did.
    """

    name: str
    summary: str
    architecture: dict
    dataset: dict
    training: dict
    prior: object
    image_shape: tuple
    files: dict
    recommended: dict
    versions: dict
    command: str
    meaning: str = MEANING
    license: str = LICENSE
    metrics: dict = field(default_factory=dict)


def run_facts(record: dict, history: list) -> dict:
    """`dataset` and `training` of `Facts`.

    Args:
        record: a run's config.json.
        history: the rows of its history.csv.
    """
    # Where the data lay says nothing about the model, and much about someone's disk.
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


def recommended(variants, behind=()) -> dict:
    """The file that most apps should take, and why.

    Args:
        variants: those that the bundle has, one at least.
        behind: those whose images were measured to be worse than float32's.
    """
    order = sorted((VARIANTS[name] for name in variants), key=lambda each: each.preference)
    chosen = next((each for each in order if each.name not in behind), order[0])
    return {"file": chosen.file, "reason": chosen.reason}


def listing(folder) -> dict:
    """Bytes and SHA-256 of every file of a bundle but the card and the README made from it."""
    folder = Path(folder)
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    names = {path.relative_to(folder).as_posix(): path for path in paths}
    return {
        name: {"bytes": path.stat().st_size, "sha256": sha256_of(path)}
        for name, path in names.items()
        if name not in (NAME, README)
    }


def model_facts(name, *, signatures, operators, delegates, parity, tolerance, weights) -> dict:
    """What `files` says of a .tflite beyond its size and hash.

    Args:
        name: of the file, one of `MODELS`.
        signatures: their names.
        operators: of each, name, version and count.
        delegates: by signature and delegate, "whole graph" or the reason why not.
        parity: max_error, mean_error, psnr (dB), correlation with the Keras model's images.
        tolerance: the limits of `parity`, and their `reason`.
        weights: their type.
    """
    variant = MODELS[name]
    return {
        "variant": variant,
        "weights": weights,
        "activations": VARIANTS[variant].activations,
        "signatures": list(signatures),
        "operators": [dict(each) for each in operators],
        "delegates": _of_all_signatures(delegates),
        "parity": {name: _finite(value) for name, value in parity.items()},
        "tolerance": dict(tolerance),
    }


def _of_all_signatures(delegates):
    """One answer of each delegate: of all signatures, or which signatures have which."""
    names = dict.fromkeys(name for answers in delegates.values() for name in answers)
    merged = {}
    for name in names:
        signatures = {}
        for signature, answers in delegates.items():
            signatures.setdefault(answers[name], []).append(signature)
        merged[name] = (
            next(iter(signatures))
            if len(signatures) == 1
            else "; ".join(
                f"{', '.join(having)}: {answer}" for answer, having in signatures.items()
            )
        )
    return merged


def build(facts: Facts) -> dict:
    """The card, validated.

    Raises:
        InputError: a fact is missing or of the wrong kind.
    """
    card = {
        "schema": SCHEMA,
        "schema_version": SCHEMA_VERSION,
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
        "latent": _latent(facts.prior),
    }
    return validate(card)


def write(path, card: dict):
    """Write the card; a list of numbers keeps to one line."""
    write_text(path, _json(validate(card)) + "\n")


def read(path) -> dict:
    """The card of a bundle, validated.

    Raises:
        InputError: it is missing, is no JSON, or breaks the schema.
    """
    try:
        card = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise InputError(f"no {Path(path).name} in {Path(path).parent}: not a bundle") from error
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {error}") from error
    try:
        return validate(card)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def validate(card) -> dict:
    """The card itself, if it keeps to the schema.

    Raises:
        InputError: a key is missing, unknown or of the wrong type, or two contradict each
            other; the message names the key.
    """
    _CARD(card, "card")
    _check_latent(card["latent"])
    for name, entry in card["files"].items():
        _check_name(name)
        (_MODEL_FILE if name.endswith(".tflite") else _FILE)(entry, f"files[{name!r}]")
    for name, signature in card["signatures"].items():
        for file in signature["files"]:
            if name not in card["files"].get(file, {}).get("signatures", ()):
                raise InputError(f"signatures.{name}.files: {file} has no such signature")
    if card["recommended"]["file"] not in card["files"]:
        raise InputError(f"recommended.file: {card['recommended']['file']} is not in files")
    return card


def _check_latent(latent):
    mixture = latent.get("mixture")
    if (latent["distribution"] == "mixture") != (mixture is not None):
        raise InputError("latent.mixture belongs to the distribution 'mixture', and to no other")
    if mixture is None:
        return
    size, components = latent["size"], latent.get("components")
    lengths = {"means": size, "factors": size * (size + 1) // 2}
    if len(mixture["weights"]) != components:
        raise InputError(f"latent.mixture.weights must hold {components} numbers")
    for name, length in lengths.items():
        if [len(row) for row in mixture[name]] != [length] * components:
            raise InputError(f"latent.mixture.{name} must be {components} rows of {length} numbers")


def _check_name(name):
    path = PurePosixPath(name)
    # A reader joins it to the bundle's path.
    if path.is_absolute() or ".." in path.parts or "\\" in name or str(path) != name:
        raise InputError(f"files: {name!r} is not the name of a file in the bundle")


def _latent(prior):
    latent = {"size": prior.latent_dim, "distribution": prior.name}
    if prior.name == "normal":
        return latent
    rows, columns = np.tril_indices(prior.latent_dim)
    mixture = {
        "weights": _numbers(prior.weights),
        "means": _numbers(prior.means),
        "factors": _numbers(prior.factors[:, rows, columns]),
    }
    return latent | {"components": prior.components, "mixture": mixture}


def _numbers(array):
    """An array as lists of the shortest decimals that give the same float32."""
    if array.ndim > 1:
        return [_numbers(row) for row in array]
    return [float(str(value)) for value in array.astype(np.float32)]


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
    """JSON has no infinity, the PSNR of equal images."""
    return value if not isinstance(value, float) or math.isfinite(value) else None


def _json(value, indent=""):
    inner = indent + "  "
    if isinstance(value, dict) and value:
        items = [f"{inner}{json.dumps(key)}: {_json(item, inner)}" for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, list | dict) for item in value):
        items = [inner + _json(item, inner) for item in value]
    elif isinstance(value, list) and len(value) > LONG_LIST:  # a mixture's: spaces would be a tenth
        return json.dumps(value, separators=(",", ":"))
    else:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    first, last = "{}" if isinstance(value, dict) else "[]"
    return f"{first}\n" + ",\n".join(items) + f"\n{indent}{last}"


# The schema. A check is called with a value and where it stands, and raises InputError.


def _is(what, test):
    def check(value, where):
        if not test(value):
            raise InputError(f"{where} must be {what}")

    return check


def _record(required, optional=None):
    """A dictionary with these keys and no others."""
    optional = optional or {}

    def check(value, where):
        if not isinstance(value, dict):
            raise InputError(f"{where} must be an object")
        for name in required:
            if name not in value:
                raise InputError(f"{where}.{name} is missing")
        for name, item in value.items():
            if name not in required and name not in optional:
                raise InputError(f"{where}.{name} is not known")
            (required.get(name) or optional[name])(item, f"{where}.{name}")

    return check


def _map(of):
    """A dictionary with any keys."""

    def check(value, where):
        if not isinstance(value, dict):
            raise InputError(f"{where} must be an object")
        for name, item in value.items():
            of(item, f"{where}.{name}")

    return check


def _list(of):
    def check(value, where):
        if not isinstance(value, list):
            raise InputError(f"{where} must be a list")
        for i, item in enumerate(value):
            of(item, f"{where}[{i}]")

    return check


def _is_number(value):
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value):
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_scalar(value):
    return value is None or isinstance(value, str | bool) or _is_number(value)


def _is_sha256(value):
    return isinstance(value, str) and len(value) == 64 and set(value) <= set("0123456789abcdef")


def _either_scalars(value, where):
    (_map(_SCALAR) if isinstance(value, dict) else _SCALAR)(value, where)


_TEXT = _is("a text", lambda value: isinstance(value, str) and value != "")
_COUNT = _is("a whole number, not negative", _is_count)
_SIZE = _is("a whole number above 0", lambda value: _is_count(value) and value > 0)
_NUMBER = _is("a number", _is_number)
_MEASURE = _is("a number or null", lambda value: value is None or _is_number(value))
_SCALAR = _is("a text, a number, true, false or null", _is_scalar)
_SHA256 = _is("64 hexadecimal digits", _is_sha256)
_RANGE = _is("[0, 1]", lambda value: value == [0, 1])
_SHAPE = _list(_SIZE)

_TENSOR = _record(
    {
        "shape": _SHAPE,
        "dtype": _is("float32 or int32", lambda value: value in ("float32", "int32")),
    },
    {"range": _RANGE},
)
_PARITY = _record(dict.fromkeys(("max_error", "mean_error", "psnr", "correlation"), _MEASURE))
_FILE = _record({"bytes": _COUNT, "sha256": _SHA256})
_MODEL_FILE = _record(
    {
        "bytes": _COUNT,
        "sha256": _SHA256,
        "variant": _TEXT,
        "weights": _TEXT,
        "activations": _TEXT,
        "signatures": _list(_TEXT),
        "operators": _list(_record({"name": _TEXT, "version": _COUNT, "count": _COUNT})),
        "delegates": _map(_TEXT),
        "parity": _PARITY,
        "tolerance": _map(_SCALAR),
    }
)
_ROWS = _list(_list(_NUMBER))
_CARD = _record(
    {
        "schema": _is(SCHEMA, lambda value: value == SCHEMA),
        "schema_version": _is(
            f"{SCHEMA_VERSION}: another needs another release of keras-ganvae",
            lambda value: value == SCHEMA_VERSION and not isinstance(value, bool),
        ),
        "name": _TEXT,
        "summary": _TEXT,
        "architecture": _record(
            {"arch": _TEXT, "kind": _TEXT, "preset": _TEXT, "parameters": _COUNT},
            {"encoder_parameters": _COUNT},
        ),
        "dataset": _record({"name": _TEXT, "fingerprint": _TEXT, "images": _COUNT}),
        "training": _record(
            {
                "epochs": _COUNT,
                "seed": _COUNT,
                "command": _TEXT,
                "settings": _map(_SCALAR),
                "final": _map(_MEASURE),
            }
        ),
        "image": _record(
            {
                "shape": _is(
                    "[height, width, 1 or 3]",
                    lambda value: (
                        isinstance(value, list)
                        and len(value) == 3
                        and all(_is_count(side) and side > 0 for side in value)
                        and value[2] in (1, 3)
                    ),
                ),
                "layout": _is("NHWC", lambda value: value == "NHWC"),
                "dtype": _is("float32", lambda value: value == "float32"),
                "range": _RANGE,
                "meaning": _TEXT,
            }
        ),
        "signatures": _map(
            _record({"files": _list(_TEXT), "inputs": _map(_TENSOR), "outputs": _map(_TENSOR)})
        ),
        "files": _map(_is("an object", lambda value: isinstance(value, dict))),
        "metrics": _map(_either_scalars),
        "recommended": _record({"file": _TEXT, "reason": _TEXT}),
        "versions": _map(_TEXT),
        "license": _TEXT,
        "command": _TEXT,
        "latent": _record(
            {
                "size": _SIZE,
                "distribution": _is(
                    "normal or mixture", lambda value: value in ("normal", "mixture")
                ),
            },
            {
                "components": _SIZE,
                "mixture": _record({"weights": _list(_NUMBER), "means": _ROWS, "factors": _ROWS}),
            },
        ),
    }
)
