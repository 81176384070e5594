"""Blocks of work for as many threads as BLAS has, which keeps to one meanwhile."""

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache

import numpy as np
from threadpoolctl import ThreadpoolController

__all__ = ["shared_work"]

# Products of two numbers that are worth a second thread.
_WORTH_A_THREAD = 2**26

# More threads would wait for each other: between two products Python runs one at a time.
_MOST = 8


@contextmanager
def shared_work(n_products):
    """A function ``each(function, items)`` that calls the function on every item, in no particular order.

    A product of small blocks gains little from the threads of BLAS, and waits long for a thread whose core
    another process has taken. Whole blocks, each on a thread of its own, wait for nobody.

    Parameters
    ----------
    n_products : int
        Of pairs of numbers, about: whether the work is worth more than one thread.
    """
    controller = _controller()
    counts = [library.num_threads for library in controller.lib_controllers if library.user_api == "blas"]
    n_threads = min(max(counts, default=1), _MOST)
    if n_threads == 1 or n_products < _WORTH_A_THREAD:
        yield lambda function, items: _drain(function, deque(items))
        return
    with controller.limit(limits=1, user_api="blas"), ThreadPoolExecutor(n_threads - 1) as pool:

        def each(function, items):
            left = deque(items)
            n_helpers = min(n_threads, len(left)) - 1
            helpers = [pool.submit(_drain, function, left) for _ in range(n_helpers)]
            _drain(function, left)
            for helper in helpers:
                helper.result()

        yield each


def _drain(function, items):
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        while items:
            try:
                item = items.popleft()
            except IndexError:  # another thread was faster
                return
            function(item)


@cache
def _controller():
    return ThreadpoolController()
