"""ActiveLearner: the pool loop as a scikit-learn classifier."""

from copy import copy
from itertools import islice
from numbers import Integral

import numpy as np
from sklearn.base import clone
from sklearn.utils import get_tags
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from skal import capabilities, labels, loop
from skal._compat import (
    CallbackSupportMixin,
    HasMethods,
    Interval,
    StrOptions,
    end_round,
    end_task,
    start_task,
    with_callbacks,
)
from skal._delegating import DelegatingClassifier, model_has
from skal._initial import initial_rows
from skal._rows import digest, is_view, n_rows, take
from skal._seeds import derive, draw_seed
from skal.engine import check_engine, is_client, on_engine
from skal.pool import Pool
from skal.strategies import Margin, QueryStrategy
from skal.strategies._base import check_is_strategy, check_model
from skal.strategies._embedding import settle_embedding

__all__ = ["ActiveLearner"]


class ActiveLearner(CallbackSupportMixin, DelegatingClassifier):
    """A classifier that learns from as few labels as it can: a pool loop around a model.

    `fit` plays the whole loop with y as the oracle: label some rows, fit the model, let the strategy
    choose the next rows, look up their labels, fit again. Labels of rows that were not queried are
    never looked at, so scores on held-out data say what the strategy is worth. The learner is an
    estimator: it is cross-validated and searched, with strategy, model and their parameters.

    Parameters
    ----------
    estimator : classifier
        The model; a clone of it is fitted each round. A scikit-learn classifier, pipeline or search, or
        `skal.NetClassifier`.
    strategy : QueryStrategy or None, default=None
        Chooses the rows; None means `skal.strategies.Margin`. Without an estimator of its own it asks
        the learner's model, which is then fitted once a round.
    initial : "random", "stratified", array of rows or QueryStrategy, default="random"
        The first rows. "stratified" keeps the shares of the classes, with a row of each class first (a mask
        counts as that class of its pixels which the fewest masks have); it is the only setting that looks at
        labels before their rows are chosen. Rows are positions in X (then `n_initial` does not count). A
        strategy must need no labels.
    n_initial : int, default=20
        How many rows to start with. Where the model refuses them for being of one class, random rows
        join them, counted in round 0.
    batch_size : int, default=10
        Rows per query.
    n_rounds : int or None, default=5
        Queries, so there are ``n_rounds + 1`` fits. 0 fits on all known labels and queries nothing.
        None, with `max_labels`, means as many as it takes.
    max_labels : int or None, default=None
        Ends the loop at this number of labels; the last batch is cut.
    warm_start : bool, default=False
        Start the fit of each round from a copy of the last model; for nets and models whose
        ``warm_start`` continues an optimisation. A second `fit` starts over.
    keep_models : bool, default=True
        Keep the model of each round, which the ``staged_`` methods need.
    unlabeled : "auto" or a label, default="auto"
        The mark in y of a row without a label. "auto": -1 in integers, -1 or None in objects, NaN in
        floats; exactly {-1, 1} means two classes. In masks it is that of a pixel, the model's
        `ignore_index`, else -1; a row without a label has no other pixels. Such rows are never queried in
        `fit`; they serve semi-supervised models and `query`.
    engine : {None, "joblib"} or dask.distributed.Client, default=None
        Who computes what models say of the pool in `fit` and `query`; see `skal.use_engine`. Clones share a
        client; a pickled learner leaves it behind.
    random_state : int, RandomState or None, default=None
        Fixes initial rows, models and strategies, where these have no seed of their own.

    Attributes
    ----------
    estimator_ : classifier
        The model of the last round.
    strategy_ : QueryStrategy
        The strategy, fitted with that model.
    classes_ : ndarray of shape (n_classes,)
        All known classes of y, the columns of `predict_proba`; 0 where the model never saw one.
    labeled_iter_ : ndarray of int of shape (n_rows,)
        The round in which each row got its label, -1 = never.
    history_ : list of dict
        Per round: ``round``, ``n_labeled``, ``rows`` (new in this round, best first; ascending in round
        0), ``fit_seconds``,
        ``select_seconds``; and what the strategy tells of its batch, such as `CoreSet`'s cover radius.
    models_ : list of classifiers
        The model of each round, if `keep_models`.
    n_features_in_, feature_names_in_
        As in scikit-learn, where X is a table.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import train_test_split
    >>> from skal import ActiveLearner
    >>> from skal.strategies import Entropy
    >>> X, y = load_digits(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X / 16, y, random_state=0)
    >>> learner = ActiveLearner(LogisticRegression(), Entropy(), n_rounds=10, random_state=0)
    >>> learner.fit(X_train, y_train).score(X_test, y_test) > 0.85
    True
    >>> int((learner.labeled_iter_ >= 0).sum())
    120
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit"])],
        "strategy": [QueryStrategy, None],
        "initial": [StrOptions({"random", "stratified"}), "array-like", QueryStrategy],
        "n_initial": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [Interval(Integral, 1, None, closed="left")],
        "n_rounds": [Interval(Integral, 0, None, closed="left"), None],
        "max_labels": [Interval(Integral, 1, None, closed="left"), None],
        "warm_start": ["boolean"],
        "keep_models": ["boolean"],
        "unlabeled": "no_validation",
        "engine": "no_validation",
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator,
        strategy=None,
        *,
        initial="random",
        n_initial=20,
        batch_size=10,
        n_rounds=5,
        max_labels=None,
        warm_start=False,
        keep_models=True,
        unlabeled="auto",
        engine=None,
        random_state=None,
    ):
        self.estimator = estimator
        self.strategy = strategy
        self.initial = initial
        self.n_initial = n_initial
        self.batch_size = batch_size
        self.n_rounds = n_rounds
        self.max_labels = max_labels
        self.warm_start = warm_start
        self.keep_models = keep_models
        self.unlabeled = unlabeled
        self.engine = engine
        self.random_state = random_state

    @with_callbacks
    @on_engine
    def fit(self, X, y, **fit_params):
        """Play the loop: y is the oracle, and a label is looked up only when its row is queried.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...), or anything that `skal.as_pool` takes
            The pool. What is not in memory, such as a zarr array, a folder of images or a Dataset, is read in
            blocks; the labelled rows alone are held.
        y : array-like of shape (n_rows,)
            Its labels, with marks where there is none. For a model that labels pixels, masks: integers of
            shape (n_rows, height, width), or, for images of different sizes, a list or object array.
        **fit_params
            For `fit` of the model, by scikit-learn's metadata routing where that is enabled; values
            with one entry per row are sliced to the labelled rows.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If the model lacks what the strategy needs; before any training.
        ValueError
            If X, y or a parameter is malformed.
        """
        strategy = self._check_parameters()
        X, y, is_known, classes = self._check_data(X, y)
        seed = draw_seed(self.random_state)
        strategy = settle_embedding(strategy, X, derive(draw_seed(seed), "embedding"))
        pool = Pool(X, may_query=is_known, dtype=None if labels.are_masks(y) else y.dtype)
        first = self._first_rows(X, y, is_known, derive(seed, "initial"))
        pool.label(first, labels.at(y, first), number=0)
        running = loop.rounds(
            self._model_for(classes),
            strategy,
            pool,
            lambda rows: labels.at(y, rows),
            batch_size=self.batch_size,
            max_labels=self.max_labels,
            warm_start=self.warm_start,
            fit_params=self._routed(fit_params),
            random_state=seed,
        )
        for entry, model in self._record(running, pool, classes):
            entry.update(model.diagnose(labels.hide(y, is_known)))  # nothing is learned any more
        self.strategy_ = loop.bind(strategy, self.estimator_, pool, draw_seed(seed), len(self.history_))
        self.labeled_iter_ = pool.labeled_iter
        self._pool_mark = pool.labeled, digest(pool.take(pool.labeled))
        self._pool_source = _source(X)
        return self

    @on_engine
    def query(self, X, n=1):
        """The n rows of X to label next, best first; (n_rows, ...) -> (n,) int.

        For people without an oracle: `fit` on the labels there are (``n_rounds=0``), `query`, have the
        rows labelled, and start again.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...), or anything that `skal.as_pool` takes
            Candidates. In the pool of `fit` itself, rows whose label is in use are left out.
        n : int, default=1
            How many rows.

        Returns
        -------
        ndarray of int of shape (n,)
            Distinct positions in X.

        Raises
        ------
        ValueError
            If n is larger than the number of candidates, or if the pool of `fit` has changed meanwhile where
            it is read from.
        """
        check_is_fitted(self)
        X = self._check_rows(X, reset=False)
        candidates = np.arange(n_rows(X))
        if self._is_fitted_pool(X):
            candidates = np.flatnonzero(self.labeled_iter_ < 0)
        if isinstance(n, Integral) and n > len(candidates):
            raise ValueError(f"query(X, n={n}) can't be met: X has {len(candidates)} rows left to label.")
        return candidates[self.strategy_.select(take(X, candidates), n)]

    def stages(self):
        """The learner as it was after each round; yields n_rounds + 1 fitted learners.

        Raises
        ------
        ValueError
            If the models were not kept.
        """
        check_is_fitted(self)
        if not self.keep_models:
            raise ValueError(
                "The models of the rounds were not kept; set keep_models=True to see the learner in stages."
            )
        return (self._stage(number, model) for number, model in enumerate(self.models_))

    @available_if(model_has("predict"))
    def staged_predict(self, X):
        """Predicted labels after each round; yields arrays of shape (n_rows,)."""
        return (stage.predict(X) for stage in self.stages())

    @available_if(model_has("predict_proba"))
    def staged_predict_proba(self, X):
        """Class probabilities after each round; yields arrays of shape (n_rows, n_classes)."""
        return (stage.predict_proba(X) for stage in self.stages())

    def staged_score(self, X, y, sample_weight=None):
        """The score after each round, on the rows of X that have a label; yields floats."""
        return (stage.score(X, y, sample_weight) for stage in self.stages())

    def _check_parameters(self):
        """The strategy, once everything that can be refused without looking at data has been."""
        capabilities.require(self, self.estimator)
        capabilities.mark_for(self.estimator, self.unlabeled)
        check_engine(self.engine)
        strategy = Margin() if self.strategy is None else self.strategy
        check_is_strategy(strategy)
        self._validate_params()
        check_model(strategy, lent=self.estimator)
        self._check_that_it_sees_all_rows()
        if self.n_rounds is None and self.max_labels is None:
            raise ValueError("n_rounds=None needs max_labels, which then ends the loop.")
        if self.warm_start and not capabilities.continues_training(self.estimator):
            raise ValueError(
                f"warm_start=True needs a model that goes on from its last weights, and {self.estimator!r} "
                "has no warm_start, or one that adds members to an old ensemble; use warm_start=False."
            )
        return strategy

    def _check_that_it_sees_all_rows(self):
        outer, inner = self.estimator, getattr(self.estimator, "estimator", None)
        while inner is not None and not capabilities.is_semi_supervised(outer):
            outer, inner = inner, getattr(inner, "estimator", None)
        if capabilities.is_semi_supervised(outer) and not capabilities.is_semi_supervised(self.estimator):
            raise ValueError(
                f"{type(self.estimator).__name__} is fitted on labels only, so that {outer!r} in it sees no "
                "unlabelled rows: put the semi-supervised classifier outside, around the other, or search "
                "the learner."
            )

    def _first_rows(self, X, y, is_known, seed):
        if self.n_rounds == 0:
            return np.flatnonzero(is_known)
        return initial_rows(
            self.initial, X, y, is_known, self.n_initial, self.max_labels, seed, mark=self._mark
        )

    def _model_for(self, classes):
        """The model, told what the loop knows better, where it can be told and its user left it open.

        The vocabulary: then its outputs stay when a class turns up late. The mark that the loop hides
        labels with: then it need not guess from the labels revealed so far.
        """
        params, told = self.estimator.get_params(), {}
        name = capabilities.final_parameter(self.estimator, "classes")
        if name is not None and params[name] is None:
            told[name] = classes.tolist()
        name = capabilities.final_parameter(self.estimator, "unlabeled")
        if capabilities.is_semi_supervised(self.estimator) and name is not None and params[name] == "auto":
            told[name] = -1
        return clone(self.estimator).set_params(**told) if told else self.estimator

    def _record(self, running, pool, vocabulary):
        """Run the loop, keeping what the fitted learner shows; -> models to compare with the truth."""
        to_diagnose = []
        n_stages = None if self.n_rounds is None else self.n_rounds + 1
        task = start_task(self, n_stages if self.max_labels is None else None)
        self.history_, self.models_, self._next_strategies = [], [], []
        for current in islice(running, n_stages):
            self.estimator_, model = current.estimator, capabilities.last_step(current.estimator)
            self.classes_ = np.union1d(vocabulary, getattr(current.estimator, "classes_", vocabulary))
            self.history_.append(
                {
                    "round": current.number,
                    "n_labeled": current.n_labeled,
                    "rows": current.rows,
                    "fit_seconds": current.fit_seconds,
                    "select_seconds": current.select_seconds,
                    **current.facts,
                    **getattr(model, "al_facts_", {}),
                }
            )
            if getattr(model, "diagnostics", False):
                to_diagnose.append((self.history_[-1], model))
            if self.keep_models:
                self.models_.append(current.estimator)
                self._next_strategies += [] if current.strategy is None else [current.strategy]
            end_round(self, task, pool)
        if not self.keep_models:
            del self.models_
        end_task(self, task)
        return to_diagnose

    def _stage(self, number, model):
        stage = copy(self)
        stage.engine = self.engine
        stage.estimator_ = model
        stage.history_, stage.models_ = self.history_[: number + 1], self.models_[: number + 1]
        stage.labeled_iter_ = np.where(self.labeled_iter_ > number, -1, self.labeled_iter_)
        stage.strategy_ = [*self._next_strategies, self.strategy_][number]  # asks the model of this stage
        return stage

    def _is_fitted_pool(self, X):
        """Whether X is the pool of `fit`, judged by its size and the content of its labelled rows."""
        origin, content, is_whole = _source(X)
        same_place = origin is not None and origin == self._pool_source[0]
        if same_place and content != self._pool_source[1]:
            raise _changed(self, X)
        if n_rows(X) != len(self.labeled_iter_):
            return False
        rows, mark = self._pool_mark
        is_same = digest(take(X, rows)) == mark
        if same_place and not is_same and is_whole and self._pool_source[2]:
            raise _changed(self, X)
        return is_same

    def __getstate__(self):
        state = super().__getstate__()
        return {**state, "engine": None} if is_client(state["engine"]) else state

    def __sklearn_clone__(self):
        # A client is a connection, of which there are no copies; a shallow copy of a learner has none.
        cloned = super(ActiveLearner, copy(self)).__sklearn_clone__()
        cloned.engine = self.engine
        return cloned

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        own = getattr(self.strategy, "_model", None)  # a strategy with a model of its own shows it X as well
        if own is not None:
            tags.input_tags.sparse &= get_tags(own).input_tags.sparse
            tags.input_tags.allow_nan &= capabilities.allows_nan(own)
        return tags


def _source(X):
    """Where the rows of a pool are read from, a mark of what is there, and whether X is all of that."""
    origin = X.container.origin if is_view(X) else None
    return (None, None, False) if origin is None else (origin, X.container.fingerprint(), X.rows is None)


def _changed(learner, X):
    return ValueError(
        f"The pool {X!r} has changed since {type(learner).__name__} was fitted on it, so that row numbers "
        "and labels may belong to other rows; fit the learner again, on the pool as it is now."
    )
