"""Answers for a pool, block by block, in one array."""

import numpy as np
import pytest
from scipy import sparse

from skal import _block_wise, as_pool
from skal._block_wise import answered, block_wise
from skal.containers import _view
from skal.strategies import CoreSet

X = np.random.RandomState(0).normal(size=(150, 4))


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(_view, "_BLOCK_ROWS", 64)


FUNCTIONS = {
    "rows": lambda X: X * 2,
    "one number": lambda X: X.sum(axis=1),
    "draws": lambda X: np.stack([X, -X]),
    "texts": lambda X: np.array([f"{row[0]:.{i % 7}f}" for i, row in enumerate(X)]),
    "objects": lambda X: np.array([*({"row": row[0]} for row in X)], dtype=object),
    "sparse": lambda X: sparse.csr_array(X * (X > 0)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_an_answer_is_that_for_the_whole(name):
    function, axis = FUNCTIONS[name], int(name == "draws")
    seen = []

    def watched(rows):
        seen.append(len(rows))
        return function(rows)

    found, expected = answered(watched, as_pool(X), axis), function(X)
    assert seen == [64, 64, 22]
    if name == "sparse":
        found, expected = found.toarray(), expected.toarray()
    if name == "texts":  # of 22 and of 64 rows, each knows its place in its block
        expected = np.concatenate([function(part) for part in (X[:64], X[64:128], X[128:])])
    np.testing.assert_array_equal(found, expected)
    assert answered(function, as_pool(X)[:0], axis).shape[axis] == 0


def test_methods_take_pools_and_keep_their_other_arguments():
    class Owner:
        @block_wise
        def scaled(self, X, factor, *, shift=0):
            assert isinstance(X, np.ndarray)
            return X * factor + shift

    np.testing.assert_array_equal(Owner().scaled(as_pool(X), 2, shift=1), X * 2 + 1)
    assert Owner().scaled(X, 1).base is None


def test_a_large_answer_is_kept_in_a_file(monkeypatch):
    monkeypatch.setattr(_block_wise, "_IN_MEMORY", 1000)
    found = answered(lambda rows: rows * 2, as_pool(X))
    assert isinstance(found, np.memmap)
    np.testing.assert_array_equal(found, X * 2)
    strategy = CoreSet(random_state=0).fit(X[:5])
    np.testing.assert_array_equal(strategy.select(as_pool(X), 20), strategy.select(X, 20))


def test_several_answers_are_an_array_each():
    found = answered(lambda X: (X.sum(axis=1), sparse.csr_array(X), X[:, :0]), as_pool(X))
    assert isinstance(found, tuple)
    np.testing.assert_array_equal(found[0], X.sum(axis=1))
    np.testing.assert_array_equal(found[1].toarray(), X)
    assert found[2].shape == (150, 0)
