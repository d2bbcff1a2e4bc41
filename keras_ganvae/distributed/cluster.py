"""The workers of a multi-worker run: addresses, agreement, logs, signals and failures."""

import contextlib
import hashlib
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from keras_ganvae import runtime
from keras_ganvae.errors import GateFailed, InputError, Interrupted, first_line, printable

log = logging.getLogger("keras_ganvae")
# Goes to the worker's log file only, not to its terminal.
worker_log = logging.getLogger("keras_ganvae.worker")
worker_log.propagate = False

LOGS = "logs"  # folder of the workers' log files, in the run folder
TF_CONFIG = "TF_CONFIG"  # set for TensorFlow by launchers of Slurm, Kubernetes and Vertex AI
# How long to wait for workers that have not started; a scheduler may start them far apart.
START_MINUTES = 10
REMIND_SECONDS = 15


@dataclass(frozen=True)
class Cluster:
    """The workers of a run, and which of them this process is. Worker 0 is the chief.

    Args:
        workers: the address of each worker, HOST:PORT.
        index: this worker's position in `workers`.

    Raises:
        InputError: an address is malformed or listed twice, or the index is out of range.
    """

    workers: tuple[str, ...]
    index: int

    def __post_init__(self):
        for worker in self.workers:
            _host_and_port(worker)
        if len(set(self.workers)) != len(self.workers):
            raise InputError(f"`workers` lists an address twice: {','.join(self.workers)}")
        if not 0 <= self.index < len(self.workers):
            raise InputError(
                f"`worker_index` {self.index} is out of range: `workers` lists"
                f" {len(self.workers)}, numbered 0 to {len(self.workers) - 1}"
            )

    @classmethod
    def of(cls, workers: str | None, index: int | None) -> "Cluster | None":
        """The cluster of a comma-separated list of addresses; None if both are None.

        Raises:
            InputError: only one is given, or they do not fit each other.
        """
        if workers is None and index is None:
            return None
        if workers is None or index is None:
            raise InputError("`workers` and `worker_index` must be given together")
        return cls(tuple(part.strip() for part in workers.split(",")), index)

    @classmethod
    def from_tf_config(cls, text: str | None) -> "Cluster":
        """The cluster of a TF_CONFIG: its chief first, then its workers.

        Raises:
            InputError: it is missing, or not in the format that TensorFlow documents.
        """
        if not text:
            raise InputError(
                "`strategy=multi-worker` needs `workers` (HOST:PORT,...) and `worker_index`,"
                f" or the environment variable {TF_CONFIG}"
            )
        try:
            config = json.loads(text)
            chiefs = tuple(config["cluster"].get("chief", ()))
            role, index = config["task"]["type"], int(config["task"]["index"])
            if role not in ("chief", "worker"):
                raise ValueError(f"the task of this process is {role}, which does not train")
            workers = tuple(config["cluster"].get("worker", ()))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InputError(f"{TF_CONFIG} is invalid: {first_line(error)}") from error
        if role == "worker" and not 0 <= index < len(workers):
            raise InputError(f"{TF_CONFIG} has no worker {index}; it lists {len(workers)}")
        return cls((*chiefs, *workers), index if role == "chief" else len(chiefs) + index)

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    @property
    def address(self) -> str:
        """HOST:PORT of this worker."""
        return self.workers[self.index]

    def export(self) -> None:
        """Set TF_CONFIG, from which TensorFlow reads the cluster."""
        task = {"type": "worker", "index": self.index}
        os.environ[TF_CONFIG] = json.dumps({"cluster": {"worker": self.workers}, "task": task})


def _host_and_port(worker: str) -> tuple[str, int]:
    host, colon, port = worker.rpartition(":")
    if not (colon and host and port.isdigit() and 0 < int(port) < 2**16):
        raise InputError(f"`workers` must be HOST:PORT,..., not '{worker}'")
    return host.strip("[]"), int(port)


def check_port(cluster: Cluster) -> None:
    """Raise InputError if another process uses this worker's port."""
    host, port = _host_and_port(cluster.address)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise InputError(
                f"worker {cluster.index} can't listen at {host}:{port}: {error.strerror};"
                " choose another port in `workers`"
            ) from error


@contextlib.contextmanager
def start_timeout(cluster: Cluster) -> Iterator[None]:
    """While TensorFlow waits for the other workers, log which are missing; exit if none come.

    TensorFlow itself waits silently and without a timeout.
    """
    arrived = threading.Event()
    thread = threading.Thread(target=_report_missing, args=(cluster, arrived), daemon=True)
    thread.start()
    try:
        yield
    finally:
        arrived.set()


def _report_missing(cluster, arrived):
    end = time.monotonic() + 60 * START_MINUTES
    while not arrived.wait(REMIND_SECONDS):
        missing = [worker for worker in cluster.workers if not _listens(worker)]
        log.info("waiting for %s", ", ".join(missing) or "the other workers")
        if time.monotonic() > end:
            # TensorFlow's wait can't be interrupted, and nothing has been written yet.
            print(
                f"keras-ganvae: workers {printable(', '.join(missing))} did not start within"
                f" {START_MINUTES} minutes; check their addresses and restart all workers",
                file=sys.stderr,
                flush=True,
            )
            os._exit(InputError.exit_code)


def _listens(worker):
    try:
        with socket.create_connection(_host_and_port(worker), timeout=1):
            return True
    except (OSError, UnicodeError):  # the latter of a name that can't be a host's
        return False


@contextlib.contextmanager
def log_file(folder: Path, cluster: Cluster, append: bool) -> Iterator[None]:
    """Also write this worker's log lines to logs/worker-I.log of the run folder."""
    path = folder / LOGS / f"worker-{cluster.index}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, "a" if append else "w", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    for each in (log, worker_log):
        each.addHandler(handler)
    try:
        yield
    except BaseException as error:
        worker_log.error("failed: %s", first_line(error))
        raise
    finally:
        for each in (log, worker_log):
            each.removeHandler(handler)
        handler.close()


@contextlib.contextmanager
def signals_left_to_chief() -> Iterator[None]:
    """On SIGINT or SIGTERM keep training until the chief has saved and stopped.

    The chief gets the signal as well. A second signal ends this process at once.

    Raises:
        Interrupted: the chief has stopped after a signal.
    """
    received: list[int] = []

    def receive(number, frame):
        if received:
            os._exit(Interrupted.exit_code)
        received.append(number)
        runtime.write_stderr(
            "\nworker 0 saves a checkpoint and stops; signal again to stop at once\n"
        )

    previous = {
        number: signal.signal(number, receive) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield
    except Exception as error:
        if received:
            raise Interrupted("stopped after worker 0") from error
        raise
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def check_same(strategy: Any, facts: dict[str, Any]) -> None:
    """Check that all workers have the same values, and wait for each other.

    Args:
        strategy: a `tf.distribute.MultiWorkerMirroredStrategy`.
        facts: JSON values by name, with the same names on every worker.

    Raises:
        InputError: a value differs; raised on every worker.
    """
    import tensorflow as tf

    digests = tf.constant([_digest(value) for value in facts.values()], tf.int32)
    gathered = _gathered(strategy, digests)  # (replicas, facts, 8)
    local = strategy.num_replicas_in_sync // strategy.extended._num_workers
    for name, column in zip(facts, gathered.transpose(1, 0, 2), strict=True):
        others = {i // local for i, each in enumerate(column) if (each != column[0]).any()}
        if others:
            listed = ", ".join(f"worker {number}" for number in sorted(others))
            raise InputError(
                f"the workers differ in their {name}: {listed} from worker 0;"
                " start all of them with the same"
            )


def agreed(strategy: Any, value: float) -> float:
    """The first worker's value, on every worker; without workers, the value itself."""
    import tensorflow as tf

    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return value
    return float(_gathered(strategy, tf.constant(value, tf.float32))[0])


def _gathered(strategy, tensor):
    """The tensors of all replicas, stacked."""
    import tensorflow as tf

    @tf.function
    def gather():
        return tf.distribute.get_replica_context().all_gather(tensor[None], axis=0)

    return strategy.experimental_local_results(strategy.run(gather))[0].numpy()


def _digest(value):
    """A SHA-256 as eight int32."""
    import numpy as np

    text = json.dumps(value, sort_keys=True, default=str)
    return np.frombuffer(hashlib.sha256(text.encode()).digest(), np.int32)


@contextlib.contextmanager
def lost_workers_as_errors(
    cluster: Cluster, remedy: str, resume: Path | None = None
) -> Iterator[None]:
    """Turn TensorFlow's errors about an unreachable worker into one line.

    Args:
        cluster: this worker's cluster.
        remedy: what to do then.
        resume: the run folder to resume from, if that is the remedy.

    Raises:
        GateFailed: another worker stopped responding.
    """
    import tensorflow as tf

    lost = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
    try:
        yield
    except lost as error:
        raise GateFailed(
            f"worker {cluster.index} stopped because another worker does not respond; {remedy}",
            resume=resume,
        ) from error
