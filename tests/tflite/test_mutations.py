"""Files that were damaged at random: an error every time, never a crash or a hang.

The native interpreter runs what the checks let pass, so the cases run in another process
whose death is seen. `python test_mutations.py KIND FILE FIRST COUNT` runs more of them; each
case is made of its number alone.
"""

import collections
import json
import random
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from keras_ganvae.bundle import card
from keras_ganvae.bundle.formats import GOLDEN
from keras_ganvae.bundle.read import Bundle, read_golden
from keras_ganvae.bundle.verify import verify
from keras_ganvae.errors import GateFailed, InputError
from keras_ganvae.tflite import read as flatbuffer
from keras_ganvae.tflite import run as interpreter

TIMEOUT = 300  # seconds: a hang
# Values that lengths, offsets and indices break at.
WORDS = (0, 1, 2, 3, 4, 8, 127, 128, 255, 256, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1)


def damaged(content: bytes, spots, case: int) -> bytes:
    """The file with a few bits, bytes or words changed, cut short, or replaced by noise.

    Args:
        spots: the positions of what is no weight, which most damage goes to.
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
    """Where a model keeps what is no weight."""
    start = np.frombuffer(content, np.uint8).ctypes.data
    free = np.ones(len(content), bool)
    for graph in flatbuffer.read(content).subgraphs:
        for tensor in graph.tensors:
            if len(tensor.data) > 64:
                first = np.frombuffer(tensor.data, np.uint8).ctypes.data - start
                free[first : first + len(tensor.data)] = False
    return np.flatnonzero(free).tolist()


def run_model(content: bytes):
    model = interpreter.open_model(content)
    for name, signature in model.signatures.items():
        inputs = {key: np.ones(port.shape, port.dtype) for key, port in signature.inputs.items()}
        for _ in range(2):
            model.run(name, **inputs)


def read_arrays(content: bytes):
    with tempfile.NamedTemporaryFile(suffix=".npz") as file:
        Path(file.name).write_bytes(content)
        read_golden(file.name, 4, (28, 28, 1))


def read_card(content: bytes, folder):
    (folder / card.NAME).write_bytes(content)
    bundle = Bundle.open(folder)
    for name in bundle.files:
        bundle.file(name)
    verify(folder)


def run_cases(kind, path, first, count) -> dict:
    """Outcomes of `count` cases and how many there were of each; raises on any other."""
    path = Path(path)
    content = path.read_bytes()
    spots = spots_of(content) if kind == "model" else range(len(content))
    counts = collections.Counter()
    with tempfile.TemporaryDirectory() as folder:
        if kind == "card":
            copy = shutil.copytree(path.parent, Path(folder) / "bundle")
        for case in range(first, first + count):
            print(f"case {case}", file=sys.stderr, flush=True)
            damage = damaged(content, spots, case)
            try:
                if kind == "model":
                    run_model(damage)
                elif kind == "golden":
                    read_arrays(damage)
                else:
                    read_card(damage, copy)
                counts["accepted"] += 1
            except (InputError, GateFailed):
                counts["refused"] += 1
    return dict(counts)


def in_another_process(kind, path, count):
    done = subprocess.run(
        [sys.executable, __file__, kind, str(path), "0", str(count)],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT,
    )
    assert done.returncode == 0, f"exit {done.returncode}: {done.stderr[-1000:]}"
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("name", "count"),
    [("model.tflite", 400), ("model_int8.tflite", 400), ("sampler.tflite", 300)],
)
def test_models(tiny_bundle, name, count):
    counts = in_another_process("model", tiny_bundle("vae") / name, count)
    # Some damage goes to weights and names, and is none.
    assert counts["refused"] > count / 3 and counts["accepted"] > count / 20


def test_golden_numbers(tiny_bundle):
    counts = in_another_process("golden", tiny_bundle("vae") / GOLDEN, 500)
    assert counts["refused"] > 400


def test_cards(tiny_bundle):
    counts = in_another_process("card", tiny_bundle("vae") / card.NAME, 150)
    assert counts["refused"] > 75


if __name__ == "__main__":
    kind, path, first, count = sys.argv[1:]
    print(json.dumps(run_cases(kind, path, int(first), int(count))))
