"""What a finished run holds, file by file."""

import csv
import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from keras_ganvae import TrainConfig, architectures, data, load_run
from keras_ganvae.errors import InputError
from keras_ganvae.files import sha256_of
from keras_ganvae.ownership import RUN, remove_own
from keras_ganvae.runs import identity, lock
from keras_ganvae.runs.run import check_free
from keras_ganvae.training.train import resume

ARCHITECTURES = architectures.names()
ADVERSARIAL = [
    "generator_loss",
    "discriminator_loss",
    "real_accuracy",
    "fake_accuracy",
    "accuracy",
]
VARIATIONAL = ["loss", "reconstruction", "kl"]


def _logged(arch):
    return VARIATIONAL if architectures.load(arch).KIND == "variational" else ADVERSARIAL


@pytest.fixture(scope="module")
def events(run_of):
    """`events(arch, writer)`: what TensorBoard reads of one of a run's writers."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    def read(arch, writer=""):
        return EventAccumulator(str(run_of(arch).tensorboard / writer)).Reload()

    return read


def _plugin_tags(accumulator):
    """{plugin: [tags]}."""
    found = {}
    for tag in accumulator.Tags()["tensors"]:
        plugin = accumulator.SummaryMetadata(tag).plugin_data.plugin_name
        found.setdefault(plugin, []).append(tag)
    return found


def _series(accumulator, tag):
    """[(step, value)]."""
    from tensorboard.util.tensor_util import make_ndarray

    return [(e.step, float(make_ndarray(e.tensor_proto))) for e in accumulator.Tensors(tag)]


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_file_is_there_and_no_litter(run_of, arch):
    run = run_of(arch)
    found = {p.relative_to(run.path).as_posix() for p in run.path.rglob("*") if p.is_file()}
    figures = {"samples-00001.png", "samples-00002.png", "loss.png", "training.gif"}
    figures |= {"reconstructions.png"} if run.is_variational else {"accuracy.png"}
    expected = {"config.json", "history.csv", "model.keras"}
    expected |= {"prior.npz"} if run.is_variational else set()
    expected |= {f"figures/{name}" for name in figures}
    others = found - expected
    assert expected <= found
    others -= {lock.NAME}
    assert all(each.split("/")[0] in ("checkpoint", "tensorboard") for each in others), others
    assert not any(part.startswith(".") for each in others for part in each.split("/"))
    assert {p.name for p in run.path.iterdir()} == {
        "checkpoint",
        "figures",
        "tensorboard",
        lock.NAME,
    } | {name for name in expected if "/" not in name}


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_config_is_enough_to_repeat_the_run(run_of, arch):
    run = run_of(arch)
    record = json.loads((run.path / "config.json").read_text())
    assert record["arch"] == arch and record["config"]["seed"] == 0
    assert {"python", "tensorflow", "keras", "numpy"} <= set(record["versions"])
    assert record["dataset"] | {"fingerprint": None} == {
        "name": "synthetic",
        "fingerprint": None,
        "image_shape": [28, 28, 1],
        "train": 200,
        "validation": 200,
        "test": 200,
    }
    again = TrainConfig.from_dict(record["config"])
    assert again == run.config == architectures.resolve(again)
    dataset = data.load(again.dataset, limit=again.limit, validation_size=again.validation_size)
    assert dataset.fingerprint == record["dataset"]["fingerprint"]
    assert run.dataset().fingerprint == dataset.fingerprint


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_history_has_a_row_for_each_epoch(run_of, arch):
    run = run_of(arch)
    with open(run.path / "history.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header[:3] == ["epoch", "seconds", "images_per_second"]
    logged = _logged(arch)
    assert set(header[3:]) == {*logged, *(f"val_{name}" for name in logged)}
    assert [row[0] for row in rows] == ["1", "2"]
    for row in run.history():
        assert row["seconds"] > 0 and row["images_per_second"] > 0
        assert np.isfinite(list(row.values())).all()
        for prefix in ("", "val_"):
            if run.is_variational:
                parts = row[f"{prefix}reconstruction"] + row[f"{prefix}kl"]
                assert row[f"{prefix}loss"] == pytest.approx(parts, rel=1e-5)
            else:
                real, fake, both = (row[prefix + name] for name in ADVERSARIAL[2:])
                assert both == pytest.approx((real + fake) / 2, abs=1e-6)
                assert 0 <= real <= 1 and 0 <= fake <= 1
                # Shares of 200 images, if each batch was weighed by its images.
                assert real * 200 == pytest.approx(round(real * 200), abs=1e-3)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_figure_decodes(run_of, arch):
    pictures = sorted(run_of(arch).figures.glob("*.*"))
    assert len(pictures) >= 5
    for path in pictures:
        with Image.open(path) as image:
            image.load()
            assert min(image.size) > 100 and np.ptp(np.asarray(image)) > 50
            frames = getattr(image, "n_frames", 1)
        assert frames == (2 if path.suffix == ".gif" else 1)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_fixed_noise_grid_changes_with_training(run_of, arch):
    first, last = (run_of(arch).figures / f"samples-0000{epoch}.png" for epoch in (1, 2))
    assert first.read_bytes() != last.read_bytes()


@pytest.mark.parametrize("arch", ["cvae", "vae"])
def test_a_vae_has_a_mixture_prior_of_its_latents(run_of, arch):
    run = run_of(arch)
    mixture = run.prior("mixture")
    assert mixture.latent_dim == run.config.latent_dim and mixture.components >= 1
    assert mixture.weights.sum() == pytest.approx(1, abs=1e-5)
    assert set(mixture.held_out) == {"mixture", "normal"}
    assert run.prior("normal").name == "normal"
    assert run.prior().name == run.config.sampling_prior == "mixture"


@pytest.mark.parametrize("arch", ["gan", "dcgan"])
def test_a_gan_has_the_normal_prior_alone(run_of, arch):
    run = run_of(arch)
    assert run.prior().name == "normal"
    with pytest.raises(InputError, match=f"is a {arch}; its prior is N"):
        run.prior("mixture")


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_tensorboard_shows_every_logged_value(run_of, events, arch):
    rows = run_of(arch).history()
    train, validation = events(arch, "train"), events(arch, "validation")
    for name in (*_logged(arch), "images_per_second"):
        expected = [(row["epoch"], pytest.approx(row[name], rel=1e-5)) for row in rows]
        assert _series(train, name) == expected
    for name in _logged(arch):
        expected = [(row["epoch"], pytest.approx(row[f"val_{name}"], rel=1e-5)) for row in rows]
        assert _series(validation, name) == expected
    rates = [tag for tag in _plugin_tags(train)["scalars"] if "learning_rate" in tag]
    assert rates and all(value > 0 for _, value in _series(train, rates[0]))


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_tensorboard_has_pictures_and_weights(run_of, events, arch):
    run, train = run_of(arch), events(arch, "train")
    tags = _plugin_tags(train)
    pictures = " | ".join(tags["images"])
    assert "fixed" in pictures and "fresh" in pictures
    assert ("reconstruction" in pictures) == run.is_variational
    for tag in tags["images"]:
        assert [event.step for event in train.Tensors(tag)] == [1, 2]
        png = train.Tensors(tag)[0].tensor_proto.string_val[2]
        assert png.startswith(b"\x89PNG")
    weights = [weight.path for weight in run.model().trainable_variables]
    assert len(tags["histograms"]) >= len(weights) > 0


@pytest.mark.parametrize("arch", ["cvae", "vae"])
def test_tensorboard_has_the_kl_of_each_dimension(run_of, events, arch):
    run, validation = run_of(arch), events(arch, "validation")
    kl = [tag for tag in validation.Tags()["tensors"] if re.search(r"kl_of_dimension/", tag)]
    assert len(kl) == run.config.latent_dim
    values = [_series(validation, tag)[-1] for tag in kl]
    assert all(step == 2 and value >= 0 for step, value in values)
    # Both are means over validation images, of fresh draws.
    total = sum(value for _, value in values)
    assert total == pytest.approx(run.history()[-1]["val_kl"], rel=0.05)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_tensorboard_has_the_hyperparameters(run_of, events, arch):
    from tensorboard.plugins.hparams import plugin_data_pb2

    summaries = events(arch).summary_metadata
    found = {}
    for tag, metadata in summaries.items():
        if metadata.plugin_data.plugin_name == "hparams":
            content = metadata.plugin_data.content
            found[tag] = plugin_data_pb2.HParamsPluginData.FromString(content)
    kinds = {value.WhichOneof("data") for value in found.values()}
    assert {"experiment", "session_start_info"} <= kinds
    [start] = [v.session_start_info for v in found.values() if v.HasField("session_start_info")]
    settings = dict(start.hparams.items())
    assert settings["arch"].string_value == arch and settings["epochs"].number_value == 2
    [experiment] = [v.experiment for v in found.values() if v.HasField("experiment")]
    columns = {each.name for each in experiment.hparam_infos}
    assert set(settings) <= columns <= set(run_of(arch).config.to_dict())
    shown = {each.name.tag for each in experiment.metric_infos}
    assert shown & {*_logged(arch), *(f"val_{name}" for name in _logged(arch))}


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_checkpoint_of_the_last_epoch_is_kept(run_of, arch):
    from keras_ganvae.data.position import Position
    from keras_ganvae.runs import checkpoints

    run = run_of(arch)
    fingerprint = run.record["dataset"]["fingerprint"]
    _, position, memory = checkpoints.newest(run.checkpoints, fingerprint)
    assert position == Position(2, 0)
    assert [row["epoch"] for row in memory["history"]["rows"]] == [1, 2]


# Opening.


@pytest.fixture
def copied(run_of, tmp_path):
    """`copied(arch)`: a run folder that a test may damage."""

    def copy(arch):
        return shutil.copytree(run_of(arch).path, tmp_path / arch)

    return copy


def _open_all(path):
    run = load_run(path)
    run.history(), run.prior(), run.model()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "config.json").unlink(), "is not a run folder: it has no config"),
        (lambda path: (path / "config.json").write_text('{"config": {'), "config.json is damaged"),
        (lambda path: (path / "config.json").write_text("{}"), "config.json is damaged"),
        (lambda path: (path / "config.json").write_text("[]"), "config.json is damaged"),
        (lambda path: (path / "config.json").write_bytes(b"\xff\xfe"), "config.json is damaged"),
        (lambda path: (path / "config.json").write_text('{"config": 3}'), "config.json is damaged"),
        # A whole config, but nothing of the data set.
        (
            lambda path: (path / "config.json").write_text(
                json.dumps({"config": json.loads((path / "config.json").read_text())["config"]})
            ),
            "config.json is damaged",
        ),
        (lambda path: (path / "history.csv").unlink(), "history.csv is missing or damaged"),
        (lambda path: (path / "history.csv").write_text("epoch\nx\n"), "history.csv is missing"),
        (lambda path: (path / "prior.npz").unlink(), "no prior.npz"),
        (lambda path: (path / "prior.npz").write_bytes(b"x" * 99), "prior.npz is damaged"),
        (
            lambda path: (path / "model.keras").write_bytes(b""),
            "model.keras is damaged .*; delete it and resume the run to write it again",
        ),
    ],
)
def test_incomplete_and_damaged_runs(copied, damage, message):
    path = copied("vae")
    damage(path)
    with pytest.raises(InputError, match=message) as failure:
        _open_all(path)
    assert str(path) in str(failure.value) and "\n" not in str(failure.value)


def _edited(key, value):
    """An edit of config.json: `value` at a key such as "dataset.name"; REMOVED removes it."""

    def edit(path):
        record = json.loads((path / "config.json").read_text())
        *parents, last = key.split(".")
        inner = record
        for name in parents:
            inner = inner[name]
        if value is REMOVED:
            del inner[last]
        else:
            inner[last] = value
        (path / "config.json").write_text(json.dumps(record))

    return edit


REMOVED = object()
EDITS = {
    "dataset": (None, 3, [], "text"),
    "config": (None, 3, []),
    "command": (None, 3),
    "dataset.name": (None, 3, ["synthetic"]),
    "dataset.fingerprint": (None, 3),
    "dataset.image_shape": (None, 28, [28, 28], [28, 28, "1"], [28, 28, 10**400], [0, 28, 1]),
    "dataset.train": (None, "many", -1, 10**400, True),
    "config.arch": (None, 5, "cave", {}, "v" * 10**5),
    "config.preset": (None, "papr", []),
    "config.latent_dim": (None, "four", 10**9, 10**400, 4.0),
    "config.epochs": (None, 0),
    "config.batch_size": (None, []),
    "config.beta": (None, 10**400),
    "config.dataset": (None, "folder:a\0b", "folder:\udcff"),
    "config.schedule_epochs": (None, {}),
}
CASES = [(key, value) for key, values in EDITS.items() for value in (*values, REMOVED)]
# Without these settings, the record means their default.
CASES = [
    each for each in CASES if each not in [(f"config.{k}", REMOVED) for k in ("preset", "dataset")]
]


@pytest.mark.parametrize(("key", "value"), CASES, ids=lambda each: str(each)[:20])
def test_null_missing_and_giant_settings(copied, key, value):
    path = copied("vae")
    _edited(key, value)(path)
    with pytest.raises(InputError, match="config.json is damaged") as failure:
        load_run(path)
    assert "\n" not in str(failure.value) and len(str(failure.value)) < 500


def test_settings_that_older_runs_lack(copied):
    path = copied("vae")
    _edited("config.match_contrast", REMOVED)(path)
    _open_all(path)


@pytest.mark.parametrize(
    "content",
    ["[" * 10**5, '{"config": ' + "9" * 5000 + "}", '{"a": ' * 10**5, "null", "3"],
    ids=["deep lists", "a long number", "deep objects", "null", "a number"],
)
def test_json_that_is_no_record(copied, content):
    path = copied("vae")
    (path / "config.json").write_text(content)
    with pytest.raises(InputError, match="config.json is damaged"):
        load_run(path)


def test_a_giant_field_in_the_history(copied):
    path = copied("vae")
    (path / "history.csv").write_text(f"epoch\n{'9' * 10**6}\n")
    with pytest.raises(InputError, match="history.csv is missing or damaged"):
        load_run(path).history()


def _without_checksum(path):
    """Make it a run of a version that recorded none."""
    _edited(identity.KEY, REMOVED)(path)


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_the_model_of_another_architecture_with_the_same_sizes(copied, run_of, arch, recorded):
    other = {"gan": "dcgan", "dcgan": "gan", "vae": "cvae", "cvae": "vae"}[arch]
    path = copied(arch)
    if not recorded:
        _without_checksum(path)
    shutil.copy(run_of(other).model_file, path)
    reason = "SHA-256 differs" if recorded else f"it holds no {arch}"
    message = f"model.keras is damaged .*{reason}.*; delete it and resume the run to write it again"
    with pytest.raises(InputError, match=message) as failure:
        load_run(path).model()
    assert failure.value.resume == path
    shutil.rmtree(path / "checkpoint")
    with pytest.raises(
        InputError, match="there is no checkpoint .*: train the run again"
    ) as failure:
        load_run(path).model()
    assert failure.value.resume is None


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_run_without_a_checksum_loads(copied, run_of, arch):
    path = copied(arch)
    _without_checksum(path)
    for found, expected in zip(
        load_run(path).model().get_weights(), run_of(arch).model().get_weights(), strict=True
    ):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("extended", [False, True])
def test_a_crash_between_the_checksum_and_the_model_leaves_a_run_to_resume(copied, extended):
    path = copied("vae")
    run = load_run(path)
    run.record[identity.KEY] = "0" * 64
    run.write_config()
    run.mark_unfinished() if extended else run.model_file.unlink()
    assert not load_run(path).is_finished and load_run(path).model() is not None
    resume(path)
    assert load_run(path).record[identity.KEY] == sha256_of(path / "model.keras")
    assert run.is_finished and run.model() is not None, "opened before it was resumed"


@pytest.mark.parametrize("other", ["gan", "other size"])
def test_the_model_of_another_run(copied, run_of, train_tiny, other):
    path = copied("vae")
    _without_checksum(path)
    source = run_of(other) if other == "gan" else train_tiny("vae", latent_dim=3, epochs=1)
    shutil.copy(source.model_file, path)
    with pytest.raises(InputError, match="model.keras is damaged") as failure:
        load_run(path).model()
    assert failure.value.resume == path


def test_a_prior_of_another_size(copied, mixture):
    path = copied("vae")
    mixture(3, 5).save(path / "prior.npz")
    with pytest.raises(InputError, match="prior.npz is damaged .its latents have 5 dimensions"):
        load_run(path).prior()


def test_a_checkpoint_of_another_model(copied, run_of):
    path = copied("vae")
    (path / "model.keras").unlink()
    shutil.rmtree(path / "checkpoint")
    shutil.copytree(run_of("cvae").checkpoints, path / "checkpoint")
    with pytest.raises(InputError, match="is of another model"):
        load_run(path).model()


@pytest.mark.parametrize("name", ["model.keras", "prior.npz", "config.json"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_files(copied, name, share):
    path = copied("vae")
    content = (path / name).read_bytes()
    (path / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=f"{name} is damaged"):
        _open_all(path)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_an_unfinished_run_gives_the_model_of_its_newest_checkpoint(run_of, copied, arch):
    finished = run_of(arch).model()
    path = copied(arch)
    (path / "model.keras").unlink()
    (path / "prior.npz").unlink(missing_ok=True)
    run = load_run(path)
    assert run.progress() == "epoch 2 of 2, not finished" and run_of(arch).progress() is None
    for found, expected in zip(run.model().get_weights(), finished.get_weights(), strict=True):
        np.testing.assert_array_equal(found, expected)
    assert run.prior().name == "normal"
    with pytest.raises(InputError, match="is not finished: no model.keras") as failure:
        run.check_finished()
    assert failure.value.resume == path


def test_a_run_that_another_process_trains_is_not_finished(copied):
    path = copied("vae")
    run = load_run(path)
    with lock.exclusive(path):
        run.check_finished()
        run.model_file.unlink()
        with pytest.raises(InputError, match="is being trained; wait") as failure:
            run.check_finished()
    assert failure.value.resume is None


def test_a_run_without_any_checkpoint_has_no_model(copied):
    path = copied("vae")
    (path / "model.keras").unlink()
    for folder in (path / "checkpoint").iterdir():
        (folder / "manifest.json").unlink()
    with pytest.raises(InputError, match="every checkpoint in .* is damaged"):
        load_run(path).model()


def test_a_missing_run(tmp_path):
    with pytest.raises(InputError, match="no run folder at"):
        load_run(tmp_path / "missing")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="no run folder at"):
        load_run(tmp_path / "file")


def test_changed_data_is_noticed(copied):
    path = copied("vae")
    record = json.loads((path / "config.json").read_text())
    record["config"]["limit"] = 199
    (path / "config.json").write_text(json.dumps(record))
    with pytest.raises(InputError, match="synthetic has changed since"):
        load_run(path).dataset()


# Where a run may go.


@pytest.mark.parametrize("overwrite", [False, True])
def test_free_places(tmp_path, overwrite):
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "new" / "deep", tmp_path / "empty"):
        check_free(path, overwrite)
        assert not path.exists() or not list(path.iterdir())


def test_overwriting_is_for_runs_only(copied, tmp_path):
    run = copied("gan")
    check_free(run, True)
    with pytest.raises(InputError, match="already holds a run; `overwrite` replaces it, `resume`"):
        check_free(run, False)
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "config.json").write_text('{"name": "an app of mine"}')
    with pytest.raises(InputError, match="not empty and not a run"):
        check_free(tmp_path / "project", True)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_every_file_of_a_run_is_ours(copied, arch):
    run = copied(arch)
    remove_own(run, RUN)
    assert not list(run.iterdir())


@pytest.mark.parametrize("dataset", ["npz:{}/prior.npz", "folder:{}", "folder:{}/figures"])
def test_a_run_does_not_replace_its_own_data(copied, dataset):
    run = copied("gan")
    config = TrainConfig(arch="gan", dataset=dataset.format(run))
    with pytest.raises(InputError, match="holds the input"):
        check_free(run, True, config)
    config = TrainConfig(arch="gan", data_dir=str(run / "tensorboard"))
    with pytest.raises(InputError, match="holds the input"):
        check_free(run, True, config)
