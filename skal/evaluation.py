"""Comparison of learners: paired runs over seeds, and statistics that claim no more than they show."""

import pickle
import sys
from contextlib import nullcontext
from inspect import Parameter, signature
from pathlib import Path
from threading import Lock

import joblib
import numpy as np
from sklearn.base import clone
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import train_test_split
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from skal import labels
from skal._comparison import Comparison
from skal._rows import at_the_door, is_view, n_rows, take
from skal._runs import Stage, read_stages, write_stages
from skal._seeds import derive, draw_seed
from skal.capabilities import labels_pixels
from skal.engine import check_engine, is_client, no_engine
from skal.learner import ActiveLearner
from skal.metrics import labeled_scorer

__all__ = ["Comparison", "compare"]

# Threads of one process would share its limits, and the modes that nets are in.
_one_run = Lock()


def compare(
    learners,
    X,
    y,
    X_test=None,
    y_test=None,
    *,
    n_seeds=10,
    scoring=None,
    test_size=0.25,
    random_state=0,
    n_jobs=None,
    engine=None,
    path=None,
    progress=None,
):
    """Run learners over seeds, and see which needs fewer labels.

    Runs are paired: for one seed, all learners get the same split and the same `random_state`, hence
    the same first rows and the same initial weights, and what is left of a difference between two
    learners is their own. Each run computes on one thread, so that its numbers do not depend on
    `n_jobs`: set that to the number of cores.

    Parameters
    ----------
    learners : dict of str to ActiveLearner, or list of ActiveLearner
        What to compare, unfitted. A list takes the strategies as names. Where one is called "Random",
        the others are compared with it.
    X : array-like of shape (n_rows, ...), or anything that `skal.as_pool` takes
        The pool; without `X_test`, pool and test rows together.
    y : array-like of shape (n_rows,)
        Its labels, the oracle; masks, where learners label pixels.
    X_test, y_test : array-like or None, default=None
        Held-out rows, the same for all seeds. None sets `test_size` of X aside, anew for each seed.
        Rows without a label are left out.
    n_seeds : int, default=10
        Runs of each learner. Fewer than 10 is a pilot, which claims nothing.
    scoring : str, callable or None, default=None
        Any scorer of scikit-learn, applied after each round, or "score", the learners' own. None is
        "accuracy", or "score" where learners label pixels.
    test_size : float or int, default=0.25
        Share or number of rows to set aside, where there is no `X_test`.
    random_state : int, RandomState or None, default=0
        Fixes all splits and runs.
    n_jobs : int or None, default=None
        Runs at a time, by joblib.
    engine : {None, "joblib"} or dask.distributed.Client, default=None
        Where runs are computed. A client is that of a cluster, whose workers take a run for each of their
        threads, so give each one thread; "joblib" is the same as None. Within a run, no engine is used.
    path : str, Path or None, default=None
        A CSV that gets the rows as runs end. Where it exists, the runs in it are not repeated; one
        that was made with other data, learners or settings is refused.
    progress : bool or None, default=None
        Whether to show a progress bar on stderr; None shows it on a terminal.

    Returns
    -------
    Comparison

    Raises
    ------
    ValueError
        If `path` holds rows of something else.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.naive_bayes import GaussianNB
    >>> from skal import ActiveLearner, compare
    >>> from skal.strategies import Margin, Random
    >>> X, y = load_digits(return_X_y=True)
    >>> learners = [ActiveLearner(GaussianNB(), strategy, n_rounds=3) for strategy in (Random(), Margin())]
    >>> comparison = compare(learners, X, y, n_seeds=3)
    >>> n_labels, scores = comparison.curve("Margin")
    >>> n_labels, scores.shape
    (array([20., 30., 40., 50.]), (3, 4))
    >>> print(comparison.table())
    accuracy ... pilot, no claim ...
    """
    check_engine(engine)
    learners = _named(learners)
    if (X_test is None) != (y_test is None):
        raise ValueError("X_test and y_test go together: pass both, or neither to have rows of X set aside.")
    if y is None:
        raise ValueError(
            "compare needs y, the labels of all rows, which learners see as they ask for them; a pool that "
            "knows its labels has them as pool.y."
        )
    seed = draw_seed(random_state)
    data = at_the_door(X), y, at_the_door(X_test), y_test
    if scoring is None:
        scoring = "score" if any(map(labels_pixels, learners.values())) else "accuracy"
    settings = _settings(learners, data, scoring, test_size, seed, to_file=path is not None)
    done = {} if path is None else _done(Path(path), settings)
    todo = [(name, i) for i in range(n_seeds) for name in learners if (name, i) not in done]
    with _backend(engine):
        running = joblib.Parallel(n_jobs=n_jobs, return_as="generator")(
            joblib.delayed(_run)(learners[name], *data, derive(seed, i), test_size, scoring)
            for name, i in todo
        )
        for (name, i), stages in zip(todo, tqdm(running, **_bar(len(todo), progress)), strict=True):
            done[name, i] = [Stage(name, i, *stage, settings[name]) for stage in stages]
            if path is not None:
                write_stages(path, _in_order(done))
    asked = {run: stages for run, stages in done.items() if run[0] in learners and run[1] < n_seeds}
    return Comparison(_in_order(asked), learners=list(learners))


def _named(learners):
    for learner in learners.values() if hasattr(learners, "items") else learners:
        if not isinstance(learner, ActiveLearner):
            raise TypeError(
                f"compare takes ActiveLearners, around a model and a strategy, and got {learner!r}."
            )
    if hasattr(learners, "items"):
        return dict(learners)
    names = [
        "Margin" if learner.strategy is None else " ".join(repr(learner.strategy).split()).removesuffix("()")
        for learner in learners
    ]
    if len(set(names)) < len(names):
        raise ValueError(f"Two learners share a strategy ({', '.join(names)}); pass a dict with their names.")
    return dict(zip(names, learners, strict=True))


def _backend(engine):
    """The backend of joblib that runs are computed by: the active one, or that of a cluster."""
    return joblib.parallel_config("dask", client=engine) if is_client(engine) else nullcontext()


def _run(learner, X, y, X_test, y_test, seed, test_size, scoring):
    """One learner with one seed; -> the fields of its stages from round to rows."""
    with _one_run, no_engine(), threadpool_limits(1):
        X, y, X_test, y_test, pool_rows = _split(X, y, X_test, y_test, test_size, derive(seed, "split"))
        learner = clone(learner).set_params(
            random_state=derive(seed, "learner"), keep_models=True, engine=None
        )
        learner.fit(X, y)
        score = labeled_scorer(scoring)
        return [
            (
                stage["round"],
                stage["n_labeled"],
                _finite(score(model, X_test, y_test), learner, scoring),
                stage["fit_seconds"],
                stage["select_seconds"],
                tuple(pool_rows[stage["rows"]].tolist()),
            )
            for stage, model in zip(learner.history_, learner.stages(), strict=True)
        ]


def _finite(score, learner, scoring):
    if not np.isfinite(score):
        raise ValueError(f"{scoring} of {learner!r} is {score}; a comparison needs finite scores.")
    return score


def _split(X, y, X_test, y_test, test_size, seed):
    y, pool = labels.as_array(y), np.arange(n_rows(X))
    if X_test is not None:
        return X, y, X_test, labels.as_array(y_test), pool
    pool, test = map(np.sort, train_test_split(pool, test_size=test_size, random_state=seed))
    return take(X, pool), y[pool], take(X, test), y[test], pool


def _settings(learners, data, scoring, test_size, seed, to_file):
    """For each learner what its numbers follow from, as a line of text."""
    name = scoring if isinstance(scoring, str) else getattr(scoring, "__name__", type(scoring).__name__)
    if not to_file:
        return dict.fromkeys(learners, name)
    protocol = joblib.hash((name, test_size if data[2] is None else None, seed))[:8]
    of_data = joblib.hash(tuple(map(_hashable, data)))[:8]
    return {learner: f"{name} {of_data} {digest(learners[learner])} {protocol}" for learner in learners}


def _hashable(part):
    """X or y as its digest sees it: arrays of different sizes as what they hold, wherever they lie."""
    if is_view(part):
        return part.fingerprint()
    if isinstance(part, list) or (isinstance(part, np.ndarray) and part.dtype.kind == "O"):
        first = next((array for array in part if array is not None), None)
        if isinstance(first, np.ndarray):
            return [None if array is None else joblib.hash(np.ascontiguousarray(array)) for array in part]
    return part


def digest(learner):
    """A text that tells learners apart: the same for the same classes and settings.

    A parameter that has its default does not count, so that a file of results outlives a new parameter.
    """
    try:
        return joblib.hash(_as_set(clone(learner).set_params(engine=None)))[:8]
    except (pickle.PicklingError, AttributeError) as error:
        raise ValueError(
            f"With path=, a learner must be picklable, to be told from others: {error}. Give a lambda or a "
            "local function a name in a module."
        ) from error


def _as_set(value):
    """An estimator as its class and the parameters that its user set; other things as they are."""
    if isinstance(value, list | tuple):
        return [_as_set(part) for part in value]
    if isinstance(value, dict):
        return {name: _as_set(part) for name, part in value.items()}
    if isinstance(value, type | FrozenEstimator) or not hasattr(value, "get_params"):
        return value
    defaults = {name: part.default for name, part in signature(type(value).__init__).parameters.items()}
    own = {
        name: part
        for name, part in value.get_params(deep=False).items()
        if repr(part) != repr(defaults.get(name, Parameter.empty))
    }
    return f"{type(value).__module__}.{type(value).__qualname__}", _as_set(own)


def _done(path, settings):
    """The runs in a file, refused if they are of another kind; -> dict of (learner, seed) to stages."""
    if not path.exists():
        write_stages(path, [])  # a path that can't be written is found before the work
    done = {}
    for stage in read_stages(path):
        wanted = settings.get(stage.learner, next(iter(settings.values())))
        differing = [
            part
            for part, ours, theirs in zip(
                ("score", "data", "learner", "split or random_state"),
                wanted.split(),
                stage.settings.split(),
                strict=True,
            )
            if ours != theirs and not (part == "learner" and stage.learner not in settings)
        ]
        if differing:
            raise ValueError(
                f"{path} holds runs of {stage.learner!r} that were made with another {differing[0]}; give "
                "another path, or move that file away."
            )
        done.setdefault((stage.learner, stage.seed), []).append(stage)
    return done


def _in_order(done):
    """All stages by seed, learners in the order in which they came."""
    return [stage for run in sorted(done, key=lambda run: run[1]) for stage in done[run]]


def _bar(total, progress):
    disable = None if progress is None else not progress
    return {"total": total, "disable": disable, "unit": "run", "desc": "compare", "file": sys.stderr}
