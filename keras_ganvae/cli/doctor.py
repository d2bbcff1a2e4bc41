"""What `keras-ganvae doctor` says of this machine."""

import importlib.util
import os
import shutil
from pathlib import Path

from keras_ganvae import runtime

NEEDED = {
    "tensorflow_datasets": "tensorflow-datasets",
    "importlib_resources": "importlib_resources",
    "tensorboard": "tensorboard",
    "matplotlib": "matplotlib",
    "sklearn": "scikit-learn",
    "PIL": "pillow",
}


def examine() -> dict:
    """Versions, devices, data and what is missing: names to values fit for one line each."""
    report = {f"version {name}": version for name, version in runtime.versions().items()}
    report |= _devices()
    report["cores"] = os.cpu_count()
    report["free disk"] = f"{shutil.disk_usage(Path.cwd()).free / 2**30:.1f} GiB"
    report["MNIST"] = _mnist()
    missing = [
        package for module, package in NEEDED.items() if not importlib.util.find_spec(module)
    ]
    report["missing"] = ", ".join(missing) or "nothing"
    return report


def _devices() -> dict:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    built = tf.test.is_built_with_cuda()
    found = ", ".join(gpu.name for gpu in gpus) or (
        "none found; pip install 'keras-ganvae[gpu]' brings the CUDA libraries"
        if built
        else "none; this TensorFlow is built without CUDA"
    )
    return {"CPU devices": len(tf.config.list_physical_devices("CPU")), "GPU devices": found}


def _mnist() -> str:
    from keras_ganvae import data

    entry = next((each for each in data.available() if each.spec.split(":")[0] == "mnist"), None)
    if entry is not None and entry.on_disk:
        return f"on disk, {entry.note}"
    if entry is not None and entry.fetchable:
        return "can be downloaded"
    return "neither on disk nor reachable: set TFDS_DATA_DIR to a folder that holds it"
