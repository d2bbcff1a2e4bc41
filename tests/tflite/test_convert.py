"""TFLite files and SavedModels equal the Keras model, and suit a phone."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from keras_ganvae.bundle import golden
from keras_ganvae.errors import InputError
from keras_ganvae.models import latents
from keras_ganvae.priors import NormalPrior
from keras_ganvae.tflite import saved_model
from keras_ganvae.tflite.convert import QUANTIZATIONS, convert, convert_sampler
from keras_ganvae.tflite.functions import ExportedModel, exported, has_encoder, image_decoder
from keras_ganvae.tflite.lint import lint
from keras_ganvae.tflite.read import read_model
from keras_ganvae.tflite.run import open_model
from keras_ganvae.tflite.signatures import GOLDEN_COUNT, SAVED_MODEL, in_file

ARCHS = ("gan", "dcgan", "vae", "cvae")
CASES = [(arch, preset) for arch in ARCHS for preset in ("default", "paper")]


@pytest.fixture(scope="session")
def shaken(make_model):
    """`shaken(arch, preset)`: an untrained model with biases and batch-norm statistics."""

    def make(arch, preset):
        model = make_model(arch, preset)
        random = np.random.default_rng(1)
        for weight in model.weights:
            name = weight.path.rpartition("/")[2]
            if name in ("gamma", "moving_variance"):
                weight.assign(random.uniform(0.5, 2, weight.shape))
            elif name in ("beta", "bias", "moving_mean"):
                weight.assign(random.normal(scale=0.2, size=weight.shape))
        return model

    return make


@pytest.fixture(scope="session")
def module_of(shaken):
    """`module_of(arch, preset)`: the signatures of a shaken model, with a N(0, I) prior."""

    @functools.cache
    def make(arch, preset="default"):
        model = shaken(arch, preset)
        return exported(model, NormalPrior(model.latent_dim))

    return make


@pytest.fixture(scope="session")
def converted(module_of):
    """`converted(arch, variant, preset)`: the bytes of one variant."""

    @functools.cache
    def make(arch, variant, preset="default"):
        module = module_of(arch, preset)
        if variant.startswith("sampler"):
            return convert_sampler(module, variant.removeprefix("sampler_"))
        return convert(module, variant)

    return make


def _errors(module, content, count=50):
    """|image - Keras's image| for latents that calibration did not use."""
    model = open_model(content)
    z = module.prior.sample(count, 77)
    found = np.concatenate([model.run("decode", latent=each[None])["image"] for each in z])
    assert found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 1
    return np.abs(found - latents.decode(module.model, z))


@pytest.mark.parametrize(
    ("variant", "largest", "mean"),
    [
        ("float32", 1e-5, 1e-6),
        ("float16", 5e-3, 3e-4),
        ("dynamic_int8", 0.15, 0.01),
        ("int8", 0.2, 0.015),
    ],
)
@pytest.mark.parametrize("arch", ["vae", "cvae"])
def test_images_of_each_variant(module_of, converted, arch, variant, largest, mean):
    errors = _errors(module_of(arch), converted(arch, variant))
    assert errors.max() <= largest
    assert errors.mean() <= mean


@pytest.mark.parametrize("case", CASES, ids="-".join)
def test_presets_are_converted_exactly_and_lint_clean(module_of, converted, case):
    arch, preset = case
    content = converted(arch, "float32", preset)
    assert _errors(module_of(*case), content, 10).max() <= 1e-5
    parsed = read_model(content)
    assert [str(finding) for finding in lint(parsed).findings] == []
    versions = [each.version for each in _operators(parsed) if each.name == "TRANSPOSE_CONV"]
    assert all(version <= 3 for version in versions)
    assert len(versions) == (3 if case in (("dcgan", "paper"), ("cvae", "paper")) else 0)
    # Batch norm is part of the weights, and the tanh's rescaling of the logistic.
    assert not {"MUL", "ADD", "SUB", "RSQRT"} & {each.name for each in _operators(parsed)}


def test_the_8_bit_files_and_the_sampler_are_lint_clean(converted):
    for variant in ("float16", "dynamic_int8", "int8", "sampler_float32", "sampler_float16"):
        findings = lint(read_model(converted("cvae", variant))).findings
        assert [str(finding) for finding in findings] == [], variant


def test_int8_is_integer_between_its_float_ends(converted):
    parsed = read_model(converted("cvae", "int8"))
    graph = parsed.graphs[0]
    first, *inside, last = graph.operators
    assert (first.name, last.name) == ("QUANTIZE", "DEQUANTIZE")
    assert {tensor.dtype for each in inside for tensor in each.outputs} == {"INT8"}
    decode = parsed.signatures["decode"]
    ends = (*decode.inputs.values(), *decode.outputs.values())
    assert {each.dtype for each in ends} == {"FLOAT32"}


def _scales(parsed, name):
    """Number of scales of the weights of the first operator of a name."""
    operators = parsed.graphs[0].operators
    weights = next(each.inputs[1] for each in operators if each.name == name)
    return len(weights.quantization.scales)


@pytest.mark.parametrize("variant", ["dynamic_int8", "int8"])
def test_weights_have_a_scale_for_each_channel(converted, variant):
    cvae, vae = (read_model(converted(arch, variant)) for arch in ("cvae", "vae"))
    assert _scales(cvae, "CONV_2D") == 64
    assert _scales(vae, "FULLY_CONNECTED") == 256
    assert _scales(cvae, "FULLY_CONNECTED") == 1, "with so few inputs, they would cost too much"


@pytest.mark.parametrize(
    ("variant", "share"),
    [("float32", 1), ("float16", 1 / 2), ("dynamic_int8", 1 / 4), ("int8", 1 / 4)],
)
def test_sizes(module_of, converted, variant, share):
    weights = 4 * image_decoder(module_of("vae").model).count_params()
    assert 0.99 < len(converted("vae", variant)) / (weights * share) < 1.15


@pytest.mark.parametrize("weights", ["float32", "float16"])
def test_the_samplers_signatures_share_their_weights(module_of, converted, weights):
    module = module_of("cvae")
    content = converted("cvae", f"sampler_{weights}")
    assert set(read_model(content).signatures) == set(module.functions)
    numbers = sum(int(np.prod(variable.shape)) for variable in module.variables)
    assert len(content) < numbers * {"float32": 4, "float16": 2}[weights] + 50_000


@pytest.mark.parametrize(("weights", "tolerance"), [("float32", 1e-5), ("float16", 2e-2)])
def test_every_signature_of_the_sampler(module_of, converted, weights, tolerance):
    module = module_of("cvae")
    model = open_model(converted("cvae", f"sampler_{weights}"))
    arrays = golden.make(module.model, module.prior)

    def check(found, wanted, atol=tolerance):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=atol)

    check(model.run("decode_16", latent=arrays["latents"])["image"], arrays["images"])
    for i in range(GOLDEN_COUNT):
        one = slice(i, i + 1)
        sampled = model.run("sample", seed=arrays["seeds"][one])
        check(sampled["latent"], arrays["seed_latents"][one], 1e-5)
        check(sampled["image"], arrays["seed_images"][one])
        encoded = model.run("encode", image=arrays["encode_images"][one])
        check(encoded["mean"], arrays["means"][one], 2 * tolerance)
        check(encoded["log_variance"], arrays["log_variances"][one], 2 * tolerance)
        rebuilt = model.run("reconstruct", image=arrays["encode_images"][one])
        check(rebuilt["reconstruction"], arrays["reconstructions"][one])


@pytest.mark.parametrize("variant", [*QUANTIZATIONS, "sampler_float16"])
def test_the_same_model_gives_the_same_bytes(module_of, converted, variant):
    again = exported(module_of("cvae").model, module_of("cvae").prior)
    found = (
        convert_sampler(again, "float16")
        if variant == "sampler_float16"
        else convert(again, variant)
    )
    assert found == converted("cvae", variant)


def test_colour(make_model):
    model = make_model("cvae", image_shape=(32, 32, 3))
    module = exported(model, NormalPrior(model.latent_dim))
    content = convert(module, "float32")
    assert read_model(content).signatures["decode"].outputs["image"].shape == (1, 32, 32, 3)
    assert _errors(module, content, 5).max() <= 1e-5


def test_saved_model(module_of, tmp_path):
    module = module_of("cvae")
    saved_model.write(module, tmp_path / "saved_model", in_file(SAVED_MODEL))
    loaded = tf.saved_model.load(str(tmp_path / "saved_model")).signatures
    assert set(loaded) == {"decode", "sample", "encode", "reconstruct"}
    arrays = golden.make(module.model, module.prior)
    image = loaded["decode"](latent=tf.constant(arrays["latents"][:1]))["image"]
    np.testing.assert_allclose(image, arrays["images"][:1], rtol=0, atol=1e-5)
    sampled = loaded["sample"](seed=tf.constant(arrays["seeds"][3:4]))
    np.testing.assert_allclose(sampled["latent"], arrays["seed_latents"][3:4], rtol=0, atol=1e-5)


@pytest.mark.parametrize("arch", ["vae", "dcgan"])
def test_a_saved_model_does_not_depend_on_what_else_the_process_made(module_of, tmp_path, arch):
    module = module_of(arch)
    again = exported(module.model, module.prior)  # its functions get other numbers
    names = in_file(SAVED_MODEL, has_encoder(module.model))
    files = []
    for made, folder in ((module, tmp_path / "one"), (again, tmp_path / "two")):
        saved_model.write(made, folder, names)
        found = sorted(path for path in folder.rglob("*") if path.is_file())
        files.append({path.relative_to(folder): path.read_bytes() for path in found})
    assert files[0] == files[1]
    assert {path.name for path in files[0]} == {
        "saved_model.pb",
        "variables.data-00000-of-00001",
        "variables.index",
    }


def test_a_gans_saved_model_leaves_the_discriminator_out(module_of, tmp_path):
    module = module_of("gan")
    saved_model.write(module, tmp_path, in_file(SAVED_MODEL, has_encoder=False))
    assert set(tf.saved_model.load(str(tmp_path)).signatures) == {"decode", "sample"}
    data = sum(path.stat().st_size for path in (tmp_path / "variables").iterdir())
    assert data < 4 * image_decoder(module.model).count_params() + 50_000


def test_an_operator_that_a_phone_lacks(capfd):
    def decode(latent):
        return {"image": tf.linalg.det(tf.reshape(latent, (1, 2, 2)))}

    spec = tf.TensorSpec((1, 4), name="latent")
    functions = {"decode": tf.function(decode, input_signature=[spec])}
    module = ExportedModel(None, NormalPrior(4), functions, [])
    with pytest.raises(InputError, match="can't convert the model .*tf.MatrixDeterminant") as info:
        convert(module, "float32")
    assert len(str(info.value).splitlines()) == 1
    assert capfd.readouterr() == ("", "")


def test_a_saved_model_that_can_not_be_written(module_of, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="can't write the SavedModel: "):
        saved_model.write(module_of("cvae"), tmp_path / "file" / "saved_model", ["decode"])


def test_conversion_is_quiet(module_of, capfd):
    capfd.readouterr()
    convert(module_of("cvae"), "int8")
    assert capfd.readouterr() == ("", "")


def _operators(parsed):
    return [each for graph in parsed.graphs for each in graph.operators]
