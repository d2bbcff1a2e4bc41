"""The integer generator on an emulated Cortex-M0 and M4, without any library.

Needs Debian's gcc-arm-none-eabi and qemu-system-arm.
"""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from keras_ganvae.c import source

HERE = Path(__file__).parent / "cortex_m"
CROSS = "arm-none-eabi-gcc"
SEEDS = 4
# CPU -> board of qemu, its flash and RAM in KB.
BOARDS = {"cortex-m0": ("microbit", 256, 16), "cortex-m4": ("mps2-an386", 4096, 4096)}
FLAGS = ("-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic", "-Os", "-mthumb")
# Otherwise GCC turns loops into calls of memset and memcpy.
FREESTANDING = ("-ffreestanding", "-fno-tree-loop-distribute-patterns", "-nostdlib")

pytestmark = pytest.mark.skipif(
    not (shutil.which(CROSS) and shutil.which("qemu-system-arm")),
    reason="needs gcc-arm-none-eabi and qemu-system-arm (Debian: apt-get install)",
)


def built(texts, folder, cpu):
    """The program for a CPU, and its flash and RAM by the linker."""
    _, flash, ram = BOARDS[cpu]
    for name in (source.HEADER, source.INT8):
        (folder / name).write_text(texts[name])
    sizes = {"FLASH_SIZE": flash, "RAM_SIZE": ram}
    script = (HERE / "link.ld").read_text()
    for name, size in sizes.items():
        script = script.replace(name, f"{size}K")
    (folder / "link.ld").write_text(script)
    files = [HERE / "start.c", source.INT8]
    command = [CROSS, f"-mcpu={cpu}", *FLAGS, *FREESTANDING, f"-DSEEDS={SEEDS}", f"-I{folder}"]
    command += ["-Tlink.ld", *map(str, files), "-lgcc", "-o", "program.elf"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "program.elf"


def run(program, cpu):
    """The images that the program prints, uint8 (SEEDS, H W C)."""
    command = ["qemu-system-arm", "-M", BOARDS[cpu][0], "-nographic", "-monitor", "none"]
    command += ["-chardev", "stdio,id=out"]
    command += ["-serial", "none", "-semihosting-config", "enable=on,target=native,chardev=out"]
    done = subprocess.run(
        [*command, "-kernel", str(program)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    lines = re.findall(r"^[0-9a-f]+$", done.stdout, re.M)
    return np.array([list(bytes.fromhex(line)) for line in lines])


@pytest.mark.parametrize("cpu", BOARDS)
def test_it_draws_the_same_images(small, tmp_path, cpu):
    expected = small.draw("int8", np.arange(SEEDS, dtype=np.int32), ("-std=c99",)).images
    found = run(built(small.c.texts, tmp_path, cpu), cpu)
    np.testing.assert_array_equal(found, expected.reshape(SEEDS, -1))


@pytest.mark.parametrize("cpu", BOARDS)
def test_the_stated_flash_is_not_exceeded(small, tmp_path, cpu):
    program = built(small.c.texts, tmp_path, cpu)
    table = subprocess.run(["arm-none-eabi-size", program], capture_output=True, text=True).stdout
    text, data = map(int, table.splitlines()[1].split()[:2])
    generator = small.generator("int8")
    assert generator.constant_bytes < text + data < generator.flash_bytes
