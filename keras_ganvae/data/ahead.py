"""Work done in a few threads, its results taken in order."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

# Reading and decoding let other threads run, but what is between them does not: with small
# images more threads only wait for each other.
THREADS = min(4, max(2, os.cpu_count() or 1))


def in_order(function: Callable, items: Iterable) -> Iterator:
    """`function(item)` of each item, in the items' order, a few of them ahead.

    What `function` raises is raised here when its turn comes; nothing after it is begun.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        waiting = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 2 * THREADS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
