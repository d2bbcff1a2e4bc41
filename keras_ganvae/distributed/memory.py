"""Memory that a step frees, kept for the next step."""

import ctypes
import functools
import platform

# Of glibc's <malloc.h>, with the values that it comes to by itself in a process that often
# frees blocks of up to 32 MB (mallopt(3), "dynamic mmap threshold").
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
LARGEST_KEPT = 32 << 20


@functools.cache
def keep_freed_memory():
    """Undo what TensorFlow does to glibc's malloc once it feeds several replicas.

    Its first `GeneratorDataset` in a process, which a strategy feeds devices with, has freed
    memory given back at once from 128 KB on, to be made anew, zero by zero, for the next
    tensor (TensorFlow 2.21, "M_TRIM_THRESHOLD=128 kb was set"). Steps of a VAE and a GAN on
    two replicas took a tenth longer for that. Devices must have been chosen.
    """
    if platform.libc_ver()[0] != "glibc":
        return
    import tensorflow as tf

    # The first, whose change is not repeated.
    list(tf.data.Dataset.from_generator(lambda: [0], output_signature=tf.TensorSpec((), tf.int32)))
    mallopt = ctypes.CDLL(None).mallopt
    mallopt(MMAP_THRESHOLD, LARGEST_KEPT)
    mallopt(TRIM_THRESHOLD, 2 * LARGEST_KEPT)
