"""The same answers wherever they are computed: here, in other processes, on a cluster."""

import os
import pickle
import signal
import time
from pathlib import Path
from types import SimpleNamespace

import distributed
import numpy as np
import pytest
import zarr
from joblib import parallel_config
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB

from skal import ActiveLearner, as_pool, compare, engine, use_engine
from skal import strategies as of
from skal._compat import InvalidParameterError
from skal.containers import _view

N = 300
X = np.random.RandomState(0).normal(size=(N, 5))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)
LABELLED = np.arange(0, N, 6)


def forest():
    return RandomForestClassifier(4, random_state=0)


def linear():
    return LogisticRegression()


STRATEGIES = [
    of.Margin(linear()),
    of.BALD(forest()),
    of.BatchBALD(forest()),
    of.VariationRatio(forest(), kind="vote"),
    of.EPIG(forest(), n_targets=20),
    of.ExpectedGradientLength(linear()),
    of.LearningLoss(forest()),
    of.CoreSet(linear()),
    of.CoreSet(),
    of.BADGE(linear()),
    of.ClusterMargin(linear()),
    of.TypiClust(),
    of.EMOC(linear(), n_reference=30),
    of.SuggestiveAnnotation(forest(), n_candidates=20),
    of.StratifiedRandom(linear()),
    of.Subsample(of.Margin(linear()), size=200),
    of.StochasticBatch(of.Entropy(linear())),
    of.InParts(of.CoreSet(), size=60),
]


SAMPLES = (STRATEGIES[-3], STRATEGIES[-1])


@pytest.fixture(scope="module")
def client():
    cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0")
    with cluster, distributed.Client(cluster) as client:
        yield client


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(_view, "_BLOCK_ROWS", 64)


@pytest.fixture
def pool(tmp_path, small_blocks):
    return stored(tmp_path, X)


def stored(folder, X):
    return as_pool(zarr.create_array(folder / "X.zarr", data=X, chunks=(50, *X.shape[1:])))


def answers(strategy, X, engine=None):
    return strategy.score(X, engine=engine), strategy.select(X, 7, engine=engine)


def fitted(strategy):
    return clone(strategy).set_params(random_state=0).fit(X[LABELLED], Y[LABELLED])


def assert_equal(found, expected):
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("strategy", STRATEGIES, ids=lambda s: " ".join(repr(s).split()))
def test_bits_are_equal_with_any_number_of_threads(strategy, pool):
    strategy = fitted(strategy)
    serial = answers(strategy, pool)
    for n_jobs in (2, 3):
        with parallel_config("threading", n_jobs=n_jobs):
            assert_equal(answers(strategy, pool, "joblib"), serial)
    with parallel_config("threading", n_jobs=2):
        assert_equal(answers(strategy, X, "joblib"), serial)


def test_bits_are_equal_on_a_cluster(client, pool):
    for strategy in map(fitted, (STRATEGIES[0], STRATEGIES[2], STRATEGIES[5], STRATEGIES[9], *SAMPLES)):
        serial = answers(strategy, pool)
        assert_equal(answers(strategy, pool, client), serial)
        assert_equal(answers(strategy, X, client), serial)


def test_bits_do_not_hang_on_the_number_of_workers(client, pool):
    strategies = [fitted(of.Margin(linear())), fitted(of.BADGE(linear())), fitted(STRATEGIES[-1])]
    serial = [answers(strategy, pool) for strategy in strategies]
    try:
        for n_workers in (1, 3):
            scale(client, n_workers)
            for strategy, expected in zip(strategies, serial, strict=True):
                assert_equal(answers(strategy, pool, client), expected)
    finally:
        scale(client, 2)


def scale(client, n_workers, seconds=60):
    client.cluster.scale(n_workers)
    deadline = time.monotonic() + seconds
    while len(client.nthreads()) != n_workers:
        assert time.monotonic() < deadline, f"The cluster has {client.nthreads()}, and not {n_workers}."
        time.sleep(0.05)


def test_processes_of_joblib(pool):
    strategy = fitted(of.BALD(forest()))
    serial = answers(strategy, pool)
    with parallel_config("loky", n_jobs=2):
        assert_equal(answers(strategy, pool, "joblib"), serial)
        assert_equal(answers(strategy, X, "joblib"), serial)


def test_nets_keep_their_threads_and_the_callers(client, tmp_path, small_blocks):
    import torch

    from skal import NetClassifier

    images = X[:, :4].reshape(N, 2, 2).astype(np.float32)
    net = NetClassifier(max_epochs=1, n_threads=1, random_state=0)
    before = torch.get_num_threads(), torch.get_rng_state()
    for strategy in (of.BALD(net, n_draws=3, random_state=0), of.CoreSet(net, random_state=0)):
        strategy.fit(images[LABELLED], Y[LABELLED])
        held = stored(tmp_path / type(strategy).__name__, images)
        assert_equal(answers(strategy, held, client), answers(strategy, held))
    assert torch.get_num_threads() == before[0]
    assert torch.equal(torch.get_rng_state(), before[1])


class Fatal(ClassifierMixin, BaseEstimator):
    """Takes its time, and is killed with its process in the middle of its second block, once."""

    def __init__(self, folder, parent):
        self.folder, self.parent = folder, parent

    def fit(self, X, y):
        self.classes_, self.n_seen_ = np.unique(y), 0
        return self

    def predict_proba(self, X):
        self.n_seen_ += 1
        time.sleep(0.02)
        if os.getpid() != self.parent and self.n_seen_ == 2:
            try:
                Path(self.folder, "killed").touch(exist_ok=False)
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        share = 1 / (1 + np.exp(-X[:, :2].sum(axis=1)))
        return np.stack([share, 1 - share], axis=1)


@pytest.mark.parametrize("held", ["by a store", "in memory"])
def test_a_worker_that_is_killed_changes_nothing(client, pool, tmp_path, held):
    strategy = of.Margin(Fatal(str(tmp_path), os.getpid()), random_state=0).fit(X[:10], Y[:10] > 0)
    rows = pool if held == "by a store" else X
    found = answers(strategy, rows, client)
    assert (tmp_path / "killed").exists()
    assert_equal(found, answers(strategy, pool))


def test_a_connection_that_is_cut_is_made_again():
    class Client:
        n_calls = 0

        def scatter(self, data, **options):
            self.n_calls += 1
            if self.n_calls < 3:
                raise OSError("closed")
            return data, options

    assert engine._Dask(Client())._scatter([1], hash=False) == ([1], {"hash": False})


def test_a_model_travels_once(client, pool, monkeypatch):
    sent = []

    def scatter(data, **kwargs):
        sent.append(len(data))
        return type(client).scatter(client, data, **kwargs)

    monkeypatch.setattr(client, "scatter", scatter)
    strategy = fitted(of.Margin(forest()))
    with use_engine(client):
        answers(strategy, pool)
    assert sent == [1]


def test_learners_take_an_engine_that_is_no_state(client, pool):
    plain = ActiveLearner(linear(), n_rounds=2, random_state=0)
    learner = clone(plain).set_params(engine=client)
    assert clone(learner).engine is client
    assert pickle.loads(pickle.dumps(learner)).engine is None
    learner.fit(pool, Y)
    assert [stage.engine for stage in learner.stages()] == [client] * 3
    np.testing.assert_array_equal(learner.labeled_iter_, plain.fit(pool, Y).labeled_iter_)
    np.testing.assert_array_equal(learner.query(pool, 5), plain.query(pool, 5))
    search = GridSearchCV(learner, {"strategy": [of.Margin(), of.Entropy()]}, cv=2).fit(X, Y)
    assert search.best_estimator_.engine is client


def test_comparisons_run_on_a_cluster(client):
    def numbers(comparison):
        return [(*row[:5], *row[7:]) for row in comparison.rows]

    learners = [ActiveLearner(GaussianNB(), strategy, n_rounds=2) for strategy in (of.Random(), of.Margin())]
    expected = numbers(compare(learners, X, Y, n_seeds=2))
    assert numbers(compare(learners, X, Y, n_seeds=2, engine=client)) == expected


def test_a_mapped_array_travels_as_the_name_of_its_file(tmp_path):
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    for array in (mapped, mapped[10:200:3], mapped[::-1, 1:]):
        container = as_pool(array).container
        packed = pickle.dumps(container)
        assert len(packed) < 1000
        assert pickle.loads(packed).origin == container.origin
        np.testing.assert_array_equal(as_pool(pickle.loads(packed))[[3, 0]].read(), array[[3, 0]])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(as_pool(X))).read(), X)


def test_errors_name_the_row(tmp_path, small_blocks):
    gap = X.copy()
    gap[200, 3] = np.nan
    held, strategy = stored(tmp_path, gap), fitted(of.Margin(linear()))
    with parallel_config("threading", n_jobs=2), pytest.raises(ValueError, match="Row 200 of the pool"):
        strategy.score(held, engine="joblib")


def test_what_is_no_engine_is_refused(monkeypatch):
    strategy = fitted(of.Margin(linear()))
    for refused in ("spark", "dask", 2):
        with pytest.raises(InvalidParameterError, match="is no engine; pass None, 'joblib', or a client"):
            strategy.score(X, engine=refused)
    with pytest.raises(InvalidParameterError, match="is no engine"):
        ActiveLearner(linear(), engine="spark").fit(X, Y)
    with pytest.raises(InvalidParameterError, match="is no engine"):
        compare([ActiveLearner(linear())], X, Y, engine="spark")
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    with pytest.raises(InvalidParameterError, match=r"pip install skal\[dask\]"):
        strategy.select(X, engine="dask")
    monkeypatch.setattr(engine, "is_client", lambda engine: True)
    with pytest.raises(InvalidParameterError, match="is asynchronous"):
        strategy.select(X, engine=SimpleNamespace(asynchronous=True))


def test_what_can_not_be_cut_is_scored_here(small_blocks):
    rows = {"X": X}
    with use_engine("joblib"):
        assert engine.in_blocks(rows) is rows
        assert len(engine.in_blocks([*X])) == N
    assert engine.in_blocks(X) is X


def test_a_client_that_is_closed_is_refused(monkeypatch):
    monkeypatch.setattr(engine, "is_client", lambda engine: True)
    with pytest.raises(InvalidParameterError, match="is closed; pass a client"):
        fitted(of.Margin(linear())).select(X, engine=SimpleNamespace(status="closed", asynchronous=False))
