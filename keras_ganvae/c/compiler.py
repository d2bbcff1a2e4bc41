"""Compile a generated C file with the C compiler of this machine, and draw with it."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np

from keras_ganvae.c.source import FLOAT32, HEADER
from keras_ganvae.errors import GateFailed, first_line

COMPILERS = ("cc", "gcc", "clang")
FLAGS = ("-std=c99", "-O2")
SECONDS = 300  # that a compiler or a program may take


@dataclass(frozen=True)
class Drawn:
    """What a program drew for N seeds.

    Attributes:
        latents: (N, J), int8 or float32.
        decoded: the images of these latents, (N, H, W, C): uint8, or float32 in [0, 1].
        images: the images of the seeds, uint8 (N, H, W, C).
    """

    latents: np.ndarray
    decoded: np.ndarray
    images: np.ndarray


def compiler() -> str | None:
    """The path of a C compiler: the command in the environment variable CC, or the first found."""
    names = (os.environ.get("CC", ""), *COMPILERS)
    return next(filter(None, map(shutil.which, filter(None, names))), None)


@contextmanager
def compiled(
    compiler: str, files: dict[str, str], source: str, flags: tuple[str, ...] = FLAGS
) -> Iterator[Path]:
    """Compile a generator to a program that `draw` runs, in a folder that lives as long.

    Args:
        files: the header and the source, by name.
        source: the source's name.

    Raises:
        GateFailed: the compiler failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for each in (HEADER, source):
            (folder / each).write_text(files[each])
        check = resources.files("keras_ganvae.c") / "templates" / "check.c"
        (folder / "check.c").write_text(check.read_text())
        program = folder / "check"
        defined = ["-DGANVAE_FLOAT"] if source == FLOAT32 else []
        command = [compiler, *flags, *defined, "check.c", source, "-o", str(program), "-lm"]
        _run(command, f"compile {source}", folder)
        yield program


def draw(program: Path, seeds: np.ndarray, latent_dim: int, image_shape: tuple) -> Drawn:
    """Run a program of `compiled`.

    Args:
        seeds: int32 (N,).
        image_shape: (H, W, C).

    Raises:
        GateFailed: it failed.
    """
    number, pixel = _types(program)
    record = np.dtype(
        [("z", number, latent_dim), ("decoded", pixel, image_shape), ("image", "u1", image_shape)]
    )
    output = _run(
        [str(program)], "run the C program", program.parent, seeds.astype("=i4").tobytes()
    )
    if len(output) != record.itemsize * len(seeds):
        raise GateFailed(f"the C program wrote {len(output)} bytes for {len(seeds)} seeds")
    found = np.frombuffer(output, record)
    return Drawn(found["z"], found["decoded"], found["image"])


def _types(program):
    """The types of latents and decoded pixels, which the source beside a program decides on."""
    return ("f4", "f4") if (program.parent / FLOAT32).exists() else ("i1", "u1")


def _run(command, task, folder, given=b""):
    try:
        done = subprocess.run(
            command, cwd=folder, input=given, capture_output=True, check=False, timeout=SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GateFailed(f"can't {task}: {first_line(error)}") from error
    if done.returncode:
        reason = (done.stderr.decode(errors="replace").strip() or "it failed").splitlines()
        raise GateFailed(f"can't {task} with {command[0]}: {reason[0]}")
    return done.stdout
