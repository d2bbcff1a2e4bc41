"""Running .tflite files through LiteRT."""

import subprocess
import sys

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from keras_ganvae.errors import InputError
from keras_ganvae.tflite.read import read_model
from keras_ganvae.tflite.run import TensorInfo, open_model


@pytest.fixture(scope="module")
def sampler(tiny_bundle):
    return open_model(tiny_bundle("vae") / "sampler.tflite")


def test_shapes_and_types(sampler):
    decode = sampler.signatures["decode_16"]
    assert decode.inputs["latent"] == TensorInfo((16, 4), np.dtype(np.float32))
    assert decode.outputs["image"] == TensorInfo((16, 28, 28, 1), np.dtype(np.float32))
    assert set(sampler.signatures["sample"].outputs) == {"image", "latent"}


def test_runs_what_litert_runs(sampler):
    latent = np.linspace(-1, 1, 4, dtype=np.float32)[None]
    native = Interpreter(model_path=sampler.path).get_signature_runner("decode")
    for _ in range(2):
        result = sampler.run("decode", latent=latent)["image"]
        np.testing.assert_array_equal(result, native(latent=latent)["image"])


def test_results_are_copies(sampler):
    first = sampler.run("decode", latent=np.zeros((1, 4), np.float32))["image"]
    kept = first.copy()
    sampler.run("decode", latent=np.full((1, 4), 3, np.float32))
    np.testing.assert_array_equal(first, kept)


def test_from_bytes_and_threads(tiny_bundle, sampler):
    content = (tiny_bundle("vae") / "sampler.tflite").read_bytes()
    seed = np.array([7], np.int32)
    for source in (content, read_model(content)):
        other = open_model(source, threads=2)
        latent = other.run("sample", seed=seed)["latent"]
        np.testing.assert_array_equal(latent, sampler.run("sample", seed=seed)["latent"])


@pytest.mark.parametrize(
    ("signature", "inputs", "reason"),
    [
        ("paint", {}, "has no signature paint; it has decode"),
        ("decode", {}, "takes latent"),
        ("decode", {"image": np.zeros((1, 4), np.float32)}, "takes latent"),
        ("decode", {"latent": np.zeros((2, 4), np.float32)}, r"not float32 \[2, 4\]"),
        ("decode", {"latent": np.zeros((1, 4))}, "not float64"),
    ],
)
def test_wrong_inputs(sampler, signature, inputs, reason):
    with pytest.raises(InputError, match=reason):
        sampler.run(signature, **inputs)


def test_no_model(tmp_path):
    (tmp_path / "text.tflite").write_text("this is a text\n" * 10)
    with pytest.raises(InputError, match="text.tflite is not a valid .tflite file"):
        open_model(tmp_path / "text.tflite")


def test_text_that_reaches_beyond_the_file(tiny_bundle):
    """The schema's Python reader cuts it short; the native interpreter verifies offsets."""
    content = bytearray((tiny_bundle("vae") / "model.tflite").read_bytes())
    start = content.rindex(b"decode") - 4
    content[start : start + 4] = (2**31 - 1).to_bytes(4, "little")
    with pytest.raises(InputError):
        open_model(bytes(content))


def test_a_run_that_fails(edited):
    """Thresholds below every random word choose a component that the mixture lacks."""

    def lower_thresholds(model):
        from keras_ganvae.tflite.read import OPERATORS

        graph = model.subgraphs[-1]
        names = [OPERATORS[model.operatorCodes[o.opcodeIndex].builtinCode] for o in graph.operators]
        operator = graph.operators[names.index("GREATER_EQUAL")]
        tensor = graph.tensors[operator.inputs[1]]
        thresholds = np.full(tensor.shape, -(2**31), np.int32)
        model.buffers[tensor.buffer].data = thresholds.view(np.uint8).ravel()

    model = open_model(edited(lower_thresholds, "sampler.tflite"), path="x.tflite")
    for _ in range(2):
        with pytest.raises(InputError, match="can't run sample of x.tflite: gather index"):
            model.run("sample", seed=np.array([1], np.int32))


def test_prints_nothing(tiny_bundle):
    code = (
        "import sys, numpy as np; from keras_ganvae.tflite.run import open_model\n"
        "model = open_model(sys.argv[1])\n"
        "model.run('decode', latent=np.zeros((1, 4), np.float32))"
    )
    path = tiny_bundle("vae") / "model.tflite"
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout == done.stderr == ""
