"""The base of every query strategy: the public methods, written once."""

from numbers import Integral

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    MetaEstimatorMixin,
    TransformerMixin,
    clone,
)
from sklearn.frozen import FrozenEstimator
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import UNUSED, MetadataRouter, MethodMapping, process_routing
from sklearn.utils.validation import check_consistent_length, check_is_fitted

from skal import capabilities, labels
from skal._compat import HasMethods, InvalidParameterError, routing_enabled, slice_fit_params
from skal._rows import check_rows, in_memory, n_rows, take
from skal._seeds import derive, draw_seed, seed_open_states
from skal.engine import in_blocks, use_engine
from skal.selection import top

__all__ = ["QueryStrategy", "check_model", "lend", "with_estimator"]


class QueryStrategy(ClassNamePrefixFeaturesOutMixin, TransformerMixin, MetaEstimatorMixin, BaseEstimator):
    """Base class of query strategies: says which rows are worth labelling.

    A strategy is an estimator: `fit` on the labelled rows, then `score` any rows, or `select` the n
    rows to label next. It is also a transformer with one column, its score.

    A new strategy is a subclass with a docstring, `requires`, an ``__init__`` that only stores (none,
    if it adds no parameter), and one hook: ``_score(X, rng)``, which returns one number per row, or,
    if rows are chosen jointly, also ``_select(X, n, rng)``, which returns positions.

    Parameters
    ----------
    estimator : classifier or None, default=None
        The model that the strategy asks; a clone of it is fitted in `fit`. A fitted model comes in as
        ``sklearn.frozen.FrozenEstimator(model)`` and is not refitted. None means the model of the
        `ActiveLearner` that the strategy is used in.
    random_state : int, RandomState or None, default=None
        Orders ties, and seeds whatever the strategy draws.

    Attributes
    ----------
    estimator_ : classifier
        The fitted model, where there is one.
    seed_ : int
        Fixes all answers of the fitted strategy.
    """

    #: What the model must offer; see `skal.capabilities`.
    requires = ()
    #: Whether `fit` needs labels. Without, the strategy can choose the first rows of all.
    needs_labels = True
    #: Whether the strategy has a meaning for models that label pixels; without, these are refused.
    takes_pixels = True
    #: "row-wise": a score depends on the fit and the row alone. "pool-relative": on all rows passed.
    #: "stochastic": the selection is drawn.
    nature = "row-wise"

    # An engine is no metadata that a pipeline or a search would route.
    __metadata_request__score = {"engine": UNUSED}

    _parameter_constraints = {"estimator": [HasMethods(["fit"]), None], "random_state": ["random_state"]}

    def __init__(self, estimator=None, *, random_state=None):
        self.estimator = estimator
        self.random_state = random_state

    def fit(self, X, y=None, **fit_params):
        """Fit the model, and whatever the strategy keeps, on the labelled rows.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...), or anything that `skal.as_pool` takes
            Rows: a table, images, texts; whatever the model takes. What is not in memory is read in blocks.
        y : array-like of shape (n_rows,), default=None
            Their labels; masks, where the model labels pixels. Unlabelled rows (see `skal.labels`) are
            dropped, unless the model is semi-supervised.
        **fit_params
            Passed to `fit` of the model; values with one entry per row are sliced to the labelled rows.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If the strategy needs a model that it lacks, or one that can do more; before any training.
        ValueError
            If X or y is malformed, or no row has a label.
        """
        if routing_enabled() and fit_params:
            fit_params = process_routing(self, "fit", **fit_params).estimator.fit
        return self._fit_rows(X, y, fit_params, may_have_gaps=True)

    def _fit_rows(self, X, y, fit_params, may_have_gaps):
        # The loop knows that each row it passes has a label, even where all of these are -1.
        self._check_parameters()
        can_start_cold = not self.needs_labels and (y is None or self._model is None)
        X = check_rows(
            self,
            X,
            allow_nan=self._allows_nan,
            reset=True,
            min_rows=0 if can_start_cold else 1,
        )
        all_rows, labelled = X, take(X, np.arange(0)) if y is None else X
        if y is not None:
            X, y, fit_params, labelled = self._labelled_rows(X, y, fit_params, may_have_gaps)
        elif self.needs_labels and not isinstance(self._model, FrozenEstimator):
            raise ValueError(f"{self!r} requires y to be passed, but the target y is None.")
        # A seed of its own for each number of rows: were it the same in every round of a loop, a pool
        # that has closed its gaps would offer the neighbours of the last batch at the same positions.
        self.seed_ = derive(draw_seed(self.random_state), n_rows(X))
        self._look(all_rows)
        in_use = X if y is None else in_memory(X)
        self._fit(in_use, y, fit_params)
        self._keep(in_use if labelled is X else in_memory(labelled))
        return self

    def score(self, X, y=None, *, engine=None):
        """How much each row is worth labelling; (n_rows, ...) -> (n_rows,) float.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            Rows, whether labelled or not.
        y : None
            Ignored; here because scikit-learn passes it.
        engine : {None, "joblib"} or dask.distributed.Client, default=None
            Who computes; see `skal.use_engine`.

        Returns
        -------
        ndarray of float of shape (n_rows,)
            Higher = label me.

        Raises
        ------
        ValueError
            If a score is not finite.
        """
        with use_engine(engine):
            X = self._check_queried(X)
            if n_rows(X) == 0:  # models refuse to look at no rows
                return np.empty(0)
            return self._finite_scores(X, self._rng("score", X))

    def select(self, X, n=1, *, engine=None):
        """The n rows of X to label next, best first; (n_rows, ...) -> (n,) int.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            Candidates: every row passed may be chosen, so pass unlabelled rows only.
        n : int, default=1
            How many rows, from 0 to n_rows.
        engine : {None, "joblib"} or dask.distributed.Client, default=None
            Who computes what the model says of rows; see `skal.use_engine`.

        Returns
        -------
        ndarray of int of shape (n,)
            Distinct positions in X. Ties are in an order that the seed fixes, not the position.

        Raises
        ------
        TypeError
            If n is not an integer.
        ValueError
            If n is larger than the number of rows, or a score is not finite.
        """
        with use_engine(engine):
            return self._query(X, n)[0]

    def _query(self, X, n):
        """What the loop asks: the rows of `select`, and facts about them for a learner's `history_`."""
        X = self._check_queried(X)
        if not isinstance(n, Integral):
            raise TypeError(f"{type(self).__name__} was asked to select n={n!r} rows; n must be an integer.")
        if not 0 <= n <= n_rows(X):
            raise ValueError(
                f"{type(self).__name__} was asked to select n={n} of {n_rows(X)} rows; n goes from 0 to the "
                "number of rows."
            )
        if n == 0:  # models refuse to look at no rows
            return np.empty(0, dtype=np.intp), {}
        return self._select_and_tell(X, n, self._rng("select", X))

    def get_metadata_routing(self):
        """Where fit parameters go: to `fit` of the model, where the strategy has one.

        Returns
        -------
        MetadataRouter
        """
        router = MetadataRouter(owner=self)
        if self._model is None:
            return router
        to_fit = MethodMapping().add(caller="fit", callee="fit")
        return router.add(estimator=self._model, method_mapping=to_fit)

    def transform(self, X):
        """The scores as one column; (n_rows, ...) -> (n_rows, 1)."""
        return self.score(X)[:, np.newaxis]

    def _score(self, X, rng):
        """Hook: one number per row of X; `rng` is a RandomState."""
        raise NotImplementedError(f"{type(self).__name__} has no _score(X, rng).")

    def _select(self, X, n, rng):
        """Hook: n positions in X, best first; by default those of the highest scores."""
        return top(self._finite_scores(X, rng), n, self.seed_)

    def _select_and_tell(self, X, n, rng):
        """Hook: the rows of `_select`, and facts about them, by name; by default none."""
        return self._select(X, n, rng), {}

    def _put_forward(self, X, n, rng):
        """Hook of `InParts`: n rows of a part, and how many of its rows each stands for, or None."""
        return self._select_and_tell(X, n, rng)[0], None

    def _select_among(self, X, weights, n, rng):
        """Hook of `InParts`: n of the rows that parts put forward; `weights` is None, or one for each."""
        return self._select_and_tell(X, n, rng)[0]

    def _fit(self, X, y, fit_params):
        """Hook: what to learn of the labelled rows; by default the model, where there is one."""
        model = self._model
        if model is None:
            return
        self.estimator_ = seed_open_states(clone(model), derive(self.seed_, "estimator"))
        has_labels = y is not None and len(y) > 0  # none at a cold start
        if has_labels or isinstance(model, FrozenEstimator):
            with capabilities.fenced(self.estimator_, derive(self.seed_, "draws")):
                self.estimator_.fit(X, y, **fit_params)

    def _look(self, X):
        """Hook: what to learn of all rows of `fit`, labelled or not; by default nothing."""

    def _keep(self, X):
        """Hook: what to keep of the labelled rows, none at a cold start; by default nothing."""

    @property
    def _model(self):
        """The model of the innermost strategy, before it is fitted."""
        return self.estimator

    @property
    def _allows_nan(self):
        """Whether NaN in X is the business of who looks at it."""
        return capabilities.allows_nan(self._model)

    def _check_parameters(self):
        self._check_model(self._model)
        self._validate_params()

    def _check_strategies(self):
        """Refuse what is no strategy inside a wrapper; here, nothing is inside."""

    def _check_model(self, model):
        """Refuse, before any work, a model that can't do what the strategy needs."""
        capabilities.require(self, model, self.requires)
        if not self.takes_pixels and capabilities.labels_pixels(model):
            raise TypeError(
                f"{self!r} asks what one label would tell, and {model!r} labels each pixel of an image; use "
                "Margin(), Entropy() or BALD(), which take the mean over pixels, or CoreSet() or "
                "TypiClust(), which look at its embedding."
            )

    def _labelled_rows(self, X, y, fit_params, may_have_gaps):
        """What the model is fitted on, X, y and fit parameters, and the labelled rows."""
        if not may_have_gaps:
            return X, y, fit_params, X
        mark = capabilities.mark_for(self._model)
        y, is_known = labels.read(y, mark)
        check_consistent_length(X, y)
        if self.needs_labels and not is_known.any():
            raise ValueError(f"{self!r} can't be fitted: none of the {len(y)} rows of y has a label.")
        if is_known.all():
            return X, y, fit_params, X
        rows = np.flatnonzero(is_known)
        labelled = take(X, rows)
        if capabilities.is_semi_supervised(self._model):
            return X, labels.hide(y, is_known, mark), fit_params, labelled
        return labelled, labels.at(y, rows), slice_fit_params(X, fit_params, rows), labelled

    def _check_queried(self, X):
        check_is_fitted(self, "seed_")
        X = check_rows(self, X, allow_nan=self._allows_nan, reset=False, min_rows=0)
        return in_blocks(X)

    def _finite_scores(self, X, rng):
        scores = np.asarray(self._score(X, rng), dtype=np.float64)
        if scores.shape != (n_rows(X),):
            raise ValueError(
                f"{self!r} gave scores of shape {scores.shape} for {n_rows(X)} rows, and needs one for each; "
                "skal.acquisition.over_pixels makes one of those of an image's pixels."
            )
        if not np.isfinite(scores).all():
            raise ValueError(
                f"{self!r} scored {np.count_nonzero(~np.isfinite(scores))} of {len(scores)} rows with "
                "numbers that are not finite; look at the model's predictions for these rows."
            )
        return scores

    def _rng(self, purpose, X):
        return np.random.RandomState(derive(self.seed_, purpose, n_rows(X)))

    @property
    def _n_features_out(self):
        return 1

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.required = self.needs_labels
        tags.non_deterministic = self.nature == "stochastic"
        if self._model is None:  # nobody looks into X
            tags.input_tags.sparse = tags.input_tags.string = True
        else:
            tags.input_tags.sparse = get_tags(self._model).input_tags.sparse
            tags.input_tags.allow_nan = self._allows_nan
        return tags


def check_is_strategy(strategy):
    """Refuse what is no strategy: a name, a class, a model.

    Raises
    ------
    InvalidParameterError
        Which is a ValueError and a TypeError, as for scikit-learn's parameters.
    """
    if not isinstance(strategy, QueryStrategy):
        raise InvalidParameterError(
            f"{strategy!r} is no query strategy; pass an object of skal.strategies, such as Margin()."
        )
    strategy._check_strategies()


def check_model(strategy, lent):
    """Refuse, before any work, a strategy whose model, its own or the one lent, can't do what it needs.

    Raises
    ------
    TypeError
        See `skal.capabilities.require`.
    """
    model = lent if strategy._model is None else strategy._model
    strategy._check_model(model)
    is_fitted_anew = model is not None and not isinstance(model, FrozenEstimator)
    if is_fitted_anew and capabilities.labels_pixels(model) != capabilities.labels_pixels(lent):
        raise TypeError(
            f"{strategy!r} has a model of its own, which is fitted to the same y as {lent!r}, and only one "
            "of them labels pixels; leave estimator= out, or pass one that takes the same y."
        )


def with_estimator(strategy, fitted):
    """A clone of a strategy that asks `fitted`, frozen, unless it brings a model of its own.

    Parameters
    ----------
    strategy : QueryStrategy
        Wrappers are opened: the innermost strategy gets the model.
    fitted : classifier
        A fitted model.

    Returns
    -------
    QueryStrategy
        Unfitted; `strategy` is unchanged.
    """
    return lend(strategy, FrozenEstimator(fitted))


def lend(strategy, estimator):
    """A clone of a strategy whose innermost one gets an estimator, unless it brings its own."""
    bound = clone(strategy)
    innermost = bound
    while hasattr(innermost, "strategy"):
        innermost = innermost.strategy
    if innermost.estimator is None:
        innermost.estimator = estimator
    return bound
