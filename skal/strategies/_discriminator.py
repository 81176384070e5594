"""The small net that tells labelled points from unlabelled ones."""

from itertools import islice, pairwise

import numpy as np
from scipy import sparse
from scipy.special import expit, logit
from sklearn.base import BaseEstimator, ClassifierMixin

from skal.selection._farthest_threads import shared_work

__all__ = ["Discriminator"]

_TINY = 30  # points of fewer coordinates get the narrow net
_WIDTH, _RATE = 256, 1e-3
_TINY_WIDTH, _TINY_RATE = 20, 1e-2
_BATCH_ROWS = 512
_PART_ROWS = 256  # of a batch, for one thread
_MAX_EPOCHS = 1000
_PATIENCE = 50  # epochs without a lower loss, after which none is expected
_MOST_LEVELLED = 1024  # coordinates: more would take longer than the training that is saved
_MAJORITY = 3  # rows of the larger side in an epoch, for each one of the smaller


class Discriminator(ClassifierMixin, BaseEstimator):
    """A net of three hidden layers that learns two classes, 0 and 1, no better than it is told to.

    Written in numpy: a mini-query on few rows takes some hundred steps of tens of microseconds, most of which
    would be torch's overhead.

    Parameters
    ----------
    stop_accuracy : float in (0, 1]
        Training ends with the epoch at which so many training rows were right when last seen.
    class_weight : "balanced" or None
        Whether both classes weigh the same, in the loss and in that accuracy.
    random_state : int
        Fixes initial weights and the order of rows.

    Examples
    --------
    >>> Z, y = np.linspace(-1, 1, 20).reshape(-1, 1), np.repeat([0, 1], 10)
    >>> Discriminator(0.98, None, random_state=0).fit(Z, y).score(Z, y)
    1.0
    """

    def __init__(self, stop_accuracy, class_weight, random_state):
        self.stop_accuracy = stop_accuracy
        self.class_weight = class_weight
        self.random_state = random_state

    def fit(self, Z, y):
        """Train on points (n, m), dense or csr, and their classes."""
        rng = np.random.RandomState(self.random_state)
        self.classes_ = np.array([0, 1])
        width, rate = (_TINY_WIDTH, _TINY_RATE) if Z.shape[1] < _TINY else (_WIDTH, _RATE)
        weights = _class_weights(y) if self.class_weight == "balanced" else np.ones(len(y))
        # Where nothing can be learned, what is known at the start is all, and training ends soon.
        self._net = _Net([Z.shape[1], width, width, width, 1], logit(np.average(y, weights=weights)), rng)
        with shared_work(Z.shape[0] * self._net.n_weights) as each:
            self.center_, self.map_ = _levelling(Z)
            self._train(self._levelled(Z), np.asarray(y, dtype=np.float32), weights, rate, rng, each)
        return self

    def predict_proba(self, Z):
        """Probabilities of both classes; (n, m) -> (n, 2) float64."""
        proba = expit(self._net.layers(self._levelled(Z))[-1].astype(np.float64))
        return np.hstack([1 - proba, proba])

    def predict(self, Z):
        """The more probable class; (n, m) -> (n,)."""
        return self.predict_proba(Z).argmax(axis=1)

    def _levelled(self, Z):
        centred = Z if self.center_ is None else Z - self.center_
        points = centred @ self.map_ if np.ndim(self.map_) else centred * self.map_
        return points.astype(np.float32, copy=False)

    def _train(self, Z, y, weights, rate, rng, each):
        is_right = np.zeros(len(y), dtype=bool)  # when last seen
        lowest, since = np.inf, 0
        for rows, stand_for in islice(_epochs(y, rng), _MAX_EPOCHS):
            shares = weights[rows] * stand_for
            shares = (shares / shares.mean()).astype(np.float32)
            loss = 0.0
            for start in range(0, len(rows), _BATCH_ROWS):
                batch, share = rows[start : start + _BATCH_ROWS], shares[start : start + _BATCH_ROWS]
                logits = self._net.step(Z[batch], y[batch], share, rate, each)
                wrong_by = np.where(y[batch] == 1, -logits, logits)
                is_right[batch] = wrong_by < 0
                loss += (share * np.logaddexp(0, wrong_by)).sum() / len(rows)
            lowest, since = (loss, 0) if loss < 0.999 * lowest else (lowest, since + 1)
            if np.average(is_right, weights=weights) >= self.stop_accuracy or since == _PATIENCE:
                return


class _Net:
    """Layers of rectified units and one logit, trained by Adam; all weights lie in one vector."""

    def __init__(self, widths, bias, rng):
        self._shapes = [(n_in + 1, n_out) for n_in, n_out in pairwise(widths)]  # the last row is the bias
        self.n_weights = sum(n_in * n_out for n_in, n_out in self._shapes)
        self._flat, self._mean, self._square = np.zeros((3, self.n_weights), dtype=np.float32)
        self._weights = self._views(self._flat)
        self._n_steps = 0
        for weight in self._weights:
            bound = np.sqrt(6 / (len(weight) - 1))  # He et al. (2015): keeps the variance of rectified units
            weight[:-1] = rng.uniform(-bound, bound, size=(len(weight) - 1, weight.shape[1]))
        self._weights[-1][-1] = bias

    def layers(self, Z):
        """The points, what each hidden layer makes of them, and the logits (n, 1)."""
        outputs = [Z]
        for weight in self._weights:
            if len(outputs) > 1:
                np.maximum(outputs[-1], 0, out=outputs[-1])
            outputs.append(outputs[-1] @ weight[:-1])
            outputs[-1] += weight[-1]
        return outputs

    def step(self, Z, y, shares, rate, each):
        """One step down the mean of the cross-entropies, weighted by `shares`; -> the logits before it.

        `each` calls a function on every item: the parts of the batch, which are the same on any machine.
        """
        parts = [slice(start, start + _PART_ROWS) for start in range(0, len(y), _PART_ROWS)]
        logits = np.empty(len(y), dtype=np.float32)
        gradients = np.empty((len(parts), self.n_weights), dtype=np.float32)

        def descend(i):
            rows = parts[i]
            logits[rows] = self._descend(Z[rows], y[rows], shares[rows] / len(y), self._views(gradients[i]))

        each(descend, range(len(parts)))
        self._adam(gradients.sum(axis=0), rate)
        return logits

    def _descend(self, Z, y, shares, gradients):
        """Write the gradients of all layers; -> logits."""
        *inputs, logits = self.layers(Z)
        logits = logits[:, 0]
        slope = (shares * (expit(logits) - y))[:, np.newaxis]
        for i in reversed(range(len(inputs))):
            gradients[i][:-1] = inputs[i].T @ slope
            gradients[i][-1] = slope.sum(axis=0)
            if i > 0:
                slope = slope @ self._weights[i][:-1].T
                slope *= inputs[i] > 0
        return logits

    def _adam(self, gradient, rate, decay=0.9, square_decay=0.999):
        self._n_steps += 1
        self._mean *= decay
        self._mean += (1 - decay) * gradient
        self._square *= square_decay
        self._square += (1 - square_decay) * gradient**2
        rate *= np.sqrt(1 - square_decay**self._n_steps) / (1 - decay**self._n_steps)  # both start at 0
        self._flat -= np.float32(rate) * self._mean / (np.sqrt(self._square) + 1e-8)

    def _views(self, flat):
        """The weights of each layer, as parts of one vector."""
        ends = np.cumsum([n_in * n_out for n_in, n_out in self._shapes])
        parts = np.split(flat, ends[:-1])
        return [part.reshape(shape) for part, shape in zip(parts, self._shapes, strict=True)]


def _epochs(y, rng):
    """Rows of each epoch, in random order, and for how many each stands: all of the rarer class."""
    rare, common = sorted((np.flatnonzero(y == 0), np.flatnonzero(y == 1)), key=len)
    n_part = min(len(common), _MAJORITY * len(rare))
    stand_for = np.repeat([1, len(common) / n_part], [len(rare), n_part])
    waiting = np.empty(0, dtype=np.intp)
    while True:
        if len(waiting) < n_part:
            waiting = np.concatenate([waiting, rng.permutation(common)])
        order = rng.permutation(len(stand_for))
        yield np.concatenate([rare, waiting[:n_part]])[order], stand_for[order]
        waiting = waiting[n_part:]


def _levelling(Z):
    """The centre of points, and a map, (m, m) or a number, after which their mean square is 1.

    Few directions hold most of the variance of activations, and a net sees little beside them. The map
    ``(C + c I) ** -0.5``, where C is the covariance and c the mean of its diagonal, shrinks these to
    the size of the others, and leaves the others alone; training takes a third of the epochs.
    """
    n, m = Z.shape
    if sparse.issparse(Z):
        return None, 1 / (np.linalg.norm(Z.data) / np.sqrt(n * m) or 1.0)
    center = Z.mean(axis=0, dtype=np.float64).astype(Z.dtype)
    centred = Z - center
    if m > _MOST_LEVELLED:
        return center, 1 / (np.linalg.norm(centred) / np.sqrt(n * m) or 1.0)
    variances, directions = np.linalg.eigh(centred.T @ centred / n)
    variances = np.maximum(variances, 0)
    levelled = variances + (variances.mean() or 1.0)
    size = np.sqrt((variances / levelled).mean()) or 1.0
    return center, (directions / np.sqrt(levelled) / size).astype(Z.dtype)


def _class_weights(y):
    counts = np.bincount(y)
    return (len(y) / (2 * counts))[y]
