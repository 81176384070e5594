"""EnsembleClassifier: members that differ by seed, as one classifier."""

from functools import reduce
from numbers import Integral

import numpy as np
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_consistent_length, check_is_fitted, column_or_1d

from skal import capabilities, labels
from skal._block_wise import block_wise
from skal._compat import HasMethods, Interval, StrOptions, check_parameters
from skal._delegating import MetaClassifier, model_has
from skal._images import has_pixels, mask_values, read_masks
from skal._members import TrainingSet, bootstrap, bootstrap_masks, fit_members, member
from skal._overlap import score_masks
from skal._pixel_answers import each, member_pixel_proba, stacked_answers
from skal._rows import in_memory, take
from skal._seeds import derive, draw_seed
from skal.capabilities._draws import choose_members, member_proba
from skal.labels import vocabulary

__all__ = ["EnsembleClassifier"]


class EnsembleClassifier(MetaClassifier):
    """Members of one kind, trained from different seeds; their mean probability is the answer.

    Where the members agree the ensemble is sure, and where they contradict each other it has something to
    learn: `sample_proba` gives their answers one by one, which `skal.strategies.BALD` and its kin compare.
    Nets differ by their initial weights, the order of their batches and their dropout masks; models that
    draw nothing while they are fitted differ only with ``bootstrap=True``. The ``shared_`` parameters take
    one difference away, as Beluch et al. did to find what makes an ensemble good; the width of the members
    is a parameter of the model itself, such as ``estimator__module__hidden``.

    Members may be segmenters, such as `skal.SegmentationNet`: then y is masks, and all answers are for
    pixels, as the members give them.

    Parameters
    ----------
    estimator : classifier
        The model; each member is a clone of it. Each ``random_state`` in it, nested ones too, is set by
        the ensemble, since a seed of its own would make all members equal.
    n_members : int >= 1, default=5
        How many members.
    shared_init : bool, default=False
        Whether all members start from the same weights; for models with a parameter ``init_seed``, as
        `skal.NetClassifier` has. A net whose ``module`` is an instance starts from its weights anyway.
    shared_order : bool, default=False
        Whether all members see the rows in the same order, batch by batch; for models with a parameter
        ``order_seed``.
    bootstrap : bool, default=False
        Whether each member is trained on as many rows as there are, drawn with replacement. A draw that
        leaves a member with one class is drawn again.
    n_jobs : int or None, default=None
        Processes that fit members one by one, as in scikit-learn. The result is the same for any number;
        for nets to the last bit if ``n_threads`` is set, and to rounding otherwise.
    together : bool or "auto", default="auto"
        Whether members that are nets, or pipelines that end in one, are trained in one run, with the
        same result to rounding: in float32, Adam and its kin may make that grow over many epochs, since
        they take full steps along gradients that are nothing but rounding, as those of a bias before a
        batch normalisation are. "auto" does so where it is faster: on a GPU wherever it is possible, on a
        CPU for small nets. True does so wherever it is possible, and refuses where it is not.
    random_state : int, RandomState or None, default=None
        Fixes the members, whatever they draw.

    Attributes
    ----------
    estimators_ : list of classifiers
        The fitted members.
    estimators_samples_ : list of ndarray of int of shape (n_rows,)
        The rows of X that each member was trained on, if `bootstrap`.
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted. A member may know fewer; the others have probability 0 there.
    seed_ : int
        What all randomness is derived from.
    n_features_in_, feature_names_in_
        As in scikit-learn, where X is a table.

    References
    ----------
    W. H. Beluch, T. Genewein, A. Nürnberger and J. M. Köhler, "The power of ensembles for active learning
    in image classification", CVPR 2018.
    B. Lakshminarayanan, A. Pritzel and C. Blundell, "Simple and scalable predictive uncertainty estimation
    using deep ensembles", NeurIPS 2017.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.tree import DecisionTreeClassifier
    >>> from skal import EnsembleClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> ensemble = EnsembleClassifier(DecisionTreeClassifier(), bootstrap=True, random_state=0).fit(X, y)
    >>> ensemble.sample_proba(X).shape
    (5, 150, 3)
    >>> ensemble.score(X, y) > 0.95
    True
    """

    _parameter_constraints = {
        "estimator": [HasMethods(["fit", "predict"])],
        "n_members": [Interval(Integral, 1, None, closed="left")],
        "shared_init": ["boolean"],
        "shared_order": ["boolean"],
        "bootstrap": ["boolean"],
        "n_jobs": [Integral, None],
        "together": ["boolean", StrOptions({"auto"})],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        estimator,
        n_members=5,
        *,
        shared_init=False,
        shared_order=False,
        bootstrap=False,
        n_jobs=None,
        together="auto",
        random_state=None,
    ):
        self.estimator = estimator
        self.n_members = n_members
        self.shared_init = shared_init
        self.shared_order = shared_order
        self.bootstrap = bootstrap
        self.n_jobs = n_jobs
        self.together = together
        self.random_state = random_state

    def fit(self, X, y, **fit_params):
        """Train the members.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            Whatever the model takes: a table, images, texts, a torch Dataset.
        y : array-like of shape (n_rows,)
            The labels; for segmenters a mask for each image.
        **fit_params
            For `fit` of each member, by scikit-learn's metadata routing where that is enabled; values with
            one entry per row follow their rows into a bootstrap sample.

        Returns
        -------
        self

        Raises
        ------
        TypeError
            If the model is no classifier.
        ValueError
            If X, y or a parameter is malformed, or the model has no such thing as is to be shared.
        """
        capabilities.require(self, self.estimator)
        self._validate_params()
        X, y = self._check_data(X, y)
        X = in_memory(X)
        params = self._routed(fit_params)
        self.seed_ = draw_seed(self.random_state)
        classes = mask_values(y, self._ignore_index()) if self.labels_pixels else vocabulary(y)
        members = [self._member(number, classes) for number in range(self.n_members)]
        samples = [self._sample(number, y) for number in range(self.n_members)]
        self.estimators_ = fit_members(
            members,
            [TrainingSet(X, y, params, rows) for rows in samples],
            together=self.together,
            n_jobs=self.n_jobs,
            seed=self.seed_,
        )
        self.classes_ = reduce(np.union1d, [member.classes_ for member in self.estimators_], classes)
        vars(self).pop("estimators_samples_", None)
        if self.bootstrap:
            self.estimators_samples_ = samples
        return self

    def predict(self, X):
        """The most probable label of each row, or the one with most votes; (n_rows, ...) -> (n_rows,).

        Of each pixel, if the members are segmenters.
        """
        return each(lambda proba: self.classes_[proba.argmax(axis=-1)], self._mean(X))

    @available_if(model_has("predict_proba"))
    def predict_proba(self, X):
        """Mean of the members' class probabilities; (n_rows, ...) -> (n_rows, n_classes)."""
        return self._mean(X)

    @available_if(model_has("predict_proba"))
    def predict_log_proba(self, X):
        """Logarithm of the mean of the members' class probabilities; (n_rows, ...) -> (n_rows, n_classes)."""
        with np.errstate(divide="ignore"):
            return each(np.log, self.predict_proba(X))

    @block_wise(axis=1)
    def sample_proba(self, X, n_draws=None, *, random_state=None, consistent=True):
        """Class probabilities of the members, one by one; -> (n_draws, n_rows, n_classes).

        A member without probabilities gives its vote: 1 for the label that it predicts.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
        n_draws : int >= 1 or None, default=None
            None is every member, in the order of `estimators_`; fewer is a random subset of them.
        random_state : int, RandomState or None, default=None
            Fixes the subset; None derives it from `seed_`, so that a fitted ensemble repeats itself.
        consistent : bool, default=True
            Has no effect: a member is the same for all rows.

        Returns
        -------
        ndarray of shape (n_draws, n_rows, n_classes)

        Raises
        ------
        ValueError
            If the ensemble has fewer than `n_draws` members.
        """
        check_is_fitted(self)
        check_parameters(
            {"n_draws": [Interval(Integral, 1, None, closed="left"), None]},
            {"n_draws": n_draws},
            "sample_proba",
        )
        seed = derive(self.seed_, "sample_proba") if random_state is None else draw_seed(random_state)
        chosen = choose_members(len(self.estimators_), n_draws, seed, self)
        return stacked_answers(list(self._answers(X, chosen)))

    @block_wise
    def embed(self, X, layer=None):
        """The embeddings by all members, side by side; (n_rows, ...) -> (n_rows, n_members * m).

        Members without an embedding of their own, such as trees, all see the same: then it is there once.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
        layer : str or None, default=None
            The name of a layer, for members that are nets; see `skal.capabilities.embed`.

        Returns
        -------
        ndarray of shape (n_rows, n_members * m)
        """
        check_is_fitted(self)
        X = self._check_rows(X, reset=False)
        if not capabilities.has_embedding(self.estimator):
            return capabilities.embed(None, X, layer)
        return np.hstack([capabilities.embed(member, X, layer) for member in self.estimators_])

    @property
    def labels_pixels(self):
        """Whether the members are segmenters, as `skal.SegmentationNet`: then y is a mask for each image."""
        return capabilities.labels_pixels(self.estimator)

    def score(self, X, y, sample_weight=None):
        """Accuracy of `predict`; of segmenters, the score that their parameter `scoring` names.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
        y : array-like of shape (n_rows,)
            True labels. For segmenters masks, whose pixels without a label are left out.
        sample_weight : array-like of shape (n_rows,) or None, default=None

        Returns
        -------
        float
        """
        if not self.labels_pixels:
            return super().score(X, y, sample_weight)
        masks, labelled = self._check_masks(X, y)
        weight = None if sample_weight is None else np.asarray(sample_weight)[labelled]
        scoring = self._parameter("scoring", "dice")
        predicted = self.predict(take(X, labelled))
        return score_masks(scoring, masks[labelled], predicted, self._ignore_index(), weight)

    def _check_data(self, X, y):
        if y is None:
            raise ValueError("EnsembleClassifier requires y to be passed, but the target y is None.")
        X = self._check_rows(X, reset=True)
        if self.labels_pixels:
            return X, self._check_masks(X, y)[0]
        y = column_or_1d(y, warn=True)
        assert_all_finite(y, input_name="y")
        check_consistent_length(X, y)
        check_classification_targets(y)
        if capabilities.is_semi_supervised(self.estimator) and not labels.known(y).all():
            raise ValueError(
                f"{self!r} got rows without a label, and an ensemble is trained on labels only: leave these "
                "rows out, or put the ensemble into the semi-supervised classifier."
            )
        return X, y

    def _check_masks(self, X, y):
        """The masks, and the rows of those that have a labelled pixel."""
        masks = read_masks(y, type(self).__name__)
        check_consistent_length(X, masks)
        labelled = np.flatnonzero(has_pixels(masks, self._ignore_index()))
        if not len(labelled):
            raise ValueError(f"{self!r} needs labels, and none of the {len(masks)} masks in y has any.")
        return masks, labelled

    def _parameter(self, name, default):
        """A parameter of the model inside pipelines and searches."""
        full_name = capabilities.final_parameter(self.estimator, name)
        return default if full_name is None else self.estimator.get_params()[full_name]

    def _ignore_index(self):
        return self._parameter("ignore_index", -1)

    def _member(self, number, classes):
        """A member before its training: a clone of the model, with what sets it apart and what is shared."""
        shared = {}
        if self.shared_init:
            shared["init_seed"] = derive(self.seed_, "init")
        if self.shared_order:
            shared["order_seed"] = derive(self.seed_, "order")
        for name in shared:
            if capabilities.final_parameter(self.estimator, name) is None:
                raise ValueError(
                    f"shared_{name.removesuffix('_seed')}=True needs a model with the parameter {name}, as "
                    f"NetClassifier has, and {self.estimator!r} has none."
                )
        if self.bootstrap:  # a net then has an output for each class, also for those that it does not see
            shared["classes"] = classes.tolist()
        return member(self.estimator, derive(self.seed_, "member", number), shared)

    def _sample(self, number, y):
        if not self.bootstrap:
            return None
        seed = derive(self.seed_, "bootstrap", number)
        if not self.labels_pixels:
            return bootstrap(y, seed)
        labelled = np.flatnonzero(has_pixels(y, self._ignore_index()))
        return labelled[bootstrap_masks(y[labelled], self._ignore_index(), seed)]

    @block_wise
    def _mean(self, X):
        check_is_fitted(self)
        return sum(self._answers(X, range(len(self.estimators_)))) / len(self.estimators_)

    def _answers(self, X, chosen):
        """The answer of each chosen member, in the columns of `classes_`; yields (n_rows, n_classes)."""
        X = self._check_rows(X, reset=False)
        proba = member_pixel_proba if self.labels_pixels else member_proba
        return (proba(self.estimators_[number], X, self.classes_) for number in chosen)
