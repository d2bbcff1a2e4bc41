"""The run that a new one replaces: set aside until the new run has its first checkpoint."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from keras_ganvae.distributed.cluster import LOGS
from keras_ganvae.ownership import RUN, remove_own
from keras_ganvae.runs import checkpoints, lock

NAME = ".replaced"  # in the run folder
# Written before the new run is created: by the lock, and by the workers.
KEPT = (lock.NAME, LOGS)


@contextlib.contextmanager
def set_aside(folder: Path) -> Iterator[None]:
    """Set an old run aside; on an exception before the new run's first checkpoint, restore it.

    An old run that has neither a checkpoint nor a model has nothing to lose: it is removed.
    The caller holds the lock of the folder.
    """
    recover(folder)
    if _is_trained(folder):
        aside = folder / NAME
        aside.mkdir()
        for entry in _entries(folder):
            os.replace(entry, aside / entry.name)
    elif _entries(folder):
        remove_own(folder, RUN, keep=KEPT)
    try:
        yield
    finally:
        recover(folder)


def recover(folder: Path) -> bool:
    """Settle what a crashed process left: restore the old run, or delete it.

    Returns:
        Whether the old run was restored, because the new one has no checkpoint.

    Raises:
        InputError: the new run's folder holds files that are not ours; nothing was removed.
    """
    aside = folder / NAME
    if not aside.is_dir():
        return False
    if checkpoints.folders(folder / "checkpoint"):
        shutil.rmtree(aside)
        return False
    remove_own(folder, RUN, keep=(NAME, *KEPT))
    for entry in aside.iterdir():
        os.replace(entry, folder / entry.name)
    aside.rmdir()
    return True


def _is_trained(folder):
    return (folder / "model.keras").exists() or bool(checkpoints.folders(folder / "checkpoint"))


def _entries(folder):
    return [entry for entry in folder.iterdir() if entry.name not in (NAME, *KEPT)]
