"""Checkpoints: everything that training needs to resume exactly.

A checkpoint is a folder `checkpoint/<epoch>-<step>/`. It holds every variable of the model
(weights, batch-norm statistics, EMA, seed generators, metrics) and of its optimizers, the
state of the callbacks, and the position in the data. It gets its name once all its files are
on disk, and `manifest.json` has their checksums: a crash never leaves a checkpoint that
loads and is wrong.
"""

import json
import logging
import shutil
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from keras_ganvae import runtime
from keras_ganvae.data.position import Position
from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.files import readable, replacing_folder, sha256_of, sha256_of_json

log = logging.getLogger("keras_ganvae")

KEPT = 2  # the newest, and one to fall back to


class DamagedCheckpoint(Exception):
    """The files of a checkpoint do not match its manifest."""


def save(
    checkpoints: Path, model: Any, position: Position, callback_state: dict, fingerprint: str
) -> None:
    """Write a checkpoint and delete the oldest.

    Args:
        checkpoints: the run's checkpoint folder.
        model: a compiled model.
        position: the next batch.
        callback_state: the state of the callbacks, JSON.
        fingerprint: of the data set; resuming checks it.

    Raises:
        GateFailed: a variable is NaN or infinite.
    """
    with replacing_folder(checkpoints / _folder_name(position)) as folder:
        arrays = [np.asarray(variable) for variable in variables(model)]
        _check_finite(arrays)
        with open(folder / "variables.npz", "wb") as file:
            np.savez(file, *arrays)
        (folder / "memory.json").write_text(json.dumps(callback_state))
        manifest = {
            "version": runtime.versions().get("keras_ganvae"),
            "fingerprint": fingerprint,
            "position": asdict(position),
            "sha256": {file.name: sha256_of(file) for file in sorted(folder.iterdir())},
        }
        manifest["manifest_sha256"] = sha256_of_json(manifest)
        (folder / "manifest.json").write_text(json.dumps(manifest, indent=2))
    for old in folders(checkpoints)[:-KEPT]:
        shutil.rmtree(old)


def newest(checkpoints: Path, fingerprint: str) -> tuple[Path, Position, dict]:
    """The newest valid checkpoint: its folder, position, and callback state.

    A damaged checkpoint is logged and the one before it used.

    Raises:
        InputError: there is none, all are damaged, or the newest belongs to other data or to
            another version of this package.
    """
    found = folders(checkpoints)
    if not found:
        raise InputError(f"no checkpoint in {checkpoints}; start the run again")
    for folder in reversed(found):
        try:
            manifest, callback_state = _read(folder)
        except DamagedCheckpoint as damage:
            log.warning("checkpoint %s is damaged (%s); trying the one before", folder, damage)
            continue
        _check_origin(folder, manifest, fingerprint)
        return folder, Position(**manifest["position"]), callback_state
    raise InputError(f"every checkpoint in {checkpoints} is damaged; start the run again")


def restore(folder: Path, model: Any) -> None:
    """Load a checkpoint into a compiled model of the same architecture and optimizers."""
    _assign(folder, variables(model))


def restore_weights(folder: Path, model: Any) -> None:
    """Load the weights of a checkpoint into a model that need not be compiled."""
    _assign(folder, model.variables)


def variables(model: Any) -> list:
    """Every variable that a training step reads or writes, in a fixed order.

    Checkpoints identify variables by position: their Keras names depend on what else the
    process has built.
    """
    found = list(model.variables) + list(model.metrics_variables)
    for optimizer in model.optimizers:
        found += optimizer.variables
    return found


def folders(checkpoints: Path) -> list[Path]:
    """The checkpoints, oldest first; a name with a leading dot is an unfinished one."""
    if not checkpoints.is_dir():
        return []
    return sorted(p for p in checkpoints.iterdir() if p.is_dir() and not p.name.startswith("."))


def discard_after(checkpoints: Path, position: Position) -> None:
    """Delete the checkpoints after a position."""
    for folder in folders(checkpoints):
        if folder.name > _folder_name(position):
            shutil.rmtree(folder)


def _assign(folder, targets):
    with np.load(folder / "variables.npz", allow_pickle=False) as arrays:
        for i, variable in enumerate(targets):
            array = arrays.get(f"arr_{i}")
            if array is None or array.shape != tuple(variable.shape):
                raise InputError(f"checkpoint {folder} is of another model; start the run again")
            variable.assign(array)


def _folder_name(position):
    return f"{position.epoch:05d}-{position.step:07d}"


def _read(folder):
    try:
        manifest = json.loads(readable(folder / "manifest.json").read_text())
        if manifest.pop("manifest_sha256") != sha256_of_json(manifest):
            raise DamagedCheckpoint("manifest.json does not match its checksum")
        if _folder_name(Position(**manifest["position"])) != folder.name:
            raise DamagedCheckpoint("manifest.json belongs to another checkpoint")
        for name, sha256 in manifest["sha256"].items():
            if sha256_of(folder / name) != sha256:
                raise DamagedCheckpoint(f"{name} does not match its checksum")
        callback_state = json.loads(readable(folder / "memory.json").read_text())
    except FileNotFoundError as error:
        raise DamagedCheckpoint(f"{error.filename} is missing") from error
    except OSError as error:
        raise DamagedCheckpoint(f"{error.filename}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedCheckpoint(f"manifest.json: {error}") from error
    return manifest, callback_state


def _check_finite(arrays):
    if not all(np.isfinite(array).all() for array in arrays):
        raise GateFailed(
            "a weight became infinite or NaN; the last checkpoint before it is kept;"
            " a smaller `learning_rate` may help"
        )


def _check_origin(folder, manifest, fingerprint):
    version = runtime.versions().get("keras_ganvae")
    if manifest["version"] != version:
        raise InputError(
            f"checkpoint {folder} was written by keras_ganvae {manifest['version']}, this is"
            f" {version}; install that version to resume"
        )
    if manifest["fingerprint"] != fingerprint:
        raise InputError(
            f"checkpoint {folder} was written with other data"
            f" (fingerprint {manifest['fingerprint'][:12]}, now {fingerprint[:12]})"
        )
