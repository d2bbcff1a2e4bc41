"""Everything that training needs to go on as if it had never stopped.

A state is a folder `checkpoint/<epoch>-<step>/` that holds every variable of the model
(weights, batch-norm statistics, moving averages, seed generators, metrics) and of its
optimizers, the callbacks' own memory, and the position in the data. It appears under
its name only when it is whole and on the disk, and `manifest.json` has the hash of
each of its files, so that no moment of death leaves a state that loads but is wrong.
"""

import hashlib
import json
import logging
import shutil
from dataclasses import asdict

import numpy as np

from keras_ganvae import runtime
from keras_ganvae.data.pipeline import Position
from keras_ganvae.errors import InputError
from keras_ganvae.files import replacing_folder

log = logging.getLogger("keras_ganvae")

KEPT = 2  # the newest, and the one before it should the newest be damaged


class DamagedState(Exception):
    """A state whose files are not what its manifest says."""


def save(checkpoints, model, position: Position, memory: dict, fingerprint: str):
    """Write one complete state and drop the oldest.

    Args:
        checkpoints: the run's folder of states.
        memory: the callbacks' own state, JSON.
        fingerprint: of the data set, which a resume must find again.
    """
    folder = checkpoints / f"{position.epoch:05d}-{position.step:07d}"
    with replacing_folder(folder) as beside:
        with open(beside / "variables.npz", "wb") as file:
            np.savez(file, *(np.asarray(variable) for variable in variables(model)))
        (beside / "memory.json").write_text(json.dumps(memory))
        manifest = {
            "version": runtime.versions().get("keras_ganvae"),
            "fingerprint": fingerprint,
            "position": asdict(position),
            "sha256": {file.name: _sha256(file) for file in sorted(beside.iterdir())},
        }
        (beside / "manifest.json").write_text(json.dumps(manifest, indent=2))
    for old in sorted(_folders(checkpoints))[:-KEPT]:
        shutil.rmtree(old)


def newest(checkpoints, fingerprint: str):
    """The newest whole state: (folder, position, memory).

    A damaged state is named in a warning and the one before it is used.

    Raises:
        InputError: there is none, none is whole, or it belongs to another data set or
            version of this package.
    """
    folders = sorted(_folders(checkpoints), reverse=True)
    if not folders:
        raise InputError(f"no saved state in {checkpoints}; the run must start again")
    for folder in folders:
        try:
            manifest, memory = _read(folder)
        except DamagedState as damage:
            log.warning("state %s is damaged (%s); trying the one before", folder, damage)
            continue
        _check_origin(folder, manifest, fingerprint)
        return folder, Position(**manifest["position"]), memory
    raise InputError(f"every saved state in {checkpoints} is damaged; the run must start again")


def restore(folder, model):
    """Put a state's values into the variables of a model that was built the same way."""
    with np.load(folder / "variables.npz", allow_pickle=False) as arrays:
        for i, variable in enumerate(variables(model)):
            variable.assign(arrays[f"arr_{i}"])


def variables(model):
    """Every variable that a step reads or writes, in a fixed order.

    They are known by their place: Keras's names count what else the process has made.
    """
    found = list(model.variables) + list(model.metrics_variables)
    for optimizer in model.optimizers:
        found += optimizer.variables
    return found


def _read(folder):
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        for name, sha256 in manifest["sha256"].items():
            if _sha256(folder / name) != sha256:
                raise DamagedState(f"{name} does not match its hash")
        memory = json.loads((folder / "memory.json").read_text())
        Position(**manifest["position"])
    except FileNotFoundError as error:
        raise DamagedState(f"{error.filename} is missing") from error
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedState(f"manifest.json: {error}") from error
    return manifest, memory


def _check_origin(folder, manifest, fingerprint):
    version = runtime.versions().get("keras_ganvae")
    if manifest["version"] != version:
        raise InputError(
            f"state {folder} was written by keras_ganvae {manifest['version']}, this is {version};"
            " install that version to go on"
        )
    if manifest["fingerprint"] != fingerprint:
        raise InputError(
            f"state {folder} was written on other data"
            f" (fingerprint {manifest['fingerprint'][:12]}, now {fingerprint[:12]})"
        )


def _folders(checkpoints):
    # Names that begin with a dot are states that were never finished.
    return [p for p in checkpoints.iterdir() if p.is_dir() and not p.name.startswith(".")]


def _sha256(path):
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
