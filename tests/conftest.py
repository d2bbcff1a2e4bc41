"""Tiny trained runs that many tests look at, two ways to call the command line, and browsers."""

import contextlib
import functools
import hashlib
import http.server
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from keras_ganvae.files import cache_folder

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

ROOT = Path(__file__).parents[1]

# 200 images are six batches of 32 and a partial one of 8.
TINY = {"dataset": "synthetic", "limit": 200, "epochs": 2, "batch_size": 32, "latent_dim": 4}


def pytest_configure(config):
    # Keras's own: its variables' __array__ predates the copy argument of NumPy 2.
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"
    )


@pytest.fixture(scope="session")
def train_tiny(tmp_path_factory):
    """`train_tiny(arch, **settings)`: a finished tiny run, freshly trained in this process."""
    import keras_ganvae

    def train(arch, **settings):
        config = keras_ganvae.TrainConfig(arch=arch, **TINY | settings)
        return keras_ganvae.train(config, tmp_path_factory.mktemp(arch) / "run")

    return train


@pytest.fixture(scope="session")
def run_of(train_tiny):
    """`run_of(arch)`: one finished tiny run, shared by all tests, which must not change it."""
    return functools.cache(train_tiny)


@pytest.fixture(scope="session")
def tiny_bundle(run_of, tmp_path_factory):
    """`tiny_bundle(arch)`: the bundle of a tiny run, shared by all tests, unchanged by them."""

    def make(arch):
        from keras_ganvae.bundle.build import FORMATS, export
        from keras_ganvae.bundle.formats import SAVED_MODEL

        out = tmp_path_factory.mktemp(arch) / f"{arch}-synthetic"
        formats = [name for name in FORMATS if name != SAVED_MODEL]
        return export(run_of(arch), out, formats=formats)

    return functools.cache(make)


@pytest.fixture(scope="session")
def mixture():
    """`mixture(components, latent_dim)`: a mixture prior of random numbers."""

    import numpy as np

    from keras_ganvae.priors import MixturePrior

    def make(components, latent_dim):
        rng = np.random.default_rng(0)
        weights = rng.dirichlet(np.full(components, 3.0)).astype(np.float32)
        means = rng.normal(size=(components, latent_dim)).astype(np.float32)
        factors = rng.normal(scale=0.3, size=(components, latent_dim, latent_dim))
        return MixturePrior(weights, means, np.tril(factors).astype(np.float32), {})

    return make


@pytest.fixture(scope="session")
def edited(tiny_bundle):
    """`edited(edit, name, arch)`: a bundle's model as bytes, after `edit(model)` changed it.

    `model` is a `ModelT` of the schema's own Python classes.
    """
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    def edit_model(edit, name="model.tflite", arch="vae"):
        content = (tiny_bundle(arch) / name).read_bytes()
        model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))
        edit(model)
        builder = flatbuffers.Builder(len(content))
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    return edit_model


@pytest.fixture(scope="session")
def digits():
    """uint8 (64, 28, 28, 1): the first synthetic digits."""
    from keras_ganvae import data

    return data.load("synthetic", limit=64).train.images


@pytest.fixture(scope="session")
def make_model():
    """`make_model(arch, preset, image_shape, rates, **settings)`: a compiled model.

    `rates` overrides the learning rate of optimizers by name.
    """
    from keras_ganvae import TrainConfig, architectures, runtime
    from keras_ganvae.training.optimizers import compile_model

    def make(arch, preset="default", image_shape=(28, 28, 1), rates=None, **settings):
        config = TrainConfig(arch=arch, preset=preset, schedule="constant", **settings)
        config = architectures.resolve(config)
        runtime.prepare(config.seed, config.precision)
        model = architectures.build(config, image_shape)
        compile_model(model, config, steps_per_epoch=10)
        optimizers = dict(zip(model.optimizer_names, model.optimizers, strict=True))
        for name, rate in (rates or {}).items():
            optimizers[name].learning_rate = rate
        return model

    return make


@pytest.fixture(scope="session")
def free_addresses():
    """`free_addresses(n)`: host:port,... of this machine that nobody listens at."""

    def find(count):
        with contextlib.ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
            for each in sockets:
                each.bind(("127.0.0.1", 0))
            return ",".join(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)

    return find


@pytest.fixture(scope="session")
def terminal():
    """`terminal(*arguments)`: `python -m keras_ganvae ...` as a person runs it."""

    def call(*arguments, python_options=()):
        return subprocess.run(
            [sys.executable, *python_options, "-m", "keras_ganvae", *map(str, arguments)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    return call


@pytest.fixture
def command(capsys):
    """`command(*arguments)`: (exit code, stdout, stderr) of `main` in this process."""
    from keras_ganvae.cli import main as cli

    def call(*arguments):
        capsys.readouterr()
        code = cli.main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return call


# Node and a browser. Node's packages are installed once, outside the repository.

NODE = ROOT / "tests" / "node"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def node():
    """A folder with the packages of `node/`, which `node` may run in."""
    _require("node", "npm")
    lock = (NODE / "package-lock.json").read_bytes()
    folder = cache_folder("tests", f"node-{hashlib.sha256(lock).hexdigest()[:16]}")
    done = folder / "installed"
    if not done.exists():
        if _npm("view", "@litertjs/core@2.5.3", "version", cwd=NODE).returncode:
            pytest.skip("npm reaches no package registry")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(NODE, folder)
        installed = _npm("ci", cwd=folder)
        assert installed.returncode == 0, installed.stderr
        done.touch()
    return folder


def _require(*programs):
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"no {program} on this machine")


def _npm(*arguments, cwd):
    return subprocess.run(
        ["npm", *arguments], cwd=cwd, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.fixture(scope="session")
def run_node():
    """`run_node(script, cwd, modules)`: what a CommonJS script prints, as JSON.

    `modules` is a folder with the packages it may load.
    """
    _require("node")

    def run(script, cwd, modules):
        done = subprocess.run(
            ["node", "-e", script],
            cwd=cwd,
            env=os.environ | {"NODE_PATH": str(modules / "node_modules")},
            capture_output=True,
            text=True,
            timeout=1200,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


@pytest.fixture(scope="session")
def browser():
    """The path of a Chromium."""
    found = next(filter(None, map(shutil.which, BROWSERS)), None)
    if found is None:
        pytest.skip("no Chromium on this machine (Debian: apt-get install chromium)")
    return found


@pytest.fixture
def serve():
    """`serve(folder)`: its address on a server that lives as long as the test."""
    servers = []

    def start(folder):
        handler = functools.partial(_QuietHandler, directory=folder)
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class _QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Nobody reads it."""
