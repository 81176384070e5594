"""The only place that imports private or version-dependent names of scikit-learn, skorch and joblib."""

from inspect import signature

from sklearn.model_selection._search import BaseSearchCV
from sklearn.utils import _safe_indexing
from sklearn.utils._metadata_requests import _routing_enabled as routing_enabled
from sklearn.utils._param_validation import (
    HasMethods,
    Interval,
    InvalidParameterError,
    StrOptions,
    validate_parameter_constraints,
)
from sklearn.utils.validation import _check_method_params, _check_sample_weight
from sklearn.utils.validation import _num_samples as n_rows

try:  # scikit-learn 1.9 and newer
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:
        """Stands in where scikit-learn has no callbacks."""

    def with_callbacks(method):
        """Leave a method as it is: there are no callbacks to manage."""
        return method


try:
    from joblib.externals import cloudpickle
except ImportError:  # distributions that take joblib apart
    import cloudpickle

__all__ = [
    "BaseSearchCV",
    "CallbackSupportMixin",
    "HasMethods",
    "Interval",
    "InvalidParameterError",
    "StrOptions",
    "check_parameters",
    "check_sample_weight",
    "cloudpickle",
    "end_round",
    "end_task",
    "fit_routing",
    "n_rows",
    "routing_enabled",
    "rows_of",
    "slice_fit_params",
    "start_task",
    "with_callbacks",
]


def rows_of(X, rows):
    """Rows of X by position, whatever its container: array, sparse matrix, frame, list, Dataset."""
    return _safe_indexing(X, rows)


def slice_fit_params(X, params, rows):
    """Fit parameters for some rows of X: values with one entry per row are sliced, the others pass."""
    return _check_method_params(X, params, indices=rows)


def start_task(estimator, n_rounds):
    """Tell the callbacks of `estimator` that a fit of `n_rounds` (None = unknown) begins."""
    if not hasattr(estimator, "_init_callback_context"):
        return None
    return estimator._init_callback_context(max_subtasks=n_rounds).call_on_fit_task_begin(estimator=estimator)


def end_round(estimator, task, pool):
    """Tell the callbacks that a round is over, with what the estimator knows by now."""
    if task is None:
        return
    names = ("estimator_", "classes_", "history_", "n_features_in_", "feature_names_in_")
    round_task = task.subcontext("round").call_on_fit_task_begin(estimator=estimator)
    round_task.call_on_fit_task_end(
        estimator=estimator,
        X=lambda: pool.take(pool.labeled),
        y=lambda: pool.y[pool.labeled],
        reconstruction_attributes=lambda: {n: getattr(estimator, n) for n in names if hasattr(estimator, n)},
    )


def end_task(estimator, task):
    """Tell the callbacks that the fit is over."""
    if task is not None:
        task.call_on_fit_task_end(estimator=estimator)


def check_parameters(constraints, params, name):
    """Refuse parameters that break their constraints, in scikit-learn's words."""
    validate_parameter_constraints(constraints, params, caller_name=name)


def check_sample_weight(sample_weight, X):
    """Weights as floats, one for each row of X and none negative; ones for None."""
    return _check_sample_weight(sample_weight, X, ensure_non_negative=True)


def fit_routing(net):
    """What skorch's ``partial_fit`` wants to know when ``fit`` calls it, from the version on that asks."""
    return {"_routing_method": "fit"} if "_routing_method" in signature(net.fit_loop).parameters else {}
