"""PseudoLabelClassifier: train on what the model is sure of, too, and forget it again."""

from copy import deepcopy
from numbers import Integral, Real

import numpy as np
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from skal import capabilities, labels
from skal._compat import HasMethods, Interval, StrOptions, slice_fit_params
from skal._delegating import DelegatingClassifier
from skal._rows import in_memory, n_rows, take
from skal._seeds import derive, draw_seed, seed_open_states
from skal.acquisition import entropy
from skal.selection import top

__all__ = ["PseudoLabelClassifier", "threshold_at"]


class PseudoLabelClassifier(DelegatingClassifier):
    """Train on the labels, then on the rows that the model is sure of as well (CEAL).

    A model is fitted on the labels. Rows without a label whose predicted distribution has an entropy under
    a threshold get the likeliest class as a pseudo-label, and the model is trained on both: a net goes on
    from its weights (fine-tuning), other models are refitted. Pseudo-labels live for one fit: the next one
    starts from the labels alone, and what an oracle says always wins.

    In an `ActiveLearner` the classifier gets the rows without a label and the number of the round, with which
    the threshold falls: as the model is trained on more, less certainty is taken for truth. Any strategy
    chooses the rows to query.

    Parameters
    ----------
    estimator : classifier with predict_proba
        The model; clones of it are fitted.
    threshold : float >= 0, default=0.05
        Rows with an entropy below it, in nats, get a pseudo-label. With ten classes 0.05 asks for a
        probability of about 0.993.
    decay : float >= 0, default=0.0033
        How the threshold falls with the rounds of an `ActiveLearner`; it ends at 0.
    schedule : {"linear", "recursive"}, default="linear"
        The threshold of round t is ``threshold - decay * t``, or that of the round before minus
        ``decay * t``. With the defaults "linear" reaches 0 in round 16, "recursive" in round 6.
    fit_interval : int >= 1, default=1
        Pseudo-labels are used in each round whose number is a multiple of it; in the others the model is
        fitted on the labels alone.
    max_pseudo_labels : int >= 0 or None, default=None
        At most so many rows get a pseudo-label, those with the lowest entropy. None sets no limit.
    pseudo_weight : float > 0, default=1.0
        Weight of a row with a pseudo-label in training, beside 1 for a label; other weights than 1 need a
        model whose `fit` takes `sample_weight`.
    diagnostics : bool, default=False
        Keep the pseudo-labels as `pseudo_labels_`, so that `diagnose` can say how many were right. An
        `ActiveLearner`, which knows all labels, does so after the last round, and writes ``pseudo_precision``
        into its ``history_``. For experiments: nothing is learned from it.
    unlabeled : "auto" or a label, default="auto"
        The mark in y of a row without a label; see `skal.labels`.
    random_state : int, RandomState or None, default=None
        Seeds the model where that has no seed of its own, and orders ties.

    Attributes
    ----------
    estimator_ : classifier
        The model, trained on labels and pseudo-labels.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    threshold_ : float
        The threshold of this fit.
    pseudo_rows_ : ndarray of int of shape (n_pseudo,)
        The rows of X that had a pseudo-label, ascending.
    pseudo_labels_ : ndarray of shape (n_pseudo,)
        These labels, with `diagnostics`.
    history_ : list of dict
        ``round``, ``threshold``, ``n_pseudo_labels`` of each round of the loop so far.

    References
    ----------
    K. Wang, D. Zhang, Y. Li, R. Zhang and L. Lin, "Cost-effective active learning for deep image
    classification", IEEE TCSVT 2017, arXiv:1701.03551.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_digits
    >>> from sklearn.linear_model import LogisticRegression
    >>> from skal import PseudoLabelClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> y = np.where(np.arange(len(y)) < 100, y, -1)
    >>> model = PseudoLabelClassifier(LogisticRegression(max_iter=1000), threshold=0.01).fit(X, y)
    >>> 0 < model.history_[0]["n_pseudo_labels"] < 1697
    True
    """

    semi_supervised = True
    reads_pools = True  # of the rows without a label, only those that get a pseudo-label are read

    _parameter_constraints = {
        "estimator": [HasMethods(["fit"])],
        "threshold": [Interval(Real, 0, None, closed="left")],
        "decay": [Interval(Real, 0, None, closed="left")],
        "schedule": [StrOptions({"linear", "recursive"})],
        "fit_interval": [Interval(Integral, 1, None, closed="left")],
        "max_pseudo_labels": [Interval(Integral, 0, None, closed="left"), None],
        "pseudo_weight": [Interval(Real, 0, None, closed="neither")],
        "diagnostics": ["boolean"],
        "unlabeled": "no_validation",
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator,
        threshold=0.05,
        decay=0.0033,
        schedule="linear",
        *,
        fit_interval=1,
        max_pseudo_labels=None,
        pseudo_weight=1.0,
        diagnostics=False,
        unlabeled="auto",
        random_state=None,
    ):
        self.estimator = estimator
        self.threshold = threshold
        self.decay = decay
        self.schedule = schedule
        self.fit_interval = fit_interval
        self.max_pseudo_labels = max_pseudo_labels
        self.pseudo_weight = pseudo_weight
        self.diagnostics = diagnostics
        self.unlabeled = unlabeled
        self.random_state = random_state

    def fit(self, X, y, *, al_round=0, previous=None, **fit_params):
        """Fit on the labels, pseudo-label, fit on both.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            All rows, with a label or without.
        y : array-like of shape (n_rows,)
            Labels, with marks where there is none.
        al_round : int, default=0
            The round, by which the threshold has fallen. An `ActiveLearner` says it.
        previous : PseudoLabelClassifier or None, default=None
            That of the round before, whose `history_` goes on. An `ActiveLearner` says it.
        **fit_params
            For `fit` of the model; values with one entry per row are sliced to the rows in use.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If the model has no probabilities or labels pixels, or takes no weights and `pseudo_weight` is
            not 1.
        ValueError
            If X, y or a parameter is malformed, or no row has a label.
        """
        self._check_parameters()
        X, y, is_known, self.classes_ = self._check_data(X, y)
        params = self._routed(fit_params)
        self.seed_ = draw_seed(self.random_state)
        rows = np.flatnonzero(is_known)
        model = seed_open_states(clone(self.estimator), derive(self.seed_, "model"))
        self.estimator_ = model.fit(in_memory(take(X, rows)), y[rows], **slice_fit_params(X, params, rows))
        self.threshold_ = threshold_at(al_round, self.threshold, self.decay, self.schedule)
        pseudo_rows, pseudo_labels = self._pseudo_labels(X, np.flatnonzero(~is_known), al_round)
        if len(pseudo_rows):
            self._train_on_both(X, y, rows, pseudo_rows, pseudo_labels, params)
        self._remember(pseudo_rows, pseudo_labels, al_round, previous)
        return self

    def diagnose(self, y):
        """How good the pseudo-labels of the last fit were, by the labels that were hidden from it.

        Parameters
        ----------
        y : array-like of shape (n_rows,)
            True labels of the rows of `fit`; those without one are left out.

        Returns
        -------
        dict
            ``pseudo_precision``: the share of pseudo-labels that are right, NaN where there were none.

        Raises
        ------
        ValueError
            If the pseudo-labels were not kept.
        """
        check_is_fitted(self)
        if not self.diagnostics:
            raise ValueError(f"{self!r} did not keep its pseudo-labels; set diagnostics=True before the fit.")
        y, is_known = labels.read(y, self.unlabeled, self.classes_)
        can_tell = is_known[self.pseudo_rows_]
        right = self.pseudo_labels_[can_tell] == y[self.pseudo_rows_[can_tell]]
        return {"pseudo_precision": float(right.mean()) if len(right) else float("nan")}

    def _check_parameters(self):
        capabilities.require(self, self.estimator, ("predict_proba",))
        if capabilities.labels_pixels(self.estimator):
            raise TypeError(
                f"PseudoLabelClassifier gives pseudo-labels to rows, and {self.estimator!r} labels pixels; "
                "pass it to the ActiveLearner as it is."
            )
        self._validate_params()
        if self.pseudo_weight != 1 and capabilities.fit_parameter(self.estimator, "sample_weight") is None:
            raise TypeError(
                f"pseudo_weight={self.pseudo_weight} needs a model whose fit takes sample_weight, which "
                f"{self.estimator!r} does not; leave it at 1."
            )

    def _pseudo_labels(self, X, rows, al_round):
        """The rows that the model is sure of, ascending, and what it takes them for."""
        nothing = np.empty(0, dtype=np.intp), self.classes_[:0]
        if len(rows) == 0 or self.threshold_ == 0 or al_round % self.fit_interval:
            return nothing
        proba = capabilities.predict_proba(self.estimator_, take(X, rows))
        uncertainty = entropy(proba)
        sure = np.flatnonzero(uncertainty < self.threshold_)
        if self.max_pseudo_labels is not None and len(sure) > self.max_pseudo_labels:
            sure = np.sort(sure[top(-uncertainty[sure], self.max_pseudo_labels, self.seed_)])
        seen = getattr(self.estimator_, "classes_", self.classes_)
        return rows[sure], seen[proba[sure].argmax(axis=1)]

    def _train_on_both(self, X, y, rows, pseudo_rows, pseudo_labels, params):
        used = np.concatenate([rows, pseudo_rows])
        order = np.argsort(used)
        targets = np.concatenate([y[rows], pseudo_labels])[order]
        params = slice_fit_params(X, self._weighted(X, pseudo_rows, params), used[order])
        self.estimator_ = self._to_go_on().fit(in_memory(take(X, used[order])), targets, **params)
        self._restore_warm_start()

    def _weighted(self, X, pseudo_rows, params):
        if self.pseudo_weight == 1:
            return params
        name = capabilities.fit_parameter(self.estimator, "sample_weight")
        given = params.get(name)
        weights = np.ones(n_rows(X)) if given is None else np.array(given, dtype=np.float64)
        weights[pseudo_rows] *= self.pseudo_weight
        return params | {name: weights}

    def _to_go_on(self):
        """The net, which will go on from its weights, or a new model, to be fitted on all."""
        name = capabilities.final_parameter(self.estimator, "warm_start")
        if name is None or not capabilities.has_embedding(self.estimator):
            return clone(self.estimator_)
        return deepcopy(self.estimator_).set_params(**{name: True})

    def _restore_warm_start(self):
        name = capabilities.final_parameter(self.estimator, "warm_start")
        if name is not None:
            self.estimator_.set_params(**{name: self.estimator.get_params()[name]})

    def _remember(self, pseudo_rows, pseudo_labels, al_round, previous):
        self.pseudo_rows_ = pseudo_rows
        vars(self).pop("pseudo_labels_", None)
        if self.diagnostics:
            self.pseudo_labels_ = pseudo_labels
        so_far = getattr(capabilities.last_step(previous), "history_", ())
        facts = {"round": al_round, "threshold": self.threshold_, "n_pseudo_labels": len(pseudo_rows)}
        self.history_ = [*so_far, facts]

    @property
    def al_facts_(self):
        """What a learner's `history_` tells of this fit."""
        return {name: value for name, value in self.history_[-1].items() if name != "round"}


def threshold_at(number, threshold, decay, schedule):
    """The entropy under which rows get a pseudo-label in a round; never below 0.

    Parameters
    ----------
    number : int
        The round, from 0.
    threshold, decay : float
    schedule : {"linear", "recursive"}
        ``threshold - decay * t`` in round t, or that of the round before minus ``decay * t``.

    Returns
    -------
    float
        In nats.

    Examples
    --------
    >>> [round(threshold_at(t, 0.05, 0.0033, "linear"), 4) for t in (0, 1, 2, 16)]
    [0.05, 0.0467, 0.0434, 0.0]
    >>> [round(threshold_at(t, 0.05, 0.0033, "recursive"), 4) for t in (0, 1, 2, 6)]
    [0.05, 0.0467, 0.0401, 0.0]
    """
    steps = number if schedule == "linear" else number * (number + 1) // 2
    return max(0.0, threshold - decay * steps)
