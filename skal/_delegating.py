"""Classifiers around a classifier, and one that answers with it over a vocabulary that it knows better."""

from functools import partial

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import assert_all_finite, check_consistent_length, check_is_fitted

from skal import capabilities, labels
from skal._block_wise import answered
from skal._compat import routing_enabled
from skal._rows import check_rows, take
from skal.capabilities._blocks import in_each

__all__ = ["DelegatingClassifier", "MetaClassifier", "model_has"]


def model_has(method):
    """For `available_if`: whether the model, fitted or not, can be asked for a method."""

    def check(meta):
        return capabilities.supports(getattr(meta, "estimator_", meta.estimator), method)

    return check


class MetaClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Base class: takes the rows and metadata that the classifier in its parameter `estimator` takes."""

    @property
    def labels_pixels(self):
        """Whether the classifier labels each pixel of an image, so that the label of a row is a mask."""
        return capabilities.labels_pixels(self.estimator)

    def get_metadata_routing(self):
        """Where metadata go: those of fit to `fit` of the model, those of score to `score` here.

        Returns
        -------
        MetadataRouter
        """
        to_fit = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(estimator=self.estimator, method_mapping=to_fit)

    def _check_rows(self, X, reset):
        return check_rows(self, X, allow_nan=capabilities.allows_nan(self.estimator), reset=reset)

    def _routed(self, fit_params):
        if not routing_enabled():
            return fit_params
        return process_routing(self, "fit", **fit_params).estimator.fit

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = get_tags(self.estimator)
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.input_tags.allow_nan = capabilities.allows_nan(self.estimator)
        if inner.classifier_tags is not None:
            tags.classifier_tags.multi_class = inner.classifier_tags.multi_class
            tags.classifier_tags.poor_score = inner.classifier_tags.poor_score
        tags.non_deterministic = inner.non_deterministic
        return tags


class DelegatingClassifier(MetaClassifier):
    """Base class: answers with `estimator_`, in columns for all of `classes_`.

    A subclass has the parameters `estimator` and `unlabeled`, and `fit` sets `estimator_` and `classes_`.
    """

    def score(self, X, y, sample_weight=None):
        """Accuracy on the rows of X that have a label; of a model that labels pixels, its own score.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
        y : array-like of shape (n_rows,)
            True labels; rows without one are left out.
        sample_weight : array-like of shape (n_rows,) or None, default=None

        Returns
        -------
        float
        """
        check_is_fitted(self)
        y, is_known = labels.read(y, self._mark, self.classes_)
        rows = np.flatnonzero(is_known)
        if len(rows) == 0:
            raise ValueError(f"score needs labels, and none of the {len(y)} rows of y has one.")
        weights = None if sample_weight is None else np.asarray(sample_weight)[rows]
        if self.labels_pixels:
            X = take(self._check_rows(X, reset=False), rows)
            weighted = {} if weights is None else {"sample_weight": weights}
            return float(self.estimator_.score(X, labels.at(y, rows), **weighted))
        return float(accuracy_score(y[rows], self.predict(take(X, rows)), sample_weight=weights))

    @available_if(model_has("predict"))
    def predict(self, X):
        """Predicted labels; (n_rows, ...) -> (n_rows,), or masks, where the model labels pixels."""
        return self._ask("predict", X)

    @available_if(model_has("predict_proba"))
    def predict_proba(self, X):
        """Class probabilities, a column for each of `classes_`; (n_rows, ...) -> (n_rows, n_classes).

        Of a model that labels pixels, (n_rows, height, width, n_classes), or an object array of one
        (height, width, n_classes) for each of images of different sizes.
        """
        return self._in_vocabulary(self._ask("predict_proba", X), missing=0)

    @available_if(model_has("sample_proba"))
    def sample_proba(self, X, n_draws=None, *, random_state=None, consistent=True):
        """Class probabilities under draws of the model; (n_rows, ...) -> (n_draws, n_rows, n_classes).

        See `skal.capabilities.sample_proba`.
        """
        check_is_fitted(self)
        draws = capabilities.sample_proba(
            self.estimator_,
            self._check_rows(X, reset=False),
            n_draws,
            random_state=random_state,
            consistent=consistent,
        )
        return self._in_vocabulary(draws, missing=0)

    @available_if(model_has("predict_loss"))
    def predict_loss(self, X):
        """The loss that the model expects on each row, in units of its own; (n_rows, ...) -> (n_rows,)."""
        check_is_fitted(self)
        return capabilities.predict_loss(self.estimator_, self._check_rows(X, reset=False))

    def embed(self, X, layer=None):
        """Where the model sees each row; (n_rows, ...) -> (n_rows, m).

        See `skal.capabilities.embed`.
        """
        check_is_fitted(self)
        return capabilities.embed(self.estimator_, self._check_rows(X, reset=False), layer)

    @available_if(model_has("predict_log_proba"))
    def predict_log_proba(self, X):
        """Logarithms of the class probabilities; (n_rows, ...) -> (n_rows, n_classes)."""
        return self._in_vocabulary(self._ask("predict_log_proba", X), missing=-np.inf)

    @available_if(model_has("decision_function"))
    def decision_function(self, X):
        """Decision values; (n_rows, ...) -> (n_rows,) for two classes, else (n_rows, n_classes)."""
        values = self._ask("decision_function", X)
        lowest = np.finfo(values.dtype).min  # as scikit-learn's cross_val_predict fills in
        return self._in_vocabulary(values, missing=lowest)

    @available_if(model_has("transform"))
    def transform(self, X):
        """What the model makes of X."""
        return self._ask("transform", X)

    @available_if(model_has("transform"))
    def fit_transform(self, X, y, **fit_params):
        """What the model makes of X, after `fit`."""
        return self.fit(X, y, **fit_params).transform(X)

    def _check_data(self, X, y):
        """X and y of `fit`, where y has labels, and all of them; -> X, y, is_known, classes."""
        if y is None:
            raise ValueError(f"{type(self).__name__} requires y to be passed, but the target y is None.")
        X = self._check_rows(X, reset=True)
        y, is_known = labels.read(y, self._mark)
        check_consistent_length(X, y)
        if y.dtype.kind == "f":
            assert_all_finite(y[is_known], input_name="y")
        if not is_known.any():
            raise ValueError(
                f"{type(self).__name__} needs labels to start from: none of the {len(y)} rows has one."
            )
        self._check_kind(y)
        classes = labels.vocabulary(y[is_known], self._mark)
        if not self.labels_pixels:
            check_classification_targets(y[is_known])
        return X, y, is_known, classes

    @property
    def _mark(self):
        """The mark in y of a row, or of a pixel, without a label."""
        return capabilities.mark_for(self.estimator, self.unlabeled)

    def _check_kind(self, y):
        """Refuse masks for a model that labels rows, and labels of rows for one that labels pixels."""
        if labels.are_masks(y) == self.labels_pixels:
            return
        if self.labels_pixels:
            raise ValueError(
                f"{self.estimator!r} labels pixels, and y has one label for each image; it needs masks: "
                "(n, height, width) integers, or a list of (height, width) arrays."
            )
        raise ValueError(
            f"{self.estimator!r} labels rows, and y has a mask for each of them; use a model that labels "
            "pixels, such as SegmentationNet, which says so with its attribute labels_pixels."
        )

    def _ask(self, method, X):
        check_is_fitted(self)
        return answered(getattr(self.estimator_, method), self._check_rows(X, reset=False))

    def _in_vocabulary(self, values, missing):
        """Columns for all of `classes_`, from those of the classes that the model has seen."""
        seen = getattr(self.estimator_, "classes_", self.classes_)
        if len(seen) == len(self.classes_):
            return values
        if values.dtype == object:  # images of different sizes
            return in_each(partial(self._in_vocabulary, missing=missing), values)
        if values.ndim == 1:  # the decision function of two classes
            values = np.stack([-values, values], axis=1)
        aligned = np.full((*values.shape[:-1], len(self.classes_)), missing, dtype=values.dtype)
        aligned[..., np.searchsorted(self.classes_, seen)] = values
        return aligned

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        if hasattr(self, "transform"):
            tags.transformer_tags = get_tags(self.estimator).transformer_tags
        return tags
