"""A tiny bundle, a stand-in for the built app, and the site of both."""

import json
import shutil

import pytest

import stand_in_app
from keras_ganvae.bundle import card


@pytest.fixture(scope="session")
def bundle(tiny_bundle):
    """The bundle `vae-synthetic` of a tiny VAE, which tests must not change."""
    return tiny_bundle("vae")


@pytest.fixture
def named(bundle, tmp_path):
    """`named(name)`: the same bundle under another name."""

    def copy(name):
        folder = shutil.copytree(bundle, tmp_path / f"named {name.replace('/', ' ')}")
        path = folder / card.NAME
        path.write_text(json.dumps(card.sealed(json.loads(path.read_text()) | {"name": name})))
        return folder

    return copy


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """A folder with the files of the built app that Python names."""
    return stand_in_app.write(tmp_path_factory.mktemp("built"))


@pytest.fixture
def stand_in(built, monkeypatch):
    """Sites that this process writes contain the stand-in."""
    from keras_ganvae.web import site

    monkeypatch.setattr(site, "BUILT", built)
    return built
