"""The workers of one run: their addresses, and that they agree before the first step."""

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
from dataclasses import dataclass

from keras_ganvae.errors import GateFailed, InputError, Interrupted, first_line

log = logging.getLogger("keras_ganvae")
own_log = logging.getLogger("keras_ganvae.worker")  # in this worker's file, not on its terminal
own_log.propagate = False

LOGS = "logs"  # in the run folder, a file for each worker
VARIABLE = "TF_CONFIG"  # what Slurm's, Kubernetes' and Vertex's launchers set for TensorFlow
# How long to wait for workers that have not started; a scheduler may queue them apart.
START_MINUTES = 10
REMIND_SECONDS = 15


@dataclass(frozen=True)
class Cluster:
    """All workers' host:port, and which of them this process is. Worker 0 is the chief."""

    workers: tuple[str, ...]
    index: int

    def __post_init__(self):
        for worker in self.workers:
            _address(worker)
        if len(set(self.workers)) != len(self.workers):
            raise InputError(f"a worker is listed twice in {','.join(self.workers)}")
        if not 0 <= self.index < len(self.workers):
            raise InputError(
                f"worker index {self.index} is not one of the {len(self.workers)} workers listed,"
                f" 0 to {len(self.workers) - 1}"
            )

    @property
    def is_chief(self) -> bool:
        return self.index == 0

    def export(self):
        """Put the cluster where TensorFlow looks for it."""
        task = {"type": "worker", "index": self.index}
        os.environ[VARIABLE] = json.dumps({"cluster": {"worker": self.workers}, "task": task})


def from_flags(workers: str | None, index: int | None) -> Cluster | None:
    """The cluster of --workers and --worker-index; None without them.

    Raises:
        InputError: one flag is missing, or the list does not fit the index.
    """
    if (workers is None) != (index is None):
        raise InputError("--workers and --worker-index go together")
    if workers is None:
        return None
    return Cluster(tuple(part.strip() for part in workers.split(",")), index)


def from_environment(text: str | None) -> Cluster:
    """The cluster of a TF_CONFIG: its chief first, then its workers.

    Raises:
        InputError: there is none, or it is not what TensorFlow documents.
    """
    if not text:
        raise InputError(
            "--strategy multi-worker needs --workers HOST:PORT,... --worker-index I, or TF_CONFIG"
        )
    try:
        config = json.loads(text)
        chiefs = tuple(config["cluster"].get("chief", ()))
        kind, index = config["task"]["type"], int(config["task"]["index"])
        if kind not in ("chief", "worker"):
            raise ValueError(f"this process is its {kind}, which does not train")
        workers = (*chiefs, *config["cluster"].get("worker", ()))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{VARIABLE} can't be used: {first_line(error)}") from error
    if kind == "worker" and not 0 <= index < len(workers) - len(chiefs):
        raise InputError(f"{VARIABLE} lists {len(workers) - len(chiefs)} workers, not {index + 1}")
    return Cluster(workers, index if kind == "chief" else len(chiefs) + index)


def _address(worker):
    """(host, port) of host:port."""
    host, colon, port = worker.rpartition(":")
    if not (colon and host and port.isdigit() and 0 < int(port) < 2**16):
        raise InputError(f"a worker is given as HOST:PORT, not '{worker}'")
    return host.strip("[]"), int(port)


def check_port(cluster: Cluster):
    """InputError if another process has this worker's port."""
    host, port = _address(cluster.workers[cluster.index])
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("", port))
        except OSError as error:
            raise InputError(
                f"worker {cluster.index} can't listen at {host}:{port}: {error.strerror};"
                " choose another port in --workers"
            ) from error


@contextlib.contextmanager
def waiting(cluster: Cluster, log):
    """While TensorFlow waits for the other workers, which it does in silence and without end,
    say which are missing, and end the process when they don't come."""
    arrived = threading.Event()
    thread = threading.Thread(target=_watch, args=(cluster, arrived, log), daemon=True)
    thread.start()
    try:
        yield
    finally:
        arrived.set()


def _watch(cluster, arrived, log):
    end = time.monotonic() + 60 * START_MINUTES
    while not arrived.wait(REMIND_SECONDS):
        missing = [worker for worker in cluster.workers if not _listens(worker)]
        log.info("waiting for %s", ", ".join(missing) or "the other workers")
        if time.monotonic() > end:
            # Nothing is written yet, and TensorFlow's wait can't be interrupted.
            print(
                f"keras-ganvae: workers {', '.join(missing)} did not start in {START_MINUTES}"
                " minutes; check their addresses and start all again",
                file=sys.stderr,
                flush=True,
            )
            os._exit(InputError.exit_code)


def _listens(worker) -> bool:
    try:
        with socket.create_connection(_address(worker), timeout=1):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def logging_to(folder, cluster: Cluster, append):
    """What this worker says, and each epoch's values, in logs/worker-I.log of the run."""
    path = folder / LOGS / f"worker-{cluster.index}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(path, "a" if append else "w")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    for each in (log, own_log):
        each.addHandler(handler)
    try:
        yield
    except BaseException as error:
        own_log.error("ends: %s", first_line(error))
        raise
    finally:
        for each in (log, own_log):
            each.removeHandler(handler)
        handler.close()


@contextlib.contextmanager
def leaving_signals_to_the_chief():
    """On SIGINT or SIGTERM go on until the chief, which has got it too, has saved the state.

    Raises:
        Interrupted: the chief has stopped after a signal came here.
    """
    came = []

    def note(number, frame):
        if came:
            os._exit(Interrupted.exit_code)
        came.append(number)
        os.write(sys.stderr.fileno(), b"\nleft to worker 0, which saves; again to stop at once\n")

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    except Exception as error:
        if came:
            raise Interrupted("stopped, after worker 0 had") from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def agree(strategy, facts: dict):
    """Make sure that all workers were given the same, before the first step.

    Args:
        strategy: of all workers.
        facts: name -> anything JSON can hold, the same names on every worker.

    Raises:
        InputError: names what differs, on every worker.
    """
    import tensorflow as tf

    digests = tf.constant([_digest(value) for value in facts.values()], tf.int32)[None]

    @tf.function
    def gather():
        context = tf.distribute.get_replica_context()
        return context.all_gather(digests, axis=0)

    found = strategy.experimental_local_results(strategy.run(gather))[0].numpy()
    local = strategy.num_replicas_in_sync // strategy.extended._num_workers
    for name, column in zip(facts, found.transpose(1, 0, 2), strict=True):
        others = [i // local for i, each in enumerate(column) if (each != column[0]).any()]
        if others:
            raise InputError(
                f"the workers differ in their {name}: {_listed(sorted(set(others)))} from worker 0;"
                " start all with the same"
            )


def _listed(numbers):
    return ", ".join(f"worker {number}" for number in numbers)


def _digest(value):
    """Eight int32 of a SHA-256."""
    import numpy as np

    text = json.dumps(value, sort_keys=True, default=str)
    return np.frombuffer(hashlib.sha256(text.encode()).digest(), np.int32)


@contextlib.contextmanager
def losing_nobody(cluster: Cluster, cure: str):
    """TensorFlow's errors when another worker is gone, as one line.

    Args:
        cure: what to do then.

    Raises:
        GateFailed: a worker stopped answering.
    """
    import tensorflow as tf

    lost = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError)
    try:
        yield
    except lost as error:
        raise GateFailed(
            f"worker {cluster.index} stops, because another worker has stopped answering; {cure}"
        ) from error
