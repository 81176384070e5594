"""Two rounds: the best of each part of the pool, then the best of those."""

import numpy as np
import pytest
from joblib import parallel_config
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression

from skal import ActiveLearner, as_pool, strategies
from skal.selection import cover_radius
from skal.strategies import (
    BADGE,
    BALD,
    CoreSet,
    InParts,
    LearningLoss,
    Margin,
    Random,
    StochasticBatch,
    Subsample,
    SuggestiveAnnotation,
    TypiClust,
)
from skal.strategies.badge import last_layer_gradients
from skal.testing import check_query_strategy

DIGITS, DIGIT = load_digits(return_X_y=True)
X = np.random.RandomState(0).normal(size=(400, 5))
Y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


def linear():
    return LogisticRegression(max_iter=1000)


@pytest.mark.parametrize(
    "strategy",
    [InParts(Margin(), size=7), InParts(CoreSet(), size=15), InParts(TypiClust(), size=12)]
    + [InParts(BADGE(), size=10, shuffle=True)],
    ids=repr,
)
def test_contract_where_there_are_parts(strategy):
    check_query_strategy(strategy, linear())


@pytest.mark.parametrize("size", [1, 9, 100, 399, 400, 1000])
@pytest.mark.parametrize("shuffle", [False, True])
def test_exact_where_each_row_has_its_own_score(size, shuffle):
    for inside in (Margin(linear()), BALD(RandomForestClassifier(20, random_state=0))):
        at_once = inside.set_params(random_state=3).fit(X[:40], Y[:40])
        in_parts = InParts(inside, size=size, shuffle=shuffle, random_state=0).fit(X[:40], Y[:40])
        n = len(np.unique(at_once.score(X))) // 2
        order = at_once.score(X)
        found = in_parts.select(X, n)
        assert (np.diff(order[found]) <= 0).all()
        np.testing.assert_array_equal(np.sort(order[found]), np.sort(order)[-n:])


def radius(strategy, Z, n, n_labeled=5):
    chosen = strategy.fit(Z[:n_labeled]).select(Z[n_labeled:], n)
    return cover_radius(Z, np.vstack([Z[:n_labeled], Z[n_labeled:][chosen]]))


@pytest.mark.parametrize("n", [1, 20, 100])
@pytest.mark.parametrize("size", [200, 900])
def test_cover_radius_is_near_the_sequential_one(n, size):
    sequential = radius(CoreSet(random_state=0), DIGITS, n)
    assert radius(InParts(CoreSet(), size=size, random_state=0), DIGITS, n) <= 1.1 * sequential


@pytest.mark.parametrize("order", ["by class", "by distance", "one apart", "copies"])
def test_cover_radius_with_adversarial_parts(order):
    Z = DIGITS[np.argsort(DIGIT, kind="stable")]
    if order == "by distance":
        Z = Z[np.argsort(np.linalg.norm(Z - Z.mean(axis=0), axis=1))]
    elif order == "one apart":  # a part of rows far from each other, all others near one place
        near = 1e-3 * np.random.RandomState(0).normal(size=(900, 64)) + Z[0]
        Z = np.vstack([near, Z[:300]])
    elif order == "copies":
        Z = np.repeat(Z[::30], 30, axis=0)
    for n in (10, 50):
        sequential = radius(CoreSet(random_state=0), Z, n)
        assert radius(InParts(CoreSet(), size=300, random_state=0), Z, n) <= 1.15 * sequential


def test_labelled_rows_are_known_in_each_part():
    ends = np.array([[0.0], [10.0], [4.0], [0.1], [9.9], [5.0]])
    in_parts = InParts(CoreSet(), size=2, random_state=0).fit(ends[:2])
    np.testing.assert_array_equal(in_parts.select(ends[2:], 1), [3])


class Watched(CoreSet):
    """Counts the points that it held at once."""

    held = ()

    def _embed(self, X):
        Z = super()._embed(X)
        type(self).held += (len(Z),)
        return Z


def test_points_of_one_part_are_held_at_a_time():
    strategy = InParts(Watched(), size=100, random_state=0).fit(X[:10])
    Watched.held = ()
    strategy.select(X, 5)
    assert Watched.held == (100, 100, 100, 100, 40)
    InParts(Watched(), size=150, random_state=0).fit(X[:10]).select(X, 5)
    assert Watched.held[-4:] == (134, 134, 132, 30)


@pytest.mark.parametrize(
    "inside",
    [CoreSet(), BADGE(linear()), SuggestiveAnnotation(RandomForestClassifier(4, random_state=0)), Random()],
    ids=lambda inside: type(inside).__name__,
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_bits_are_equal_whoever_computes_them(inside, shuffle, tmp_path):
    np.save(tmp_path / "X.npy", X)
    pool = as_pool(np.load(tmp_path / "X.npy", mmap_mode="r"))
    strategy = InParts(inside, size=60, shuffle=shuffle, random_state=0).fit(X[:30], Y[:30])
    serial = strategy.select(pool, 12)
    np.testing.assert_array_equal(strategy.select(X, 12), serial)
    for n_jobs in (2, 3):
        with parallel_config("threading", n_jobs=n_jobs):
            for rows in (pool, X):
                np.testing.assert_array_equal(strategy.select(rows, 12, engine="joblib"), serial)


def test_a_larger_factor_puts_more_rows_forward():
    def found(factor):
        return radius(InParts(CoreSet(), size=900, factor=factor, random_state=0), DIGITS, 300)

    assert found(4) < found(2) < found(1)


def test_parts_are_drawn_by_the_seed():
    def chosen(seed, shuffle=True):
        inside = CoreSet(random_state=0)
        return InParts(inside, size=50, shuffle=shuffle, random_state=seed).fit(X[:10]).select(X, 20).tolist()

    assert chosen(0) == chosen(0)
    assert len({tuple(sorted(chosen(seed))) for seed in range(5)}) > 1
    assert chosen(0, shuffle=False) == chosen(1, shuffle=False)


def test_in_a_loop_and_by_name():
    learner = ActiveLearner(linear(), InParts(CoreSet(), size=100), n_rounds=3, random_state=0).fit(X, Y)
    assert (learner.labeled_iter_ >= 0).sum() == 50
    assert "InParts" in strategies.concrete()


def test_what_is_no_number_of_rows_is_refused():
    for parameter in ("size", "factor"):
        for value in (0, 1.5, "all"):
            with pytest.raises(ValueError, match=parameter):
                InParts(CoreSet(), **{parameter: value}).fit(X[:10])


def potential(strategy, X, rows):
    """The sum over all rows of the squared distance of a gradient to the nearest chosen one."""
    gradients = last_layer_gradients(strategy.estimator_.predict_proba(X), X)
    return gradients.squared_distances(gradients[rows]).min(axis=1).sum()


@pytest.mark.parametrize("order", ["as stored", "by class"])
def test_gradients_stand_for_those_around_them(order):
    """Without weights parts put long gradients forward, and the sum is a third larger."""
    by_class = np.argsort(DIGIT, kind="stable") if order == "by class" else np.arange(len(DIGIT))
    model, Z = linear().fit(DIGITS[:60], DIGIT[:60]), DIGITS[by_class]
    sums = []
    for wrapped in (lambda inside: inside, lambda inside: InParts(inside, size=250)):
        of_seeds = []
        for seed in range(5):
            badge = BADGE(FrozenEstimator(model), random_state=seed)
            strategy = wrapped(badge).fit(DIGITS[:60], DIGIT[:60])
            of_seeds.append(potential(badge.fit(DIGITS[:60], DIGIT[:60]), Z, strategy.select(Z, 40)))
        sums.append(np.mean(of_seeds))
    assert sums[1] < 1.1 * sums[0]


@pytest.mark.parametrize("inside", [Random(), StochasticBatch(Margin(linear())), BADGE(linear())], ids=repr)
def test_parts_draw_independently(inside):
    class Watched(type(inside)):
        def _put_forward(self, X, n, rng):
            answer = super()._put_forward(X, n, rng)
            drawn.append(tuple(np.sort(answer[0])))
            return answer

    drawn = []
    same = np.tile(X[:50], (6, 1))
    strategy = Watched(**clone(inside).get_params(deep=False))
    InParts(strategy, size=50, random_state=0).fit(X[50:], Y[50:]).select(same, 5)
    assert len(set(drawn)) == len(drawn) == 6


def test_samples_of_parts_may_be_smaller_than_what_parts_put_forward():
    for inside in (Subsample(Margin(linear()), size=15), LearningLoss(linear(), subset=15)):
        strategy = InParts(inside, size=100, random_state=0).fit(X[:60], Y[:60])
        assert len(set(strategy.select(X, 12).tolist())) == 12
        with pytest.raises(ValueError, match="sample of 15"):
            strategy.select(X, 16)


def test_an_embedding_that_is_yet_to_be_fitted_is_fitted_on_all_rows():
    Z = DIGITS[:300]
    embedding = PCA(20, random_state=0)
    for settled in (embedding, FrozenEstimator(clone(embedding).fit(Z))):
        at_once = CoreSet(embedding=settled, random_state=0)
        in_parts = InParts(at_once, size=15, random_state=0).fit(Z[:0])
        assert len(set(in_parts.select(Z, 5).tolist())) == 5
        if settled is embedding:
            np.testing.assert_array_equal(in_parts.select(Z, 5), at_once.fit(Z[:0]).select(Z, 5))
    learner = ActiveLearner(linear(), initial=InParts(CoreSet(embedding=embedding), size=15), n_rounds=1)
    learner.set_params(random_state=0).fit(DIGITS[:200], DIGIT[:200])
