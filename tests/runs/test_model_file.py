"""model.keras: equal models give equal bytes, and Keras reads them."""

import io
import json
import zipfile

import keras
import numpy as np

from keras_ganvae.runs import model_file


def _members(path):
    with zipfile.ZipFile(path) as archive:
        return {info.filename: (info, archive.read(info)) for info in archive.infolist()}


def test_equal_models_give_equal_files(make_model, tmp_path):
    for name in ("one", "two"):
        model_file.save(make_model("gan", latent_dim=4), tmp_path / f"{name}.keras")
    assert (tmp_path / "one.keras").read_bytes() == (tmp_path / "two.keras").read_bytes()
    other = make_model("gan", latent_dim=4, seed=1)
    model_file.save(other, tmp_path / "two.keras")
    assert (tmp_path / "one.keras").read_bytes() != (tmp_path / "two.keras").read_bytes()


def test_no_date_and_no_address_is_left(make_model, tmp_path):
    model = make_model("dcgan", latent_dim=4)
    model.save(tmp_path / "keras.keras")
    model_file.save(model, tmp_path / "model.keras")
    theirs, ours = _members(tmp_path / "keras.keras"), _members(tmp_path / "model.keras")
    assert list(theirs) == list(ours)
    assert theirs["model.weights.h5"][1] == ours["model.weights.h5"][1]
    assert {info.date_time for info, _ in ours.values()} == {(1980, 1, 1, 0, 0, 0)}
    metadata = json.loads(ours["metadata.json"][1])
    assert metadata == {"keras_version": keras.__version__, "date_saved": model_file.DATE}
    shared = [_shared(json.loads(files["config.json"][1])) for files in (theirs, ours)]
    # The same objects are shared: one number for one address, in the order they appear.
    numbers = {address: i for i, address in enumerate(dict.fromkeys(shared[0]), 1)}
    assert shared[1] == [numbers[address] for address in shared[0]]
    assert set(shared[1]) == set(range(1, len(numbers) + 1)) != set()


def _shared(config):
    if isinstance(config, list):
        return [number for each in config for number in _shared(each)]
    if not isinstance(config, dict):
        return []
    own = [config["shared_object_id"]] if "shared_object_id" in config else []
    return [*own, *(number for each in config.values() for number in _shared(each))]


def test_keras_loads_and_edits_the_file(make_model, tmp_path, monkeypatch):
    model = make_model("cvae", latent_dim=4)
    model_file.save(model, tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    for one, two in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    monkeypatch.setattr("sys.stdout", io.StringIO())
    editor = keras.saving.KerasFileEditor(str(tmp_path / "model.keras"))
    assert editor.weights_dict
