"""Engines: where models answer for a pool, block by block: in this process, in others, or on a cluster.

Blocks are cut by `skal.containers.View`, answers come back in order: an engine changes when a row is looked
at, and never what is said of it.
"""

import pickle
import sys
import time
from collections import OrderedDict, deque
from concurrent.futures import CancelledError
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from hashlib import sha256
from importlib.util import find_spec
from threading import Lock
from uuid import uuid4

import joblib
import numpy as np
from joblib.parallel import get_active_backend
from scipy import sparse

from skal._compat import InvalidParameterError, cloudpickle
from skal.containers import View
from skal.containers._arrays import Array, Frame, Sequence, SparseMatrix

__all__ = ["check_engine", "in_blocks", "is_client", "mapped", "no_engine", "on_engine", "use_engine"]

_active = ContextVar("engine", default=None)

# What a worker has unpacked last, by content: the model of this round, and one more for a second question.
_unpacked = OrderedDict()
_N_UNPACKED = 2
# Models set what belongs to the whole process, such as the number of threads and modes of layers.
_computing = Lock()

_ATTEMPTS = 3


@contextmanager
def use_engine(engine):
    """Let all that is scored and selected inside of ``with use_engine(...):`` be computed by an engine.

    Models are asked about blocks of rows, which workers read themselves where the pool is on a disk that
    they see: zarr, HDF5 and mapped files, and images by path. A model travels to a worker once; scores come
    back, or embeddings where rows are compared with each other. `n_threads` of a net holds in a worker too.

    Parameters
    ----------
    engine : {None, "joblib"} or dask.distributed.Client
        "joblib" takes processes of this machine, or the backend and `n_jobs` of ``joblib.parallel_config``. A
        client takes the workers of its cluster; each computes one block at a time, so give each one thread.
        None leaves the engine that is in use already, if any.

    Raises
    ------
    InvalidParameterError
        If it is something else.

    Notes
    -----
    Answers are those of ``as_pool(X)`` without any engine, for any number of workers: blocks are cut from row
    0 in a size that follows from the shape of a row. They are equal to the last bit at equal numbers of
    threads, which a net fixes by `n_threads`; on another number, or another kind of processor, to rounding.
    A worker of a cluster that dies is replaced by another one, with the same answer.

    Fits, the choice among points (k-center, k-means++, clusters) and whatever has a pool of less than
    two blocks are computed by the process that asks: exactly, and with the points of all rows.
    `skal.strategies.InParts` lets workers choose, approximately.

    Nets in workers use the GPU that their process sees. Of a machine with several, give each worker one: as
    ``dask_cuda.LocalCUDACluster`` does, or with CUDA_VISIBLE_DEVICES set where a worker starts.

    Examples
    --------
    >>> import numpy as np
    >>> from joblib import parallel_config
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skal.strategies import Margin
    >>> X = np.random.RandomState(0).normal(size=(10_000, 3))
    >>> strategy = Margin(LogisticRegression(), random_state=0).fit(X[:20], X[:20, 0] > 0)
    >>> with use_engine("joblib"), parallel_config("threading", n_jobs=2):
    ...     rows = strategy.select(X, n=3)
    >>> bool((rows == strategy.select(X, n=3)).all())
    True
    """
    check_engine(engine)
    if engine is None:
        yield
        return
    before = _active.set(_Dask(engine) if is_client(engine) else _Joblib())
    try:
        yield
    finally:
        _active.reset(before)


@contextmanager
def no_engine():
    """Let all inside be computed here, as by a worker."""
    before = _active.set(None)
    try:
        yield
    finally:
        _active.reset(before)


def on_engine(method):
    """A method that is computed by the engine in its owner's parameter `engine`."""

    @wraps(method)
    def on_its_engine(self, *args, **kwargs):
        with use_engine(self.engine):
            return method(self, *args, **kwargs)

    return on_its_engine


def check_engine(engine):
    """Refuse what is no engine.

    Raises
    ------
    InvalidParameterError
    """
    if engine is None or (isinstance(engine, str) and engine == "joblib"):
        return
    if not is_client(engine):
        missing = " (pip install skal[dask])" if find_spec("distributed") is None else ""
        raise InvalidParameterError(
            f"engine={engine!r} is no engine; pass None, 'joblib', or a client of a cluster, such as "
            f"dask.distributed.Client(){missing}."
        )
    if getattr(engine, "status", None) in ("closed", "closing"):
        raise InvalidParameterError(f"{engine!r} is closed; pass a client that is connected to its cluster.")
    if engine.asynchronous:
        raise InvalidParameterError(
            f"{engine!r} is asynchronous, and skal waits for its answers; pass one with asynchronous=False."
        )


def is_client(engine):
    """Whether an object is a client of dask, which need not be imported to tell."""
    distributed = sys.modules.get("distributed")
    return distributed is not None and isinstance(engine, distributed.Client)


def in_blocks(X):
    """Rows in memory as a view, where an engine is in use, so that they are cut as those of a pool are.

    What skal can't cut, such as a dict of arrays, is as it was, and is scored in this process.
    """
    if _active.get() is None or isinstance(X, View):
        return X
    if isinstance(X, np.ndarray):
        return View(Array(X))
    if sparse.issparse(X):
        return View(SparseMatrix(X))
    if hasattr(X, "iloc"):
        return View(Frame(X))
    return View(Sequence(X)) if isinstance(X, list | tuple) else X


def mapped(function, X, block_rows=None):
    """A function of each block of a view, by the engine in use; yields (slice, answer) in order.

    Parameters
    ----------
    function : callable
        Rows in memory -> an answer. What it holds, such as a model, travels to each worker once.
    X : View
    block_rows : int or None, default=None
        None takes that of the view.
    """
    engine = _active.get()
    if engine is None or len(X) <= (block_rows or X.block_rows):
        for rows, block in X.blocks(block_rows):
            yield rows, function(block)
        return
    if X.container.is_portable:
        packed, tasks = _Packed(function, X.container), (X[rows] for rows in X.parts(block_rows))
        tasks = ((part.rows, part.finite) for part in tasks)
    else:
        packed, tasks = _Packed(function, None), (block for _, block in X.blocks(block_rows))
    yield from zip(X.parts(block_rows), engine.run(packed, tasks), strict=True)


class _Packed:
    """A function and the pool that it is asked about, as bytes that are known by their content."""

    def __init__(self, function, container):
        packed = cloudpickle.dumps((function, container), protocol=5)
        self.key = f"skal-{sha256(packed).hexdigest()}"
        self.content = np.frombuffer(packed, dtype=np.uint8)  # joblib maps an array into its workers


def _answer(key, content, task):
    """What a worker does: unpack the function once, read the rows of a task, and answer."""
    function, container = _unpack(key, content)
    rows = task if container is None else View(container, *task).read()
    if isinstance(rows, np.ndarray) and not rows.flags.writeable:  # it came by shared memory
        rows = rows.copy()
    with _computing, no_engine():
        return function(rows)


def _unpack(key, content):
    with _computing:
        if key not in _unpacked:
            _unpacked[key] = pickle.loads(memoryview(content))
        _unpacked.move_to_end(key)
        while len(_unpacked) > _N_UNPACKED:
            _unpacked.popitem(last=False)
        return _unpacked[key]


class _Joblib:
    """Processes of this machine, or whatever backend ``joblib.parallel_config`` has set."""

    def run(self, packed, tasks):
        """The answers to tasks, in order."""
        backend, n_jobs = get_active_backend()
        if n_jobs is None:  # nobody has said how many; inside of a worker, one
            n_jobs = 1 if getattr(backend, "nesting_level", None) else -1
        parallel = joblib.Parallel(n_jobs=n_jobs, batch_size=1, return_as="generator")
        yield from parallel(joblib.delayed(_answer)(packed.key, packed.content, task) for task in tasks)


class _Dask:
    """The workers of a cluster, which get a model once as long as this object lives."""

    def __init__(self, client):
        self._client = client
        self._sent = OrderedDict()

    def run(self, packed, tasks):
        """The answers to tasks, in order; a few wait in line, so that rows that travel are few."""
        waiting, n_waiting = deque(), 2 * max(1, sum(self._client.nthreads().values()))
        try:
            for task in tasks:
                waiting.append((task, self._submit(packed, task)))
                if len(waiting) >= n_waiting:
                    yield self._await(packed, *waiting.popleft())
            while waiting:
                yield self._await(packed, *waiting.popleft())
        finally:
            if waiting:  # nobody wants to know the rest
                self._client.cancel([future for _, future in waiting])

    def _submit(self, packed, task):
        if not isinstance(task, tuple):  # rows, which would be too much for the scheduler
            [task] = self._scatter([task], hash=False)
        return self._client.submit(_answer, packed.key, self._send(packed), task, pure=False)

    def _send(self, packed):
        if packed.key not in self._sent:
            # Never a name twice: the cluster may be about to forget the first one.
            name = f"{packed.key}-{uuid4().hex}"
            self._sent[packed.key] = self._scatter({name: packed.content}, broadcast=True)[name]
        while len(self._sent) > _N_UNPACKED:
            self._sent.popitem(last=False)
        return self._sent[packed.key]

    def _scatter(self, data, **options):
        """Data on workers; where one dies meanwhile, which cuts the connection to it, on others."""
        for attempt in range(_ATTEMPTS):
            try:
                return self._client.scatter(data, **options)
            except OSError:
                time.sleep(2**attempt / 10)  # until the scheduler knows
        return self._client.scatter(data, **options)

    def _await(self, packed, task, future):
        """The answer to a task; where what it needs was lost with its worker, that is sent again."""
        for _ in range(_ATTEMPTS):
            try:
                return future.result()
            except CancelledError:
                self._sent.pop(packed.key, None)
                future = self._submit(packed, task)
        return future.result()
