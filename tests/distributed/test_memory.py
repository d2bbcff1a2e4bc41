"""What malloc does with freed memory once TensorFlow has made a generator's dataset."""

import platform
import subprocess
import sys

import pytest

PAGES = 4096  # of 4 KB, in a block that is taken and given back
FAULTS = """
import ctypes, resource
from keras_ganvae import runtime
runtime.start()
import tensorflow as tf
from keras_ganvae.training.memory import keep_freed_memory

if {kept}:
    keep_freed_memory()
list(tf.data.Dataset.from_generator(lambda: [0], output_signature=tf.TensorSpec((), tf.int32)))
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
libc.memset.argtypes = [ctypes.c_void_p, ctypes.c_int, ctypes.c_size_t]

def use():
    block = libc.malloc({size})
    libc.memset(block, 1, {size})
    libc.free(block)

use()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    use()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def _page_faults(kept):
    program = FAULTS.format(kept=kept, size=4096 * PAGES)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc's malloc")
def test_freed_memory_is_kept_which_tensorflow_would_give_back():
    assert _page_faults(kept=True) < PAGES / 4
    # When this fails TensorFlow leaves malloc alone, and the module can go.
    assert _page_faults(kept=False) > 5 * PAGES
