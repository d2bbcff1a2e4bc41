"""The bundles in exports/, from which a fresh clone samples."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from keras_ganvae import architectures
from keras_ganvae.bundle import card as cards
from keras_ganvae.bundle import readme
from keras_ganvae.bundle.read import Bundle
from keras_ganvae.bundle.sample import open_source
from keras_ganvae.bundle.verify import verify
from keras_ganvae.metrics import features

ROOT = Path(__file__).parents[2]
EXPORTS = ROOT / "exports"
BUNDLES = [EXPORTS / f"{arch}-mnist" for arch in architectures.names()]


@pytest.fixture(params=BUNDLES, ids=lambda path: path.name)
def reference(request):
    return request.param


def test_it_passes_verification(reference):
    report = verify(reference)
    assert {"model.tflite", "model_float16.tflite", "sampler.tflite"} <= set(report["models"])


def test_its_readme_is_rendered_from_its_card(reference):
    card = cards.read(reference / cards.NAME)
    assert (reference / cards.README).read_text(encoding="utf-8") == readme.render(card)


def test_its_card_has_metrics_and_no_local_paths(reference):
    card = Bundle.open(reference).card
    for variant in ("float32", "float16", "int8", "sampler"):
        assert card["metrics"][variant]["frechet"] <= 1.05 * card["metrics"]["keras"]["frechet"]
    for command in (card["command"], card["training"]["command"]):
        assert command.startswith("keras-ganvae ") and " /" not in command


def test_its_samples_look_like_all_ten_digits(reference):
    images = open_source(reference).sample(500, seed=3)
    mnist = SimpleNamespace(name="mnist", image_shape=(28, 28, 1))
    _, probabilities = features.load(mnist, "digits").extract(images)
    assert probabilities.max(axis=1).mean() > 0.9, "digits must look like digits"
    assert len(np.unique(probabilities.argmax(axis=1))) == 10


def test_the_bundles_are_small_enough_for_the_repository():
    script = ROOT / "scripts" / "export_reference.py"
    limits = dict(
        line.split("#")[0].split(" = ")
        for line in script.read_text().splitlines()
        if line.startswith("MOST_BYTES")
    )
    sizes = [path.stat().st_size for path in EXPORTS.rglob("*") if path.is_file()]
    assert sum(sizes) <= int(limits["MOST_BYTES"])
    assert max(sizes) <= int(limits["MOST_BYTES_OF_A_FILE"])
