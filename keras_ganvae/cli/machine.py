"""`datasets` and `doctor`: the data sets, packages and devices of this machine."""

import argparse
import dataclasses
import importlib.util
import json
import os
import shutil
from pathlib import Path
from typing import Any

from keras_ganvae import runtime
from keras_ganvae.cli.messages import print_lines
from keras_ganvae.cli.parser import Commands, command

# Module: the package that provides it.
REQUIRED = {
    "tensorflow_datasets": "tensorflow-datasets",
    "importlib_resources": "importlib_resources",
    "tensorboard": "tensorboard",
    "matplotlib": "matplotlib",
    "sklearn": "scikit-learn",
    "PIL": "pillow",
}


def add(commands: Commands) -> None:
    """Register the commands."""
    parser = command(
        commands, "datasets", run_datasets, "list the data sets on disk and those to download"
    )
    parser.add_argument(
        "--data-dir",
        metavar="DIR",
        help="folder of the TFDS data sets (default TFDS_DATA_DIR, else TFDS's own)",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser = command(commands, "doctor", run_doctor, "show versions, devices and missing packages")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")


def run_datasets(args: argparse.Namespace) -> None:
    """Print one line per data set."""
    runtime.start(args.debug)
    from keras_ganvae import data  # loads TFDS

    entries = data.available(args.data_dir)
    if args.json:
        print(json.dumps([dataclasses.asdict(entry) for entry in entries], indent=2))
        return
    for entry in entries:
        state = "on disk" if entry.on_disk else "fetchable" if entry.fetchable else "-"
        print_lines(f"{entry.spec:18} {state:10} {entry.note}")


def run_doctor(args: argparse.Namespace) -> None:
    """Print one line per fact about this machine."""
    runtime.start(args.debug)
    report = diagnose()
    if args.json:
        print(json.dumps(report, indent=2))
        return
    for name, value in report.items():
        print_lines(f"{name:22} {value}")


def diagnose() -> dict[str, Any]:
    """Versions, devices, free disk space, MNIST and missing packages, by name."""
    missing = [
        package for module, package in REQUIRED.items() if not importlib.util.find_spec(module)
    ]
    return {
        **{f"version {name}": version for name, version in runtime.versions().items()},
        **_devices(),
        "cores": os.cpu_count(),
        "free disk": f"{shutil.disk_usage(Path.cwd()).free / 2**30:.1f} GiB",
        "MNIST": _mnist(),
        "missing": ", ".join(missing) or "nothing",
    }


def _devices() -> dict[str, Any]:
    import tensorflow as tf

    gpus = ", ".join(gpu.name for gpu in tf.config.list_physical_devices("GPU"))
    if not gpus and tf.test.is_built_with_cuda():
        gpus = "none found; pip install 'keras-ganvae[gpu]' adds the CUDA libraries"
    return {
        "CPU devices": len(tf.config.list_physical_devices("CPU")),
        "GPU devices": gpus or "none; this TensorFlow is built without CUDA",
    }


def _mnist() -> str:
    from keras_ganvae import data  # loads TFDS

    entry = next((each for each in data.available() if each.spec.split(":")[0] == "mnist"), None)
    if entry is not None and entry.on_disk:
        return f"on disk, {entry.note}"
    if entry is not None and entry.fetchable:
        return "not on disk; can be downloaded"
    return "not on disk, and can't be downloaded; set TFDS_DATA_DIR to the folder that has it"
