"""Strategies, models, loops and comparisons on pools that are not in memory."""

import pickle
import tracemalloc

import h5py
import numpy as np
import pandas as pd
import pytest
import zarr
from scipy import sparse
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skal import ActiveLearner, EnsembleClassifier, NetClassifier, PseudoLabelClassifier, as_pool, compare
from skal import strategies as of
from skal.containers import _view
from skal.nets import LossPredictionClassifier
from skal.nets._net import INFERENCE_BATCH

N = 160
RNG = np.random.RandomState(0)
Y = RNG.randint(3, size=N)
IMAGES = (RNG.randint(120, size=(N, 8, 8)) + 60 * Y[:, None, None] * (RNG.rand(8, 8) < 0.5)).clip(0, 255)
IMAGES = IMAGES.astype(np.uint8)
TABLE = IMAGES.reshape(N, -1)[:, :10] / 255


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(_view, "_BLOCK_ROWS", 64)
    monkeypatch.setitem(INFERENCE_BATCH, "cuda", 64)  # blocks are whole batches


def flat(X):
    return X.reshape(len(X), -1) / 255


def held(X, folder):
    """X in a chunked store, a file, and a torch Dataset."""
    import torch

    X.tofile(folder / "X.bin")
    with h5py.File(folder / "X.h5", "w") as file:
        file.create_dataset("X", data=X, chunks=(17, *X.shape[1:]))
    yield zarr.create_array(folder / "X.zarr", data=X, chunks=(23, *X.shape[1:]), overwrite=True)
    yield h5py.File(folder / "X.h5", "r")["X"]
    yield np.memmap(folder / "X.bin", dtype=X.dtype, mode="r", shape=X.shape)
    yield torch.utils.data.TensorDataset(torch.as_tensor(X), torch.as_tensor(Y))


def net():
    return NetClassifier(max_epochs=1, random_state=0)


def forest():
    return make_pipeline(FunctionTransformer(flat), RandomForestClassifier(5, random_state=0))


LEARNERS = {
    "Margin": (net(), of.Margin()),
    "BALD of a forest": (forest(), of.BALD()),
    "BatchBALD": (net(), of.BatchBALD(n_draws=3)),
    "CoreSet": (net(), of.CoreSet()),
    "CoreSet of a PCA": (forest(), of.CoreSet(embedding=PCA(3, random_state=0))),
    "BADGE": (net(), of.BADGE()),
    "EMOC": (net(), of.EMOC(n_reference=20)),
    "LearningLoss": (LossPredictionClassifier(max_epochs=1, random_state=0), of.LearningLoss()),
    "QueryByCommittee": (EnsembleClassifier(net(), 2), of.QueryByCommittee()),
    "PseudoLabelClassifier": (PseudoLabelClassifier(net(), threshold=0.9), of.Margin()),
}


@pytest.mark.parametrize("name", LEARNERS)
def test_the_same_rows_are_chosen_whatever_holds_the_pool(name, tmp_path):
    estimator, strategy = LEARNERS[name]
    learner = ActiveLearner(estimator, strategy, n_initial=20, batch_size=5, n_rounds=1, random_state=0)
    expected = clone(learner).fit(IMAGES, Y)
    for number, X in enumerate(held(IMAGES, tmp_path)):
        if number > 0 and name != "Margin":
            break
        fitted = clone(learner).fit(X, Y)
        for stage, wanted in zip(fitted.history_, expected.history_, strict=True):
            np.testing.assert_array_equal(stage["rows"], wanted["rows"])
        np.testing.assert_array_equal(fitted.query(X, 7), expected.query(IMAGES, 7))
        np.testing.assert_array_equal(fitted.predict_proba(X), expected.predict_proba(IMAGES))
        assert fitted.score(X, Y) == expected.score(IMAGES, Y)


@pytest.mark.parametrize("strategy", [of.Margin(), of.CoreSet(), of.Random()], ids=str)
def test_the_hand_written_loop_runs_from_disk(strategy, tmp_path):
    def rows_chosen(X):
        chooser = clone(strategy).set_params(random_state=0)
        if not isinstance(strategy, of.Random):
            chooser.set_params(estimator=net())
        labeled, unlabeled, picked = np.arange(20), np.arange(20, N), []
        for _ in range(2):
            chooser.fit(X[labeled], Y[labeled])
            picked = unlabeled[chooser.select(X[unlabeled], n=10)]
            labeled, unlabeled = np.append(labeled, picked), np.setdiff1d(unlabeled, picked)
        return labeled

    expected = rows_chosen(IMAGES)
    for X in held(IMAGES, tmp_path):
        np.testing.assert_array_equal(rows_chosen(as_pool(X)), expected)


def test_tables_are_checked_as_their_blocks_are_read(tmp_path):
    model = make_pipeline(StandardScaler(with_mean=False), LogisticRegression())
    expected = ActiveLearner(model, random_state=0).fit(TABLE, Y)
    for X in held(TABLE, tmp_path):
        learner = ActiveLearner(model, random_state=0).fit(X, Y)
        assert learner.n_features_in_ == 10
        for stage, wanted in zip(learner.history_, expected.history_, strict=True):
            np.testing.assert_array_equal(stage["rows"], wanted["rows"])
    with pytest.raises(ValueError, match="expecting 10 features"):
        learner.query(as_pool(TABLE[:, :9]))
    bad = TABLE.copy()
    bad[113, 4] = np.nan
    for pool in (as_pool(bad), as_pool(sparse.csr_array(bad)), as_pool(pd.DataFrame(bad))):
        with pytest.raises(ValueError, match="Row 113 of the pool has a value that is NaN"):
            learner.query(pool)


def test_searches_take_a_view(tmp_path):
    X, learner = zarr.create_array(tmp_path / "X.zarr", data=TABLE), ActiveLearner(LogisticRegression())
    search = GridSearchCV(learner, {"strategy": [of.Margin(), of.Random()]}, cv=2).fit(as_pool(X), Y)
    assert len(search.cv_results_["mean_test_score"]) == 2
    np.testing.assert_array_equal(
        cross_val_score(ActiveLearner(net(), random_state=0), as_pool(IMAGES), Y, cv=2),
        cross_val_score(ActiveLearner(net(), random_state=0), IMAGES, Y, cv=2),
    )


def test_a_comparison_is_the_same_and_knows_the_pool_again(tmp_path):
    learners = [ActiveLearner(LogisticRegression(), s(), n_rounds=1) for s in (of.Random, of.Margin)]
    expected = compare(learners, TABLE, Y, n_seeds=2)
    X, path = zarr.create_array(tmp_path / "X.zarr", data=TABLE, chunks=(50, 10)), tmp_path / "runs.csv"
    found = compare(learners, X, Y, n_seeds=2, path=path)
    for name in ("Random", "Margin"):
        np.testing.assert_array_equal(found.curve(name)[1], expected.curve(name)[1])
    compare(learners, X, Y, n_seeds=2, path=path)
    X = zarr.open_array(tmp_path / "X.zarr", mode="r+")
    X[0, 0] += 1
    with pytest.raises(ValueError, match="another data"):
        compare(learners, X, Y, n_seeds=2, path=path)


def test_a_pool_that_changed_since_the_labels_were_given_is_refused(tmp_path):
    X = zarr.create_array(tmp_path / "X.zarr", data=IMAGES, chunks=(50, 8, 8))
    y = np.where(np.arange(N) % 10 == 3, Y, -1)
    learner = ActiveLearner(net(), n_rounds=0, random_state=0).fit(X, y)
    again = pickle.loads(pickle.dumps(learner))
    assert len(again.query(zarr.open_array(tmp_path / "X.zarr"), n=3)) == 3
    assert len(learner.query(as_pool(X)[50:100], n=3)) == 3
    labelled, unlabelled = X[13], X[0]
    X[13] = 255 - labelled
    with pytest.raises(ValueError, match="has changed since ActiveLearner was fitted"):
        learner.query(X)
    X[13], X[0] = labelled, 255 - unlabelled
    with pytest.raises(ValueError, match="has changed since ActiveLearner was fitted"):
        learner.query(X)
    X[0] = unlabelled
    assert not set(learner.query(X, n=60)) & set(np.flatnonzero(y >= 0))


def test_parts_of_a_mapped_file_are_different_pools(tmp_path):
    IMAGES.tofile(tmp_path / "X.bin")
    X = np.memmap(tmp_path / "X.bin", dtype=np.uint8, mode="r", shape=IMAGES.shape)
    learner = ActiveLearner(net(), n_rounds=1).fit(X[:60], Y[:60])
    for other in (X[60:120], X[60:], X, X[::2]):
        assert len(learner.query(other, n=2)) == 2


@pytest.mark.parametrize("strategy", [of.Margin(), of.CoreSet(), of.BALD()], ids=str)
@pytest.mark.parametrize("kind", ["memmap", "zarr"])
def test_no_more_than_a_block_is_held(kind, strategy, tmp_path, monkeypatch):
    monkeypatch.setattr(_view, "_BLOCK_ROWS", 1024)
    n = 50_000  # of 1 KiB
    if kind == "zarr":
        X = zarr.create_array(tmp_path / "X.zarr", shape=(n, 32, 32), chunks=(500, 32, 32), dtype=np.uint8)
        X[:N] = np.repeat(np.repeat(IMAGES, 4, axis=1), 4, axis=2)
    else:
        X = np.memmap(tmp_path / "X.bin", dtype=np.uint8, mode="w+", shape=(n, 32, 32))
        X[:N] = np.repeat(np.repeat(IMAGES, 4, axis=1), 4, axis=2)
    features = FunctionTransformer(lambda X: X[:, ::16, ::16].reshape(len(X), -1) / 255)
    model = RandomForestClassifier(3) if isinstance(strategy, of.BALD) else LogisticRegression()
    chooser = clone(strategy).set_params(estimator=make_pipeline(features, model), random_state=0)
    chooser.fit(as_pool(X)[:100], Y[:100])
    tracemalloc.start()
    try:
        chooser.select(X, 5)
        chooser.score(X)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The points are four float64 a row, 1.6 MB, and what CoreSet makes of them is as large again, and again.
    assert peak < 12e6, f"{peak / 1e6:.0f} MB for a pool of 51 MB"


def test_labelled_rows_alone_are_held_for_training(tmp_path):
    seen = []

    class Watched(of.Margin):
        def _fit(self, X, y, fit_params):
            seen.append(
                type(X),
            )
            seen.append(len(X))
            super()._fit(X, y, fit_params)

    X = zarr.create_array(tmp_path / "X.zarr", data=IMAGES)
    Watched(net()).fit(X, np.where(np.arange(N) < 30, Y, -1))
    assert seen == [np.ndarray, 30]


def test_a_fitted_embedding_is_asked_block_by_block():
    encoder = FrozenEstimator(PCA(3).fit(flat(IMAGES)))
    pool = as_pool(flat(IMAGES))
    found, wanted = (
        of.CoreSet(embedding=encoder, random_state=0).fit(X[:5]).select(X, 20) for X in (pool, pool.read())
    )
    np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    "changed", [np.r_[TABLE, TABLE[:1]], np.r_[TABLE[:1], TABLE], TABLE[::-1].astype("f4"), TABLE[:100]]
)
def test_a_file_that_has_other_rows_is_refused_whatever_their_number_and_type(changed, tmp_path):
    path = tmp_path / "X.npy"
    np.save(path, TABLE)
    learner = ActiveLearner(LogisticRegression(), n_rounds=0, random_state=0).fit(path, Y)
    assert len(learner.query(as_pool(path)[50:], n=2)) == 2
    np.save(path, changed)
    for pool in (path, np.load(path, mmap_mode="r")):
        with pytest.raises(ValueError, match="has changed since ActiveLearner was fitted"):
            learner.query(pool)


def test_another_order_of_a_pool_is_another_pool(tmp_path):
    np.save(tmp_path / "X.npy", TABLE)
    pool, order = as_pool(tmp_path / "X.npy"), np.random.RandomState(0).permutation(N)
    y = np.where(np.arange(N) < 50, Y[order], -1)
    learner = ActiveLearner(LogisticRegression(), n_rounds=0, random_state=0).fit(pool[order], y)
    assert set(learner.query(pool[order], n=110)) == set(range(50, N))
    assert len(learner.query(pool, n=N)) == N


def test_how_an_array_lies_in_memory_changes_no_bit():
    """Last bits of a convolution hang on it, and a pool that is read in blocks lies otherwise."""
    colours = np.moveaxis(np.stack([IMAGES] * 3, axis=-1), -1, 1)
    for X in (IMAGES[:, None], colours):
        model = net().fit(X, Y)
        for ask in (model.predict_proba, model.embed, lambda X: model.sample_proba(X, 3)):  # noqa: B023
            np.testing.assert_array_equal(ask(X), ask(np.ascontiguousarray(X)))
            np.testing.assert_array_equal(ask(X), ask(as_pool(X)))


def test_a_pixel_that_is_no_number_is_named_by_its_row_in_the_pool():
    import torch

    X = (IMAGES / 255).astype(np.float32)
    X[77, 3, 3] = np.nan
    for held in (X, torch.from_numpy(X)):
        with pytest.raises(ValueError, match="Row 77 is not finite"):
            ActiveLearner(net(), n_initial=6, n_rounds=1, random_state=0).fit(held, Y)
