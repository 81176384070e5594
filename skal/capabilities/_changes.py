"""What a label would change in a model: which models can be asked, and what for."""

import numpy as np
from scipy.linalg import solve_triangular
from sklearn.frozen import FrozenEstimator

from skal._block_wise import block_wise
from skal._rows import in_memory, is_view, n_rows, take
from skal.capabilities._models import innermost, is_skorch_net, opened

_BLOCK_ROWS = 1024


def is_linear(model):
    """Whether the logits of a model, fitted or not, are linear in what its last step sees."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression, LogisticRegressionCV, SGDClassifier

    # Closed list: other models with `coef_` have kernels, one-vs-one votes, or no probabilities.
    kinds = (LinearDiscriminantAnalysis, LogisticRegression, LogisticRegressionCV, SGDClassifier)
    return isinstance(innermost(model), kinds)


def has_bias(model):
    """Whether the last layer of a fitted net, or a linear model, has a bias; True of anything else."""
    model = innermost(model)
    if is_linear(model):
        return bool(getattr(model, "fit_intercept", True))
    if not is_skorch_net(model):
        return True
    from torch import nn

    modules = [getattr(model, f"{name}_") for name in model._modules]
    layers = [layer for module in modules for layer in module.modules() if isinstance(layer, nn.Linear)]
    last = [layer for layer in layers if layer.out_features == len(model.classes_)] or layers
    return not last or last[-1].bias is not None


def has_gradients(model):
    """Whether a model, fitted or not, has weights that gradients can be taken of: whether it is one net."""
    return is_skorch_net(innermost(model))


@block_wise
def output_change(model, X, references, *, output, labels):
    """Expected change of a fitted net's outputs by one step on each row, all weights; -> (n,).

    See `skal.nets.output_change`. Pipelines, searches and frozen estimators are opened.
    """
    from skal.nets.output_change import output_change as of_net

    net, X = opened(model, X)
    references = opened(model, in_memory(references))[1]
    return of_net(net, X, references, output=output, labels=labels)


def is_gaussian_process(model):
    """Whether a model, fitted or not, is a Gaussian process that regresses, alone or last in a pipeline."""
    from sklearn.gaussian_process import GaussianProcessRegressor

    return isinstance(innermost(model), GaussianProcessRegressor)


def check_gaussian_process(owner, model):
    """Refuse, before any work, a Gaussian process that its owner can't fit, or whose update is another one.

    Raises
    ------
    TypeError
        If it is frozen: it is to be fitted to -1 and 1.
    ValueError
        If targets would be scaled anew by each label, or the noise of the next label is not known.
    """
    if isinstance(model, FrozenEstimator):
        raise TypeError(f"{owner!r} fits its Gaussian process to -1 and 1; pass it unfitted, not frozen.")
    process = innermost(model)
    if process.normalize_y:
        raise ValueError(f"{owner!r} needs normalize_y=False: its targets are -1 and 1, and stay so.")
    if np.ndim(process.alpha) > 0 or not process.alpha > 0:
        raise ValueError(
            f"{owner!r} needs one number above 0 as alpha, the noise of a label, and got {process.alpha!r}."
        )


def posterior_blocks(model, X, references):
    """The posterior of a fitted Gaussian process at the rows of X, block by block.

    Parameters
    ----------
    model : GaussianProcessRegressor, or a pipeline that ends in one
        With a number as its `alpha`, and without ``normalize_y``.
    X : array-like of shape (n, m)
        Rows.
    references : array-like of shape (n_references, m)

    Yields
    ------
    rows : slice
        Rows of X, in order.
    mean : ndarray of shape (n_block, k)
        Of the outputs.
    variance : ndarray of shape (n_block,)
        Of a label, with its noise: `alpha`, and a WhiteKernel's.
    covariance : ndarray of shape (n_block, n_references)
        Of the outputs at a row and at the references, without noise.
    """
    references = in_memory(references)
    if is_view(X):
        for part, block in X.blocks():
            for rows, *answers in posterior_blocks(model, block, references):
                yield slice(part.start + rows.start, part.start + rows.stop), *answers
        return
    process, X = opened(model, X)
    references = _input(process, opened(model, references)[1])
    of_references = _whitened(process, references)
    for start in range(0, n_rows(X), _BLOCK_ROWS):
        block = _input(process, take(X, np.arange(start, min(start + _BLOCK_ROWS, n_rows(X)))))
        whitened = _whitened(process, block)
        mean = process.kernel_(block, process.X_train_) @ process.alpha_
        explained = np.einsum("ij,ij->j", whitened, whitened)
        # Rounding can explain a hair more than there is, near a row that the process has seen.
        variance = np.maximum(process.kernel_.diag(block) - explained, 0) + process.alpha
        covariance = process.kernel_(block, references) - whitened.T @ of_references
        yield slice(start, start + len(block)), mean.reshape(len(block), -1), variance, covariance


def _input(process, X):
    """Rows as the process has seen its own: numbers, or whatever else its kernel compares."""
    return np.asarray(X, dtype=np.float64) if process.kernel_.requires_vector_input else X


def _whitened(process, X):
    """Covariances with the training rows, in coordinates in which these are independent; -> (n_train, n)."""
    return solve_triangular(process.L_, process.kernel_(process.X_train_, X), lower=True, check_finite=False)
