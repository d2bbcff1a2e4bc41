"""Read, lint and run one .tflite file, each once."""

import math
import os
from dataclasses import dataclass

import numpy as np

from keras_ganvae.bundle.formats import GOLDEN
from keras_ganvae.errors import GateFailed
from keras_ganvae.tflite import lint, read, run
from keras_ganvae.tflite.signatures import SIGNATURES

MAX_OVERSHOOT = 1e-6  # of images beyond [0, 1], by rounding


@dataclass(frozen=True)
class Inspection:
    """What reading, linting and running one file showed.

    weights, activations: their types, as in `VARIANTS`.
    parity: signature -> output -> max_error, mean_error, psnr, correlation to golden.npz.
    """

    model: run.LoadedModel
    lint: lint.LintReport
    weights: str
    activations: str
    parity: dict[str, dict[str, dict[str, float]]]

    @property
    def signatures(self) -> list[str]:
        return list(self.parity)

    @property
    def tensors(self) -> dict[str, dict[str, dict[str, dict]]]:
        """Inputs and outputs of each signature, as a card's `signatures` has them."""
        return {
            name: {
                "inputs": _tensors(info.inputs, SIGNATURES[name].inputs),
                "outputs": _tensors(info.outputs, SIGNATURES[name].outputs),
            }
            for name, info in self.model.signatures.items()
        }


def inspect_file(path: str | os.PathLike, golden: dict[str, np.ndarray]) -> Inspection:
    """Inspect one file of a bundle.

    Args:
        golden: the arrays of golden.npz.

    Raises:
        InputError: the file is damaged or can't be run.
        GateFailed: lint has findings, a signature is unknown, or an output is not finite or
            has the wrong shape or range.
    """
    file = read.read_model(path)
    report = lint.lint(file)
    if not report.passed:
        raise GateFailed(f"{file.path}: {report.findings[0]}")
    model = run.open_model(file)
    return Inspection(
        model,
        report,
        _type({each.dtype for each in _all_tensors(file) if each.is_constant}),
        _type({each.dtype for each in _all_tensors(file) if not each.is_constant}),
        {name: _parity_of(model, name, golden) for name in model.signatures},
    )


def parity(found: np.ndarray, golden: np.ndarray) -> dict[str, float]:
    """The distance of two arrays of the same shape, such as images in [0, 1].

    Returns:
        max_error, mean_error: absolute; psnr: 10 log10(1 / mean squared error), dB, infinite
        for equal arrays; correlation: Pearson's, over all elements.
    """
    found, golden = np.asarray(found, np.float64), np.asarray(golden, np.float64)
    error = np.abs(found - golden)
    square = float((error**2).mean())
    return {
        "max_error": float(error.max()),
        "mean_error": float(error.mean()),
        "psnr": -10 * math.log10(square) if square > 0 else math.inf,
        "correlation": _correlation(found.ravel(), golden.ravel()),
    }


def _all_tensors(file):
    return [tensor for graph in file.graphs for tensor in graph.tensors]


def _type(dtypes):
    """The coarsest type, which is that of the weights or activations: others stay finer."""
    return next((each.lower() for each in ("INT8", "FLOAT16") if each in dtypes), "float32")


def _tensors(infos, specs):
    return {
        key: {"shape": list(info.shape), "dtype": str(info.dtype)}
        | ({"range": [0, 1]} if specs[key].is_image else {})
        for key, info in infos.items()
    }


def _correlation(a, b):
    a, b = a - a.mean(), b - b.mean()
    norm = math.sqrt(float(a @ a) * float(b @ b))
    # Two constants correlate perfectly here.
    return float(a @ b) / norm if norm > 0 else float(not a.any() and not b.any())


def _parity_of(
    model: run.LoadedModel, name: str, golden: dict[str, np.ndarray]
) -> dict[str, dict[str, float]]:
    """Parity of each output of one signature."""
    if name not in SIGNATURES:
        raise GateFailed(f"{model.path} has an unknown signature: {name}")
    signature = SIGNATURES[name]
    missing = signature.golden.keys() - golden.keys()
    if missing:
        raise GateFailed(f"{model.path} has {name}, but {GOLDEN} lacks {min(missing)}")
    results = _run_all(model, signature, golden)
    found = {}
    if results.keys() != signature.outputs.keys():
        outputs = ", ".join(signature.outputs)
        raise GateFailed(f"{name} of {model.path} has other outputs than {outputs}")
    for output, spec in signature.outputs.items():
        expected = golden[spec.golden]
        _check_output(f"{output} of {name} in {model.path}", results[output], expected, spec)
        found[output] = parity(results[output], expected)
    return found


def _run_all(model, signature, golden):
    """The outputs for all golden inputs, one batch after another."""
    name, (key, spec) = signature.name, signature.input
    inputs = model.signatures[name].inputs
    if key not in inputs:
        raise GateFailed(f"{name} of {model.path} has no input {key}")
    batch = (inputs[key].shape or (1,))[0]
    if batch != signature.batch:
        raise GateFailed(f"{name} of {model.path} has batch size {batch}")
    arrays = golden[spec.golden]
    parts = [
        model.run(name, **{key: arrays[start : start + batch]})
        for start in range(0, len(arrays), batch)
    ]
    return {output: np.concatenate([part[output] for part in parts]) for output in parts[0]}


def _check_output(what, found, golden, spec):
    if found.shape != golden.shape:
        raise GateFailed(f"{what} has shape {list(found.shape)} instead of {list(golden.shape)}")
    if not np.isfinite(found).all():
        raise GateFailed(f"{what} is not finite")
    if spec.is_image and (found.min() < -MAX_OVERSHOOT or found.max() > 1 + MAX_OVERSHOOT):
        raise GateFailed(f"{what} ranges from {found.min():.3g} to {found.max():.3g}")
