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
from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.files import replacing_folder, sha256_of

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

    Raises:
        GateFailed: a variable is NaN or infinite: such a state can't be resumed.
    """
    folder = checkpoints / _folder_name(position)
    with replacing_folder(folder) as beside:
        arrays = [np.asarray(variable) for variable in variables(model)]
        _check_finite(arrays)
        with open(beside / "variables.npz", "wb") as file:
            np.savez(file, *arrays)
        (beside / "memory.json").write_text(json.dumps(memory))
        manifest = {
            "version": runtime.versions().get("keras_ganvae"),
            "fingerprint": fingerprint,
            "position": asdict(position),
            "sha256": {file.name: sha256_of(file) for file in sorted(beside.iterdir())},
        }
        manifest["manifest_sha256"] = _digest(manifest)
        (beside / "manifest.json").write_text(json.dumps(manifest, indent=2))
    for old in folders(checkpoints)[:-KEPT]:
        shutil.rmtree(old)


def newest(checkpoints, fingerprint: str):
    """The newest whole state: (folder, position, memory).

    A damaged state is named in a warning and the one before it is used.

    Raises:
        InputError: there is none, none is whole, or it belongs to another data set or
            version of this package.
    """
    found = folders(checkpoints)
    if not found:
        raise InputError(f"no saved state in {checkpoints}; the run must start again")
    for folder in reversed(found):
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


def folders(checkpoints):
    """The folders of states, oldest first; a name that begins with a dot was never finished."""
    if not checkpoints.is_dir():
        return []
    return sorted(p for p in checkpoints.iterdir() if p.is_dir() and not p.name.startswith("."))


def discard_after(checkpoints, position: Position):
    """Remove the states beyond a position: they are damaged, or the run would not be here."""
    for folder in folders(checkpoints):
        if folder.name > _folder_name(position):
            shutil.rmtree(folder)


def _folder_name(position):
    return f"{position.epoch:05d}-{position.step:07d}"


def _read(folder):
    try:
        manifest = json.loads((folder / "manifest.json").read_text())
        if manifest.pop("manifest_sha256") != _digest(manifest):
            raise DamagedState("manifest.json does not match its hash")
        if _folder_name(Position(**manifest["position"])) != folder.name:
            raise DamagedState("manifest.json is of another state")
        for name, sha256 in manifest["sha256"].items():
            if sha256_of(folder / name) != sha256:
                raise DamagedState(f"{name} does not match its hash")
        memory = json.loads((folder / "memory.json").read_text())
    except FileNotFoundError as error:
        raise DamagedState(f"{error.filename} is missing") from error
    except OSError as error:
        raise DamagedState(f"{error.filename}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedState(f"manifest.json: {error}") from error
    return manifest, memory


def _check_finite(arrays):
    if not all(np.isfinite(array).all() for array in arrays):
        raise GateFailed(
            "a weight became infinite or NaN; the last state before that is kept;"
            " a smaller --learning-rate may help"
        )


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


def _digest(manifest):
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()
