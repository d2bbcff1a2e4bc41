"""Randomly damaged files: one clear error every time, never a crash, a hang, or full memory.

The native interpreter runs what passes the checks, so the cases run in other processes, whose
death would show. `python test_mutations.py KIND FILE FIRST COUNT` runs more cases; each
depends on its number alone.
"""

import collections
import contextlib
import json
import random
import resource
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from keras_ganvae.bundle import card
from keras_ganvae.bundle.formats import GOLDEN
from keras_ganvae.bundle.read import Bundle, read_golden
from keras_ganvae.bundle.verify import verify
from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.tflite.read import read_model
from keras_ganvae.tflite.run import open_model

WORKERS = 2
TIMEOUT = 300  # seconds until a process counts as hanging
MAX_MEMORY = 4 * 2**30  # bytes of address space of a process
# Values that often break lengths, offsets and indices.
WORDS = (0, 1, 2, 3, 4, 8, 127, 128, 255, 256, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1)


def damaged(content: bytes, spots, case: int) -> bytes:
    """Change a few bits, bytes or words, cut the file short, or replace it by noise.

    Args:
        spots: positions that hold no weights, where most damage goes.
    """
    rng = random.Random(case)
    kind = rng.choice(("bits", "bytes", "spots", "spots", "words", "words", "cut", "noise"))
    if kind == "noise":
        return rng.choice((b"", content[:16])) + rng.randbytes(rng.choice((0, 1, 8, 200, 5000)))
    if kind == "cut":
        return content[: rng.randrange(len(content))]
    damage = bytearray(content)
    for _ in range(rng.choice((1, 1, 1, 2, 3, 8))):
        if kind == "bits":
            damage[rng.randrange(len(damage))] ^= 1 << rng.randrange(8)
        elif kind == "bytes":
            damage[rng.randrange(len(damage))] = rng.randrange(256)
        elif kind == "spots":
            spot = rng.choice(spots)
            damage[spot] = rng.choice((damage[spot] ^ 1 << rng.randrange(8), rng.randrange(256)))
        else:
            spot = rng.choice(spots) & ~3
            word = rng.choice((*WORDS, len(content), rng.randrange(2**32)))
            damage[spot : spot + 4] = word.to_bytes(4, "little")
    return bytes(damage)


def spots_of(content: bytes) -> list[int]:
    """The positions in a model that hold no weights."""
    start = np.frombuffer(content, np.uint8).ctypes.data
    free = np.ones(len(content), bool)
    for graph in read_model(content).graphs:
        for tensor in graph.tensors:
            if len(tensor.data) > 64:
                first = np.frombuffer(tensor.data, np.uint8).ctypes.data - start
                free[first : first + len(tensor.data)] = False
    return np.flatnonzero(free).tolist()


def run_model(content: bytes):
    model = open_model(content)
    for name, signature in model.signatures.items():
        inputs = {key: np.ones(each.shape, each.dtype) for key, each in signature.inputs.items()}
        for _ in range(2):
            model.run(name, **inputs)


def read_arrays(content: bytes, prior):
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        Path(file.name).write_bytes(content)
        read_golden(file.name, prior, (28, 28, 1))


def read_card(content: bytes, folder):
    (folder / card.NAME).write_bytes(_resealed(content))
    bundle = Bundle.open(folder)
    for name in bundle.files:
        bundle.file(name)
    verify(folder)


def _resealed(content: bytes) -> bytes:
    """A card with a new digest if it is JSON: the checks behind the digest must hold, too."""
    with contextlib.suppress(ValueError, RecursionError, InputError):
        record = json.loads(content)
        if isinstance(record, dict):
            return json.dumps(card.sealed(record)).encode()
    return content


def run_cases(kind, path, first, count) -> dict:
    """How many cases were accepted and refused; raises any other error."""
    path = Path(path)
    content = path.read_bytes()
    spots = spots_of(content) if kind == "model" else range(len(content))
    counts = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        if kind == "golden":
            prior = Bundle.open(path.parent).prior()
        if kind == "card":
            copy = shutil.copytree(path.parent, Path(folder) / "bundle")
        for case in range(first, first + count):
            print(f"case {case}", file=sys.stderr, flush=True)
            damage = damaged(content, spots, case)
            try:
                if kind == "model":
                    run_model(damage)
                elif kind == "golden":
                    read_arrays(damage, prior)
                else:
                    read_card(damage, copy)
                counts["accepted"] += 1
            except (InputError, GateFailed) as error:
                assert str(error) and "\n" not in str(error)
                counts["refused"] += 1
    return dict(counts)


def _in_other_process(kind, path, first, count):
    done = subprocess.run(
        [sys.executable, __file__, kind, str(path), str(first), str(count)],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-1000:]}"
    return collections.Counter(json.loads(done.stdout))


def in_other_processes(kind, path, count):
    """Counts of accepted and refused cases, over `WORKERS` processes."""
    part = count // WORKERS
    with ThreadPoolExecutor(WORKERS) as pool:
        parts = pool.map(lambda i: _in_other_process(kind, path, i * part, part), range(WORKERS))
        return sum(parts, collections.Counter())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count"),
    [("model.tflite", 4000), ("model_int8.tflite", 4000), ("sampler.tflite", 2000)],
)
def test_models(tiny_bundle, name, count):
    counts = in_other_processes("model", tiny_bundle("vae") / name, count)
    # Damage to weights and names is harmless.
    assert counts["refused"] > count / 3 and counts["accepted"] > count / 20


def test_golden_numbers(tiny_bundle):
    counts = in_other_processes("golden", tiny_bundle("vae") / GOLDEN, 500)
    assert counts["refused"] > 400


def test_cards(tiny_bundle):
    counts = in_other_processes("card", tiny_bundle("vae") / card.NAME, 150)
    assert counts["refused"] > 75


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    kind, path, first, count = sys.argv[1:]
    print(json.dumps(run_cases(kind, path, int(first), int(count))))
