"""The contract of query strategies, as checks that anyone can run on theirs."""

import pickle
import random
from contextlib import contextmanager
from functools import partial

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from skal import strategies
from skal.learner import ActiveLearner
from skal.strategies import StrategyWrapper
from skal.strategies._base import lend

__all__ = ["Stub", "check_query_strategy", "every_strategy", "query_strategy_checks"]


def _may(capability):
    return lambda stub: capability in stub.capabilities


class Stub(ClassifierMixin, BaseEstimator):
    """A small deterministic classifier that can do no more than declared.

    Predicts by the distances to the class means; draws move the means.

    Parameters
    ----------
    capabilities : sequence of str, default=("predict_proba",)
        What the model can be asked for.
    broken : bool, default=False
        Whether it answers with NaN.

    Examples
    --------
    >>> hasattr(Stub(), "predict_proba"), hasattr(Stub(capabilities=()), "predict_proba")
    (True, False)
    """

    def __init__(self, capabilities=("predict_proba",), broken=False):
        self.capabilities = capabilities
        self.broken = broken

    def fit(self, X, y):
        """Store the mean of each class."""
        X, y = validate_data(self, X, y)
        check_classification_targets(y)
        self.classes_ = np.unique(y)
        self.means_ = np.stack([X[y == label].mean(axis=0) for label in self.classes_])
        self.n_fitted_ = len(y)
        return self

    def predict(self, X):
        """The class with the nearest mean; (n, m) -> (n,)."""
        check_is_fitted(self)
        return self.classes_[self._distances(X).argmin(axis=1)]

    @available_if(_may("predict_proba"))
    def predict_proba(self, X):
        """A softmax of minus the squared distances; (n, m) -> (n, n_classes)."""
        check_is_fitted(self)
        return self._softmax(self._distances(X))

    @available_if(_may("sample_proba"))
    def sample_proba(self, X, n_draws=None, *, random_state=None):
        """The same under draws of the class means; (n, m) -> (n_draws, n, n_classes)."""
        check_is_fitted(self)
        rng = np.random.RandomState(0 if random_state is None else random_state)
        shifts = rng.normal(size=(n_draws or 20, *self.means_.shape))
        return np.stack([self._softmax(self._distances(X, shift)) for shift in shifts])

    @available_if(_may("predict_loss"))
    def predict_loss(self, X):
        """The squared distance to the nearest mean; (n, m) -> (n,)."""
        check_is_fitted(self)
        return self._distances(X).min(axis=1)

    @available_if(_may("embed"))
    def embed(self, X):
        """The row itself; (n, m) -> (n, m)."""
        check_is_fitted(self)
        return validate_data(self, X, reset=False)

    def _distances(self, X, shift=0):
        X = validate_data(self, X, reset=False)
        return ((X[:, np.newaxis] - self.means_ - shift) ** 2).sum(axis=2) / X.shape[1]

    def _softmax(self, distances):
        proba = np.exp(distances.min(axis=1, keepdims=True) - distances)
        proba /= proba.sum(axis=1, keepdims=True)
        return np.full_like(proba, np.nan) if self.broken else proba


def every_strategy():
    """An instance of each exported strategy; wrappers around `Random` and around `Margin`.

    Returns
    -------
    list of QueryStrategy
    """
    classes = strategies.concrete().values()
    wrappers = [c for c in classes if issubclass(c, StrategyWrapper)]
    plain = [c for c in classes if not issubclass(c, StrategyWrapper)]
    inside = [strategies.Random(), strategies.Margin()]
    return [c() for c in plain] + [c(strategy) for c in wrappers for strategy in inside]


def check_query_strategy(strategy, estimator=None):
    """Check that a strategy keeps the contract of skal.

    Parameters
    ----------
    strategy : QueryStrategy
        Unfitted.
    estimator : classifier or None, default=None
        What the strategy gets where it has no estimator; None is a `Stub` that can do what it requires.
        It is fitted many times on 60 rows of 4 columns, so take a small one, with an int as its seed.

    Raises
    ------
    AssertionError
        If it does not.

    Examples
    --------
    >>> from skal.strategies import Margin
    >>> check_query_strategy(Margin())
    """
    for name, check in query_strategy_checks(strategy, estimator):
        try:
            check()
        except Exception as error:
            raise AssertionError(f"{strategy!r} fails the check {name!r}: {error!r}") from error


def query_strategy_checks(strategy, estimator=None):
    """The checks one by one, for a test runner; yields (name, callable without arguments)."""
    estimator = _stub(strategy) if estimator is None else estimator
    for check in _CHECKS:
        yield check.__name__.removeprefix("_check_"), partial(check, strategy, estimator)


def _data(n=60, n_classes=3, seed=0):
    rng = np.random.RandomState(seed)
    y = np.arange(n) % n_classes
    return rng.normal(size=(n, 4)) + y[:, np.newaxis], y


def _stub(strategy, **params):
    return Stub(capabilities=tuple(strategy.requires), **params)


def _bound(strategy, model):
    bound = lend(strategy, model)
    return bound if bound.random_state is not None else bound.set_params(random_state=0)


def _fitted(strategy, model, n_labeled=20):
    X, y = _data()
    return _bound(strategy, model).fit(X[:n_labeled], y[:n_labeled]), X[n_labeled:]


def _global_state():
    return pickle.dumps((np.random.get_state(), random.getstate()))


@contextmanager
def _refused(error_type, *words):
    try:
        yield
    except error_type as error:
        missing = [word for word in words if word not in str(error)]
        assert not missing, f"The message {str(error)!r} does not say {missing}."
    else:
        raise AssertionError(f"Expected {error_type.__name__}, and nothing was refused.")


def _check_selects_distinct_rows(strategy, model):
    fitted, X = _fitted(strategy, model)
    for n in (0, 1, 7, len(X)):
        rows = fitted.select(X, n)
        assert (rows.shape, rows.dtype.kind) == ((n,), "i")
        assert len(set(rows.tolist())) == n
        assert n == 0 or (rows.min() >= 0 and rows.max() < len(X))


def _check_refuses_more_rows_than_there_are(strategy, model):
    fitted, X = _fitted(strategy, model)
    for n in (len(X) + 1, -1):
        with _refused(ValueError, f"n={n}", str(len(X))):
            fitted.select(X, n)


def _check_scores_each_row(strategy, model):
    fitted, X = _fitted(strategy, model)
    scores = fitted.score(X)
    assert (scores.shape, scores.dtype) == ((len(X),), np.float64)
    assert np.isfinite(scores).all()
    np.testing.assert_array_equal(fitted.transform(X), scores[:, np.newaxis])
    assert len(fitted.get_feature_names_out()) == 1


def _check_first_row_is_the_argmax(strategy, model):
    if strategy.nature == "stochastic":
        return
    fitted, X = _fitted(strategy, model)
    scores = fitted.score(X)
    assert scores[fitted.select(X, 1)[0]] == scores.max()


def _check_scores_follow_a_permutation(strategy, model):
    if strategy.nature == "stochastic":
        return
    fitted, X = _fitted(strategy, model)
    order = np.random.RandomState(1).permutation(len(X))
    np.testing.assert_allclose(fitted.score(X[order]), fitted.score(X)[order], rtol=1e-9, atol=1e-12)


def _check_an_int_seed_repeats_everything(strategy, model):
    X, y = _data()
    before = _global_state()
    first = _bound(strategy, model).fit(X[:20], y[:20])
    rows, scores = first.select(X, 9), first.score(X)
    for again in (first, _bound(strategy, model).fit(X[:20], y[:20]), pickle.loads(pickle.dumps(first))):
        np.testing.assert_array_equal(again.select(X, 9), rows)
        np.testing.assert_array_equal(again.score(X), scores)
    assert _global_state() == before, "The global random state has changed."


def _check_changes_nothing(strategy, model):
    X, y = _data()
    X_before, y_before, repr_before = X.copy(), y.copy(), repr(strategy)
    fitted = _bound(strategy, model).fit(X[:20], y[:20])
    state_before = set(vars(fitted))
    fitted.select(X, 5)
    fitted.score(X)
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(y, y_before)
    assert set(vars(fitted)) == state_before, "score or select has set an attribute."
    assert repr(strategy) == repr(clone(strategy)) == repr_before


def _check_ties_have_no_position(strategy, model):
    """Equal rows all have the same chance: 4 of 8, over 100 seeds, is 50 for each."""
    X = np.ones((8, 4))
    X_labeled, y = _data(20)
    fitted_model = FrozenEstimator(clone(model).fit(X_labeled, y))
    counts = np.zeros(len(X))
    for seed in range(100):
        fitted = _bound(strategy, fitted_model).set_params(random_state=seed).fit(X_labeled, y)
        counts[fitted.select(X, 4)] += 1
    # Each count has a standard deviation of 5; five of them leave room for a seeded, fixed outcome.
    assert np.abs(counts - 50).max() < 25, f"Of equal rows, {strategy!r} prefers some: {counts}."


def _check_duplicates_and_one_class(strategy, model):
    X, _ = _data()
    duplicates = np.repeat(X[:5], 6, axis=0)
    y = np.zeros(30, dtype=int)
    if strategy._model is not None or not _takes_one_class(model, duplicates):
        y = np.arange(30) % 2  # that some models refuse a single class is not the strategy's fault
    fitted = _bound(strategy, model).fit(duplicates, y)
    assert len(set(fitted.select(duplicates, 10).tolist())) == 10


def _takes_one_class(model, X):
    try:
        clone(model).fit(X, np.zeros(len(X), dtype=int))
    except ValueError:
        return False
    return True


def _check_unlabelled_rows_are_no_targets(strategy, model):
    X, y = _data()
    gaps = np.where(np.arange(len(y)) % 2, y, -1)
    has_label = gaps != -1
    with_gaps = _bound(strategy, model).fit(X, gaps)
    without = _bound(strategy, model).fit(X[has_label], y[has_label])
    np.testing.assert_array_equal(with_gaps.score(X), without.score(X))


def _check_hidden_labels_are_not_read(strategy, model):
    X, y = _data()
    learner = ActiveLearner(model, strategy, n_initial=6, batch_size=4, n_rounds=4, random_state=0)
    queried = learner.fit(X, y).labeled_iter_.copy()
    hidden = np.flatnonzero(queried < 0)
    shuffled = y.copy()
    shuffled[hidden] = y[np.random.RandomState(0).permutation(hidden)]
    assert not np.array_equal(shuffled, y)
    np.testing.assert_array_equal(clone(learner).fit(X, shuffled).labeled_iter_, queried)


def _check_says_what_it_needs(strategy, model):
    if not strategy.requires or strategy._model is not None:
        return
    X, y = _data()
    lacking = Stub(capabilities=())
    for bad in (clone(strategy), lend(strategy, lacking), ActiveLearner(lacking, strategy)):
        with _refused(TypeError, strategy.requires[0]):
            bad.fit(X, y)
    assert not hasattr(lacking, "classes_"), "The model was trained before it was refused."


def _check_refuses_what_is_not_finite(strategy, model):
    if not strategy.requires or strategy._model is not None:
        return
    X, y = _data()
    for method in ("score", "select"):
        with _refused(ValueError, "Stub"):  # where it is asked first, which may be in fit
            fitted = _bound(strategy, _stub(strategy, broken=True)).fit(X, y)
            getattr(fitted, method)(X)


def _check_must_be_fitted(strategy, model):
    X, _ = _data()
    for ask in (_bound(strategy, model).score, _bound(strategy, model).select):
        with _refused(NotFittedError):
            ask(X)


def _check_scikit_learn_estimator(strategy, model):
    expected = {}
    if strategy.nature == "pool-relative":
        expected["check_methods_subset_invariance"] = "scores are relative to the rows passed"
    check_estimator(_bound(strategy, model), expected_failed_checks=expected, on_skip=None)


_CHECKS = [check for name, check in list(globals().items()) if name.startswith("_check_")]
