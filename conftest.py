"""For all tests and doctests: no window, one thread for each worker, no figure left open."""

import os
import sys

import pytest

# Before numpy is imported. Workers share the cores, and small fits lose their time to waiting threads.
for name, value in {"MPLBACKEND": "Agg", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}.items():
    os.environ.setdefault(name, value)


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
