"""Where a model sees a row: the rows as points, whose distances say which of them are alike."""

import numpy as np
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.utils.validation import check_is_fitted

from skal._block_wise import block_wise
from skal._rows import as_numpy, in_memory, n_rows
from skal.capabilities._answers import check_probabilities
from skal.capabilities._asking import predict_proba
from skal.capabilities._models import innermost, is_skorch_net, is_torch_module, name_of, opened


@block_wise
def embed(model, X, layer=None):
    """The embedding of rows by a fitted model; (n, ...) -> (n, m).

    A model's own method ``embed`` comes first. Nets give the input of their last linear layer, or the
    output of the one that `layer` names; pipelines what the steps before the last make of X; for all other
    models, and for None, a row is its own embedding, flattened.

    Parameters
    ----------
    model : estimator or None
        Fitted. Pipelines, searches and frozen estimators are opened.
    X : array-like of shape (n, ...)
        Rows.
    layer : str or None, default=None
        The name of a layer of a net, as in ``module.named_modules()``.

    Returns
    -------
    ndarray or csr_matrix of shape (n, m)
        Floating point.

    Raises
    ------
    TypeError
        If X is no numbers and the model makes none of it, or if `layer` is given and the model is no net.
    ValueError
        If the embedding is not finite, or is no row of numbers for each row of X.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> X, y = load_iris(return_X_y=True)
    >>> Z = embed(make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y), X)
    >>> Z.shape, bool(abs(Z.mean()) < 1e-9)
    ((150, 4), True)
    """
    check_layer(model, layer)
    if not hasattr(model, "embed"):
        model, X = opened(model, X)
    if hasattr(model, "embed"):
        Z = model.embed(X) if layer is None else model.embed(X, layer=layer)
    elif is_skorch_net(model) or is_torch_module(model):
        from skal.nets.embedding import embed as activations

        Z = activations(model, X, layer)
    else:
        return as_points(X, "the model", n_rows(X))
    return as_points(Z, f"{name_of(model)}.embed", n_rows(X))


@block_wise
def proba_and_embedding(model, X, layer=None):
    """Class probabilities and embedding of rows; of a `NetClassifier` both come of one pass.

    Parameters
    ----------
    model : classifier
        Fitted. Pipelines, searches and frozen estimators are opened.
    X : array-like of shape (n, ...)
        Rows.
    layer : str or None, default=None
        See `embed`.

    Returns
    -------
    proba : ndarray of shape (n, n_classes)
    Z : ndarray or csr_matrix of shape (n, m)

    Raises
    ------
    TypeError, ValueError
        As `predict_proba` and `embed`.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> X, y = load_iris(return_X_y=True)
    >>> proba, Z = proba_and_embedding(LogisticRegression(max_iter=1000).fit(X, y), X)
    >>> proba.shape, Z.shape
    ((150, 3), (150, 4))
    """
    inner = innermost(model)
    if not _answers_at_once(inner):
        return predict_proba(model, X), embed(model, X, layer)
    inner, X = opened(model, X)
    proba, Z = inner.proba_and_embedding(X, layer)
    proba = check_probabilities(proba, inner, "predict_proba", (n_rows(X),))
    return proba, as_points(Z, f"{name_of(inner)}.embed", n_rows(X))


def _answers_at_once(model):
    """Whether a net's answers and embedding are what the owner of its method makes of them in one pass.

    Not so where a subclass, or the object itself, has an answer or a part of the inference of its own.
    """
    own = next((kind for kind in type(model).__mro__ if "proba_and_embedding" in vars(kind)), None)
    return own is not None and not any(
        name in vars(model) or getattr(type(model), name, None) is not getattr(own, name, None)
        for name in ("predict_proba", "embed", "evaluation_step", "forward_iter", "_outputs")
    )


def has_embedding(model):
    """Whether a model, fitted or not, sees rows in a way of its own, which it learns: whether it is a net."""
    model = innermost(model)
    return hasattr(model, "embed") or is_skorch_net(model) or is_torch_module(model)


def can_embed(transformer):
    """Whether an object makes points of rows: a transformer, or, frozen, a fitted net or a torch module."""
    if isinstance(transformer, type):
        return False
    if hasattr(transformer, "transform"):
        return hasattr(transformer, "fit")
    return isinstance(transformer, FrozenEstimator) and has_embedding(transformer)


def is_fitted(model):
    """Whether a model has been fitted; frozen ones are."""
    try:
        check_is_fitted(model)
    except NotFittedError:
        return False
    return True


def check_layer(model, layer):
    """Refuse the name of a layer where the model, fitted or not, is no net.

    Raises
    ------
    TypeError
    """
    if layer is not None and not has_embedding(model):
        raise TypeError(f"layer={layer!r} names a layer of a net, and {model!r} is none; leave it at None.")


def fit_transformer(transformer, X):
    """A fitted transformer that makes points of rows; images are flattened for one that wants tables.

    Parameters
    ----------
    transformer : transformer
        Changed, so pass a clone; one that is frozen is used as it is.
    X : array-like of shape (n, ...)
        Of a pool that is not in memory, all rows are read.
    """
    if isinstance(transformer, FrozenEstimator):
        return transformer
    X = in_memory(X)
    if not _is_images(X):
        return transformer.fit(X)
    try:
        return transformer.fit(X)
    except ValueError as error:
        try:
            return transformer.fit(_flat(X))
        except ValueError:
            raise error from None  # flattening was not what it lacked


@block_wise
def transform(transformer, X):
    """What a fitted transformer, encoder or torch module makes of rows; (n, ...) -> (n, m).

    Raises
    ------
    ValueError
        If that is not finite, or is no row of numbers for each row of X.
    """
    inner = innermost(transformer) if isinstance(transformer, FrozenEstimator) else transformer
    if is_torch_module(inner):
        from skal.nets.embedding import outputs

        return as_points(outputs(inner, X), name_of(inner), n_rows(X))
    if not hasattr(transformer, "transform"):
        return embed(transformer, X)
    rows = _flat(X) if _is_images(X) and _wants_tables(transformer, X) else X
    return as_points(transformer.transform(rows), f"{name_of(transformer)}.transform", n_rows(X))


def as_points(Z, source, n):
    """Rows as points with finite coordinates: flattened, floating point; -> (n, m) ndarray or csr_matrix.

    Parameters
    ----------
    Z : array-like of shape (n, ...)
    source : str
        Who has made Z, for messages.
    n : int
        How many rows there should be.
    """
    Z = Z.tocsr() if sparse.issparse(Z) else _numbers(Z, source)
    values = Z.data if sparse.issparse(Z) else Z
    if Z.shape[0] != n:
        raise ValueError(f"{source} returned {Z.shape[0]} rows of an embedding for {n} rows of X.")
    if values.dtype not in (np.float32, np.float64):  # small integers, as of images, are exact in float32
        return Z.astype(np.float32 if values.dtype.itemsize <= 2 else np.float64)
    if not np.isfinite(values).all():
        raise ValueError(
            f"The embedding by {source} has numbers that are not finite (NaN or infinity); the model may "
            "have diverged, or X has gaps: fill them in with embedding=, such as "
            "make_pipeline(SimpleImputer(), StandardScaler())."
        )
    return Z


def _numbers(Z, source):
    try:
        array = np.asarray(as_numpy(Z))
        if array.dtype.kind == "O":
            array = array.astype(np.float64)
        if array.dtype.kind not in "biuf" or array.ndim < 2:
            raise TypeError(f"it has {array.ndim} dimensions of type {array.dtype}")
    except (TypeError, ValueError) as error:
        raise TypeError(
            f"Rows can't be compared by their distances: {source} gives no numbers for them ({error}). Pass "
            "a transformer that does as embedding=, or use a pipeline whose first steps do, such as "
            "TfidfVectorizer() for text."
        ) from error
    return array.reshape(len(array), -1) if len(array) else array.reshape(0, int(np.prod(array.shape[1:])))


def _is_images(X):
    return getattr(X, "ndim", 2) > 2


def _flat(X):
    return np.asarray(X).reshape(len(X), -1)


def _wants_tables(transformer, X):
    """Whether a fitted transformer has seen as many columns as an image has values."""
    n_columns = getattr(transformer, "n_features_in_", None)
    return n_columns == np.prod(X.shape[1:]) and n_columns != X.shape[1]
