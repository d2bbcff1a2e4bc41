import http.server
import logging
import os
import shutil
import socket
import threading

import numpy as np
import pytest

from keras_ganvae.data import available, load, network
from keras_ganvae.data.sources import tfds as tfds_source
from keras_ganvae.errors import InputError

REACHABLE = network.reachable


def test_colour_images_with_both_splits(prepare, pixels, no_network):
    train, test = pixels(24, 32, 32, 3), 255 - pixels(5, 32, 32, 3)
    folder = prepare("pets", {"train": train, "test": test})
    data = load("tfds:pets", data_dir=folder)
    assert (data.name, data.spec, data.classes) == ("pets", "pets", ("cat", "dog"))
    assert data.image_shape == (32, 32, 3)
    assert (len(data.train), len(data.validation), len(data.test)) == (22, 2, 5)
    np.testing.assert_array_equal(
        np.sort(data.test.images.sum((1, 2, 3))), np.sort(test.sum((1, 2, 3)))
    )
    both = np.concatenate([data.train.images, data.validation.images])
    assert {image.tobytes() for image in both} == {image.tobytes() for image in train}
    number = {image.tobytes(): i for i, image in enumerate(train)}
    wanted = [number[image.tobytes()] % 2 for image in data.train.images]
    assert data.train.labels.tolist() == wanted
    assert data.train.labels.dtype == np.int64
    assert not no_network, "a data set on disk needs no network"


def test_a_single_split_is_divided_in_three(prepare, pixels):
    folder = prepare("lone", {"unsplit": pixels(24, 8, 8, 1)}, shape=(8, 8, 1), classes=None)
    data = load("lone", data_dir=folder)
    assert (len(data.train), len(data.validation), len(data.test)) == (21, 1, 2)
    assert data.classes is None and data.train.labels is None


def test_an_existing_validation_split_is_used(prepare, pixels):
    splits = {"train": pixels(20, 8, 8, 1), "validation": pixels(4, 8, 8, 1)}
    folder = prepare("own", splits, shape=(8, 8, 1))
    data = load("own", data_dir=folder)
    assert (len(data.train), len(data.validation), len(data.test)) == (18, 4, 2)
    with pytest.raises(InputError, match="validation images already.*`validation_size`"):
        load("own", data_dir=folder, validation_size=2)


def test_images_of_several_sizes_need_a_size(prepare):
    images = [np.full((20 + i, 30, 3), 10 * i, np.uint8) for i in range(6)]
    folder = prepare("varied", {"train": images}, shape=(None, None, 3))
    with pytest.raises(InputError, match="varied differ in size; give `image_size=N`"):
        load("varied", data_dir=folder)
    data = load("varied", data_dir=folder, image_size=16)
    assert data.image_shape == (16, 16, 3)
    everything = [*data.train.images, *data.validation.images, *data.test.images]
    assert sorted(image.mean() for image in everything) == [0, 10, 20, 30, 40, 50]
    few = load("varied", data_dir=folder, image_size=16, limit=2)
    np.testing.assert_array_equal(few.train.images, data.train.images[:2])


def test_image_size_scales_images_of_one_size(prepare, pixels):
    folder = prepare("fixed", {"train": pixels(6, 8, 8, 1)}, shape=(8, 8, 1))
    assert load("fixed", data_dir=folder, image_size=12).image_shape == (12, 12, 1)


def test_a_data_set_without_images(prepare, pixels):
    folder = prepare("sounds", {"train": pixels(4, 8, 8, 1)}, shape=(8, 8, 1), key="noise")
    with pytest.raises(InputError, match="sounds has no images"):
        load("sounds", data_dir=folder)
    assert [it.spec for it in available(folder) if it.on_disk] == ["synthetic"]


def test_configurations_and_versions_on_disk(prepare, pixels):
    prepare("mixed", {"train": pixels(6, 8, 8, 1)}, shape=(8, 8, 1), config="small")
    folder = prepare("mixed", {"train": pixels(6, 4, 4, 1)}, shape=(4, 4, 1), config="tiny")
    data = load("mixed/tiny:1.*.*", data_dir=folder)
    assert (data.name, data.image_shape) == ("mixed-tiny", (4, 4, 1))
    for spec in ("mixed", "mixed/huge", "mixed/tiny:2.0.0"):
        with pytest.raises(InputError, match=f"^{spec} is not in .*mixed/small:1.0.0, mixed/tiny"):
            load(spec, data_dir=folder)


@pytest.mark.parametrize(
    ("file", "damage"),
    [
        ("dataset_info.json", lambda path: os.truncate(path, 60)),
        ("dataset_info.json", lambda path: path.write_text("{}")),
        ("features.json", lambda path: os.truncate(path, 60)),
        ("features.json", lambda path: path.unlink()),
        ("harm-train.tfrecord-00000-of-00001", lambda path: os.truncate(path, 700)),
        ("harm-train.tfrecord-00000-of-00001", lambda path: os.truncate(path, 0)),
        ("harm-train.tfrecord-00000-of-00001", lambda path: path.write_bytes(b"x" * 5000)),
        ("harm-train.tfrecord-00000-of-00001", lambda path: path.unlink()),
    ],
)
def test_damaged_files_name_the_folder(prepare, pixels, file, damage):
    folder = prepare("harm", {"train": pixels(8, 8, 8, 1)}, shape=(8, 8, 1))
    version = folder / "harm" / "1.0.0"
    damage(version / file)
    with pytest.raises(InputError, match="damaged") as failure:
        load("harm", data_dir=folder)
    message = str(failure.value)
    assert str(version) in message and "prepare it again" in message
    assert "\n" not in message and "{{" not in message


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("mnits", "'mnits'; did you mean mnist"),
        ("MNIST", "'MNIST'; did you mean mnist"),
        ("mnits:3.0.1", "'mnits:3.0.1'; did you mean mnist"),
        ("tfds:fashon_mnist", "'tfds:fashon_mnist'; did you mean fashion_mnist"),
        ("mnist/large", "mnist has no configuration 'large'; give just mnist"),
        ("emnist/leters", "emnist has no configuration 'leters'; try letters"),
        ("mnist:1.2.3", "mnist:1.2.3: Dataset mnist cannot be loaded at version 1.2.3"),
        ("imdb_reviews", "imdb_reviews/plain_text has no images"),
    ],
)
def test_wrong_names_are_reported_without_a_network(tmp_path, no_network, spec, message):
    with pytest.raises(InputError, match=message):
        load(spec, data_dir=tmp_path)
    assert not no_network


@pytest.mark.parametrize("spec", ["mnist", "tfds:cifar10", "emnist/letters"])
def test_a_named_data_set_never_falls_back(tmp_path, no_network, caplog, spec):
    name = spec.removeprefix("tfds:")
    with pytest.raises(InputError, match=f"^{name} is not in {tmp_path}.*TFDS_DATA_DIR"):
        load(spec, data_dir=tmp_path)
    assert len(no_network) == 1 and not caplog.records


def test_auto_without_mnist_is_synthetic_with_one_warning(tmp_path, no_network, caplog):
    with caplog.at_level(logging.WARNING):
        data = load("auto", data_dir=tmp_path, limit=20)
    assert (data.name, data.spec) == ("synthetic", "synthetic")
    [record] = caplog.records
    assert record.name == "keras_ganvae"
    assert "synthetic" in record.message and "To get MNIST" in record.message


def test_a_download_that_fails_counts_as_unavailable(tmp_path, monkeypatch, capsys, caplog):
    def fail(builder, **_):
        print("Downloading and preparing dataset")
        raise OSError("the disk is full\nreally")

    import tensorflow_datasets as tfds

    monkeypatch.setattr(network, "reachable", lambda url: True)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", fail)
    with pytest.raises(InputError, match="mnist could not be downloaded: the disk is full really"):
        load("mnist", data_dir=tmp_path)
    assert load("auto", data_dir=tmp_path, limit=5).name == "synthetic"
    assert capsys.readouterr().out == "", "stdout is for results"


def test_a_download_is_read_from_where_tfds_put_it(prepare, pixels, tmp_path, monkeypatch):
    """The data set is not on disk, and its host answers."""
    import tensorflow_datasets as tfds

    digits = {"train": pixels(12, 28, 28, 1), "test": pixels(3, 28, 28, 1)}
    made = prepare("mnist", digits, shape=(28, 28, 1), classes=tuple("0123456789"))

    def download(builder, download_config):
        assert not download_config.try_download_gcs
        shutil.copytree(made / "mnist" / "1.0.0", builder.data_dir)

    urls = []
    monkeypatch.setattr(network, "reachable", lambda url: urls.append(url) or True)
    monkeypatch.setattr(tfds.core.DatasetBuilder, "download_and_prepare", download)
    data = load("auto", data_dir=tmp_path / "new")
    assert (data.spec, len(data.test), len(urls)) == ("mnist", 3, 1)


@pytest.fixture
def no_proxy(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def test_a_hanging_name_look_up_is_abandoned(monkeypatch, no_proxy):
    release, released = threading.Event(), []

    def hang(*_, **__):
        released.append(release.wait(60))
        raise OSError("no such host")

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    assert not REACHABLE("https://nowhere.invalid", 0.3)
    assert not released, "the look-up still hangs"
    release.set()


def test_a_silent_host_is_not_reachable(no_proxy):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not REACHABLE(f"http://127.0.0.1:{silent.getsockname()[1]}", 0.3)


def test_a_host_that_refuses_is_not_reachable(no_proxy):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert not REACHABLE(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize(
    ("status", "expected"), [(200, True), (403, True), (404, True), (407, False), (502, False)]
)
def test_what_counts_as_an_answer(no_proxy, status, expected):
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_):
            """Nothing on stderr."""

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/some/file.gz"
        assert REACHABLE(url) is expected


def test_the_timeout_is_two_seconds():
    assert network.TIMEOUT <= 2


def test_the_data_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "variable"))
    assert tfds_source.data_folder(tmp_path / "argument") == tmp_path / "argument"
    assert tfds_source.data_folder() == tmp_path / "variable"
    monkeypatch.delenv("TFDS_DATA_DIR")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert tfds_source.data_folder() == tmp_path / "tensorflow_datasets"


def test_available_lists_data_sets_on_disk_and_to_download(prepare, pixels, monkeypatch):
    folder = prepare("pets", {"train": pixels(4, 32, 32, 3)})
    monkeypatch.setattr(network, "reachable", lambda url: "toronto" in url)
    listed = {it.spec: it for it in available(folder)}
    assert listed["synthetic"].on_disk and listed["pets"].on_disk
    assert listed["pets"].note == str(folder / "pets" / "1.0.0")
    assert listed["cifar10"].fetchable and not listed["cifar10"].on_disk
    assert not listed["mnist"].fetchable and "not reachable" in listed["mnist"].note


def test_available_hosts_are_those_tfds_downloads_from():
    import tensorflow_datasets as tfds

    from keras_ganvae.data.catalogue import FETCHABLE

    for name, (_, host) in FETCHABLE.items():
        assert all(url.startswith(host) for url in tfds.builder_cls(name).url_infos), name


@pytest.fixture(scope="module")
def mnist():
    if not any(it.name == "mnist" for it in tfds_source.prepared()):
        pytest.skip("MNIST is not on disk: set TFDS_DATA_DIR to a folder with mnist/3.0.1")
    return load("mnist")


def test_mnist_sizes_and_balance(mnist):
    assert mnist.image_shape == (28, 28, 1)
    assert (len(mnist.train), len(mnist.validation), len(mnist.test)) == (55_000, 5_000, 10_000)
    assert mnist.classes == tuple("0123456789")
    counts = np.bincount(np.concatenate([mnist.train.labels, mnist.validation.labels]))
    # The well-known class counts of MNIST's 60,000.
    assert counts.tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(mnist.validation.labels).min() > 400


def test_mnist_splits_share_no_image(mnist):
    train, validation, test = (
        {image.tobytes() for image in split.images}
        for split in (mnist.train, mnist.validation, mnist.test)
    )
    assert not train & validation
    assert not test & (train | validation)


def test_mnist_with_a_limit_is_the_beginning_of_each_split(mnist):
    few = load("tfds:mnist", limit=30)
    for split in ("train", "validation", "test"):
        some, everything = getattr(few, split), getattr(mnist, split)
        np.testing.assert_array_equal(some.images, everything.images[:30])
        np.testing.assert_array_equal(some.labels, everything.labels[:30])
    assert few.fingerprint != mnist.fingerprint
    assert few.fingerprint == load("auto", limit=30).fingerprint
