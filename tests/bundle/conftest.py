"""Facts for model cards, and copies of bundles that a test may change."""

import json
import shutil

import pytest

from keras_ganvae.bundle import card
from keras_ganvae.bundle.formats import SAMPLER
from keras_ganvae.priors import NormalPrior

PARITY = {"max_error": 3.1e-7, "mean_error": 2.2e-8, "psnr": 141.2, "correlation": 0.9999999}
DELEGATES = {
    "XNNPACK": "whole graph",
    "GPU": "whole graph",
    "Core ML": "TRANSPOSE_CONV is left to the CPU",
}


@pytest.fixture(scope="session")
def model_facts():
    """`model_facts(name, variational)`: the card's facts of a .tflite file but size and hash."""

    def make(name, variational):
        signatures = ["decode"]
        if name == SAMPLER:
            signatures += ["decode_16", "sample"]
            signatures += ["encode", "reconstruct"] if variational else []
        return card.model_facts(
            name,
            signatures=signatures,
            operators=[{"name": "FULLY_CONNECTED", "version": 1, "count": 3}],
            delegates=dict.fromkeys(signatures, DELEGATES),
            parity=PARITY,
            tolerance={"max_error": 5e-3, "reason": "weights keep 11 bits"},
            weights="float32",
        )

    return make


@pytest.fixture(scope="session")
def make_facts(model_facts):
    """`make_facts(prior, variational, image_shape, files)`: facts of a plausible bundle.

    `files` has the size and hash of each file; the default is a file for every variant.
    """

    def make(prior=None, variational=True, image_shape=(28, 28, 1), files=None):
        encoder = {"encoder_parameters": 512_000} if variational else {}
        if files is None:
            names = ("golden.npz", "samples.png", "saved_model/saved_model.pb", *card.MODELS)
            files = {name: {"bytes": 226_816, "sha256": "ab" * 32} for name in names}
        return card.Facts(
            name="cvae-mnist",
            summary="Draws handwritten digits.",
            architecture={
                "arch": "cvae",
                "kind": "variational" if variational else "adversarial",
                "preset": "default",
                "parameters": 56_000,
                **encoder,
            },
            prior=prior or NormalPrior(3),
            image_shape=image_shape,
            files={
                name: facts | (model_facts(name, variational) if name in card.MODELS else {})
                for name, facts in files.items()
            },
            recommended={
                "file": "model_float16.tflite",
                "reason": "half the size and visually equal images",
            },
            versions={"python": "3.11.7", "tensorflow": "2.21.0"},
            command="keras-ganvae export runs/cvae --out exports/cvae-mnist",
            **card.run_facts(
                {
                    "config": {"arch": "cvae", "data_dir": "/data", "seed": 4, "beta": 1.0},
                    "dataset": {"name": "mnist", "fingerprint": "84c6f6fcd16d", "train": 55_000},
                    "command": "keras-ganvae train --arch cvae --dataset mnist",
                },
                [{"epoch": 1, "loss": 130.0}, {"epoch": 2, "loss": 95.25}],
            ),
        )

    return make


@pytest.fixture
def bundle_copy(tiny_bundle, tmp_path):
    """`bundle_copy(arch)`: a copy of `tiny_bundle(arch)` that the test may change."""

    def make(arch):
        return shutil.copytree(tiny_bundle(arch), tmp_path / "copy" / arch)

    return make


@pytest.fixture(scope="session")
def restated():
    """`restated(bundle, change)`: call `change(card)` and write the card with a new digest."""

    def restate(folder, change):
        path = folder / card.NAME
        record = json.loads(path.read_text())
        change(record)
        path.write_text(json.dumps(card.sealed(record)))

    return restate


@pytest.fixture(scope="session")
def relisted(restated):
    """`relisted(bundle, **changes)`: change keys of the card and update sizes and hashes."""

    def relist(folder, **changes):
        def change(record):
            record |= changes
            for name, facts in card.listing(folder).items():
                if name in record["files"]:
                    record["files"][name] |= facts

        restated(folder, change)

    return relist
