"""A generator as freestanding C99: from a seed to an image without runtime, heap or libc."""
