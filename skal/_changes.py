"""What a label would change, in closed form: arrays in, one score per row out, higher = label me.

`skal.acquisition` exports these functions. The changes are those of one step of gradient descent on the new
row's cross-entropy, of size 1; the real size scales all scores alike.
"""

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import log_ndtr, softmax
from sklearn.utils.extmath import row_norms, safe_sparse_dot

__all__ = ["emoc", "expected_gradient_length", "gaussian_process_emoc"]

# Pairs of a row and a reference row at once, 8 MiB of float64 for the kernel; and probabilities at once, few
# enough for a processor's cache, since they are read again for each reference.
_PAIRS = 2**20
_CACHED_VALUES = 2**15


def emoc(proba, points, reference_proba, references, *, output="proba", labels="full", bias=True):
    """Expected change of the model's output by a row's label, last layer only; -> (n,).

    A step on the row x' with the label y changes the logits of a row x by ``(e_y - p(x')) k(x, x')``, with
    ``k(x, x') = h(x) . h(x') + 1``: h is the input of the last layer, whose bias counts as the 1. The score
    is the length of that change in the 1-norm, on average over the reference rows x, and over the labels y
    with their probabilities. Of logits that is ``2 (1 - sum_c p_c(x')^2) mean_x |k(x, x')|``.

    Parameters
    ----------
    proba : array-like of shape (n, n_classes)
        Class probabilities.
    points : ndarray or csr_matrix of shape (n, m)
        The input of the last layer.
    reference_proba, references : of shapes (n_references, n_classes) and (n_references, m)
        The same of the rows whose outputs count.
    output : {"proba", "logit"}, default="proba"
        Whether the change of the probabilities is measured, to first order, or that of the logits.
    labels : {"full", "max"}, default="full"
        The mean over all labels, or the likeliest label only.
    bias : bool, default=True
        Whether the last layer has one; else k is without the 1.

    Returns
    -------
    ndarray of shape (n,)
        0 where the label is certain. Time is O(n n_references (m + n_classes^2)), without the square for
        "max"; memory does not depend on n.

    References
    ----------
    A. Freytag, E. Rodner and J. Denzler, "Selecting influential examples: active learning with expected
    model output changes", ECCV 2014.
    C. Käding, E. Rodner, A. Freytag and J. Denzler, "Active and continuous exploration with deep neural
    networks and expected model output changes", arXiv:1612.06129, 2016.

    Examples
    --------
    >>> proba, points = [[0.5, 0.5], [1.0, 0.0], [0.5, 0.5]], np.array([[1.0], [1.0], [3.0]])
    >>> emoc(proba, points, proba, points, output="logit")  # mean |k| of the rows: 8/3, 8/3, 6
    array([2.66666667, 0.        , 6.        ])
    """
    _check_kind("emoc", output=(output, ("proba", "logit")), labels=(labels, ("full", "max")))
    proba, reference_proba = (np.asarray(p, dtype=np.float64) for p in (proba, reference_proba))
    references = references.astype(np.float64)
    scores = np.empty(len(proba))
    for rows in _blocks(*proba.shape, len(reference_proba)):
        products = safe_sparse_dot(references, points[rows].astype(np.float64).T, dense_output=True)
        kernel = np.abs(products + bool(bias))
        if output == "logit":
            scores[rows] = _logit_change(proba[rows], labels) * kernel.mean(axis=0)
        else:
            scores[rows] = _mean_proba_change(proba[rows], reference_proba, kernel, labels)
    return np.maximum(scores, 0) + 0.0


def gaussian_process_emoc(mean, variance, covariance, *, labels="full"):
    """Expected change of a Gaussian process's outputs by a row's label, as if it were refitted; -> (n,).

    A label y' of the row x', -1 or 1, moves the output at a row x by exactly
    ``(y' - mean(x')) / variance(x') * covariance(x, x')``. The score is the length of that change over all
    outputs in the 1-norm, on average over reference rows x, and over y' with the probabilities
    ``Phi(y' mean / sqrt(variance))``. With several outputs, one for each class against the rest, these
    are scaled to sum to 1 over the classes.

    Parameters
    ----------
    mean : ndarray of shape (n, k)
        Posterior mean of the outputs: k = 1 for two classes, else one for each class.
    variance : ndarray of shape (n,)
        Posterior variance of a label: that of the output, and the noise. Greater than 0.
    covariance : ndarray of shape (n, n_references)
        Posterior covariance of the outputs at a row and at the reference rows.
    labels : {"full", "max"}, default="full"
        The mean over all labels, or the likeliest label only.

    Returns
    -------
    ndarray of shape (n,)

    References
    ----------
    A. Freytag, E. Rodner and J. Denzler, "Selecting influential examples: active learning with expected
    model output changes", ECCV 2014.

    Examples
    --------
    >>> gaussian_process_emoc(np.array([[0.0]]), np.array([2.0]), np.array([[1.0, 0.5]]))
    array([0.375])
    """
    log_proba = log_ndtr(mean / np.sqrt(variance)[:, np.newaxis])
    # |1 + mean| is how far an output is from -1, the target of all outputs but the label's own.
    from_rest = np.abs(1 + mean).sum(axis=1, keepdims=True)
    distance = from_rest - np.abs(1 + mean) + np.abs(1 - mean)
    if mean.shape[1] == 1:
        log_proba = np.hstack([log_ndtr(-mean / np.sqrt(variance)[:, np.newaxis]), log_proba])
        distance = np.hstack([from_rest, distance])
    expected = (_label_weights(softmax(log_proba, axis=1), labels) * distance).sum(axis=1)
    return expected / variance * np.abs(covariance).mean(axis=1)


def expected_gradient_length(proba, points, *, bias=True):
    """Expected length of the gradient that a row's label gives, last layer only; -> (n,).

    The gradient of the cross-entropy with respect to the last layer is the outer product of ``p - e_y`` and
    ``(h, 1)``, so that the score is ``sum_y p_y |p - e_y| * |(h, 1)|``, in 2-norms, and needs no gradient.

    Parameters
    ----------
    proba : array-like of shape (n, n_classes)
        Class probabilities.
    points : ndarray or csr_matrix of shape (n, m)
        h, the input of the last layer, whose bias counts as the 1.
    bias : bool, default=True
        Whether the last layer has one; else the 1 is left out.

    Returns
    -------
    ndarray of shape (n,)
        0 where the label is certain.

    References
    ----------
    B. Settles, M. Craven and S. Ray, "Multiple-instance active learning", NIPS 2007.

    Examples
    --------
    >>> expected_gradient_length([[0.5, 0.5], [1.0, 0.0]], np.array([[1.0], [5.0]]))
    array([1., 0.])
    """
    proba = np.asarray(proba, dtype=np.float64)
    squares = (proba**2).sum(axis=1, keepdims=True)
    lengths = np.sqrt(np.maximum(squares + 1 - 2 * proba, 0))
    squared = row_norms(points, squared=True).astype(np.float64) + bool(bias)
    return (proba * lengths).sum(axis=1) * np.sqrt(squared)


def _check_kind(who, **asked):
    for name, (value, known) in asked.items():
        if value not in known:
            raise ValueError(f"{who} has no {name}={value!r}; there are {' and '.join(map(repr, known))}.")


def _label_weights(proba, labels):
    """How much each label counts; (n, k) -> (n, k)."""
    if labels == "full":
        return proba
    return np.eye(proba.shape[1])[proba.argmax(axis=1)]


def _logit_change(proba, labels):
    """``|p - e_y|`` in the 1-norm, over the labels; (n, k) -> (n,)."""
    return 2 * (1 - (_label_weights(proba, labels) * proba).sum(axis=1))


def _mean_proba_change(proba, reference_proba, kernel, labels):
    """Mean over references of ``|k| |(diag(q) - q q^T)(p - e_y)|_1``, over the labels; -> (n,).

    With ``t = p_c + q_y - p . q``, class c moves by ``q_c t``, and the label's own class by ``q_y (t - 1)``;
    there, t is at most 1.

    Parameters
    ----------
    proba, reference_proba : ndarray of shape (n, k) and (n_references, k)
        p, and q.
    kernel : ndarray of shape (n_references, n)
    """
    changes = (_changes_of_all_labels if labels == "full" else _changes_of_likeliest)(proba, reference_proba)
    total = np.zeros(len(proba))
    for weight, change in zip(kernel, changes, strict=True):
        total += weight * change
    return total / len(reference_proba)


def _changes_of_all_labels(proba, reference_proba):
    """``sum_y p_y |(diag(q) - q q^T)(p - e_y)|_1``, reference by reference; yields (n,)."""
    t = np.empty_like(proba)
    for q, agreement in zip(reference_proba, reference_proba @ proba.T, strict=True):
        np.subtract(proba, agreement[:, np.newaxis], out=t)
        # Column y: sum_c q_c |p_c + q_y - p . q|. No array of rows, labels and classes is made.
        lengths = cdist(t, np.tile(-q[:, np.newaxis], len(q)), "cityblock", w=q)
        t += q  # of the label's own class, whose |t| is to become 1 - t
        np.maximum(t, 0, out=t)
        t *= proba
        # einsum, since BLAS would wake its threads for each reference.
        yield np.einsum("ij,ij->i", proba, lengths) + agreement - 2 * np.einsum("ij,j->i", t, q)


def _changes_of_likeliest(proba, reference_proba):
    """``|(diag(q) - q q^T)(p - e_y)|_1``, y the likeliest label, reference by reference; yields (n,)."""
    likeliest, largest, by_class = proba.argmax(axis=1), proba.max(axis=1), np.ascontiguousarray(proba.T)
    t = np.empty_like(by_class)
    for q, agreement in zip(reference_proba, reference_proba @ by_class, strict=True):
        of_label = q[likeliest]
        shift = of_label - agreement
        np.add(by_class, shift, out=t)
        np.abs(t, out=t)
        # The likeliest label's own t, p_y + q_y - p . q, is at least q_y.
        yield np.einsum("i,ij->j", q, t) + of_label * (1 - 2 * (largest + shift))


def _blocks(n, k, n_references):
    """Slices of the rows, at least one row at a time."""
    size = max(1, min(_PAIRS // n_references, _CACHED_VALUES // k))
    return [slice(start, start + size) for start in range(0, n, size)]
