"""D^2 sampling, the seeding of k-means++: rows far from those chosen before are likely."""

import numpy as np
from sklearn.utils import check_random_state

from skal.selection._enclosure import Enclosure
from skal.selection._outer import as_rows

__all__ = ["k_means_pp", "largest_norm"]

# Proposals at a time, at first and at most.
_LEAST, _MOST = 64, 1024

# A pass over all rows costs as much as so many centres: it reads the data.
_PASS = 8


def k_means_pp(Z, n, rng, *, first=None, weights=None, device="auto"):
    """Positions of n rows by D^2 sampling; (n_rows, m) -> (n,) int, in the order of the draws.

    Draws, n - 1 times, a row with probability proportional to its squared distance to the nearest row chosen
    before, as k-means++ does to seed its clusters. Rows equal to a chosen one have no chance; once only such
    rows are left, the others are drawn from them uniformly. No row is chosen twice.

    Rows are proposed by an old table of distances, which have only become smaller since, and accepted with
    probability true / old: the distribution is exact, and few rows are ever compared with the chosen
    ones. The table is renewed, by one product of matrices, when further proposals would cost more.

    Parameters
    ----------
    Z : ndarray or csr_matrix of shape (n_rows, m), or OuterProducts
        Points. `OuterProducts` stand for gradients (BADGE), whose array need not exist.
    n : int
        How many, at most n_rows.
    rng : int, RandomState or None
        Fixes the draws.
    first : int, default=None
        The first row; None draws it uniformly, or by `weights`.
    weights : array-like of shape (n_rows,), default=None
        At least 0: how many rows each row stands for, so that it is as likely as all of them together; None
        is one each.
    device : "auto", "cpu" or a torch device, default="auto"
        Where large products of dense matrices are taken; "auto" is a GPU where torch is loaded and finds one.
        The rows chosen do not depend on it.

    Returns
    -------
    ndarray of int of shape (n,)
        All decisions are those of distances in double precision, also where Z is in single precision.
        Memory is a few numbers for each row of Z, and some MiB.

    Raises
    ------
    ValueError
        If there are fewer than n rows, or squared distances are too large for double precision.

    References
    ----------
    D. Arthur and S. Vassilvitskii, "k-means++: the advantages of careful seeding", SODA 2007.

    Examples
    --------
    >>> import numpy as np
    >>> Z = np.array([[0.0, 0.0], [0.0, 0.0], [5.0, 0.0], [0.0, 9.0]])
    >>> sorted(k_means_pp(Z, n=3, rng=0, first=0).tolist())
    [0, 2, 3]
    """
    rng = check_random_state(rng)
    rows = Enclosure(as_rows(Z), device)
    if n > len(rows):
        raise ValueError(f"k_means_pp was asked for n={n} of {len(rows)} rows; lower n.")
    if n == 0:
        return np.empty(0, dtype=np.intp)
    weights = 1.0 if weights is None else np.asarray(weights, dtype=np.float64)
    chosen = [_drawn(rng, len(rows), weights) if first is None else int(first)]
    table = _Table(rows, weights, chosen)
    n_tried, size = 0, _LEAST
    while len(chosen) < n and table.mass > 0:
        proposed, limits = table.propose(rng, size)
        accepted = _accepted(rows, proposed, limits, chosen)
        chosen.extend(accepted[: n - len(chosen)])
        n_tried += size
        tries_a_row = n_tried / max(len(accepted), 0.5)
        n_tried = 0 if accepted else n_tried
        if table.is_dear(chosen, n, tries_a_row):
            table.renew(chosen)
            tries_a_row = 1.0
        size = int(1.2 * tries_a_row * (n - len(chosen)))
        size = max(_LEAST, min(size, _LEAST + 2 * len(chosen), _MOST))
    if len(chosen) < n:
        left = np.delete(np.arange(len(rows)), chosen)
        chosen.extend(rng.permutation(left)[: n - len(chosen)])
    return np.array(chosen, dtype=np.intp)


def largest_norm(Z, seed=0):
    """Position of the row with the largest norm, with which BADGE begins; (n_rows, m) -> int.

    Parameters
    ----------
    Z : ndarray or csr_matrix of shape (n_rows, m), or OuterProducts
    seed : int, default=0
        Orders the ties: norms whose squares differ by less than 1e-12 of the largest.

    Returns
    -------
    int

    Examples
    --------
    >>> import numpy as np
    >>> largest_norm(np.array([[1.0, 1.0], [0.0, -3.0], [2.0, 2.0]]))
    1
    """
    return Enclosure(as_rows(Z)).largest(seed)


def _drawn(rng, n, weights):
    """A row by its weight."""
    if np.ndim(weights) == 0:
        return int(rng.randint(n))
    return int(rng.choice(n, p=weights / weights.sum()))


class _Table:
    """Upper bounds of the squared distance to the nearest chosen row, by which rows are proposed."""

    def __init__(self, rows, weights, chosen):
        self._rows = rows
        self._weights = weights
        self._bounds = np.full(len(rows), np.inf)
        self._n_known = 0
        self.renew(chosen)

    def renew(self, chosen):
        """Lower the bounds to what the rows chosen by now allow."""
        self._bounds = self._rows.nearest_on_grid(self._rows[chosen[self._n_known :]], self._bounds)
        self._sums = (self._bounds * self._weights).cumsum()
        self._n_known = len(chosen)
        if not np.isfinite(self.mass):
            raise ValueError("k_means_pp can't compare rows whose squared distances overflow; scale them.")

    @property
    def mass(self):
        """The weighted sum of all bounds; 0 once each row equals one chosen before the last renewal."""
        return self._sums[-1]

    def propose(self, rng, size):
        """Rows by their bounds, and the squared distance that each must exceed; -> (size,) int, (size,)."""
        rows = np.searchsorted(self._sums, rng.random_sample(size) * self.mass, side="right")
        rows = np.minimum(rows, len(self._bounds) - 1)
        return rows, rng.random_sample(size) * self._bounds[rows]

    def is_dear(self, chosen, n, tries_a_row):
        """Whether the proposals yet to be refused will cost more distances than a renewal of the table."""
        n_new = len(chosen) - self._n_known
        refused = (n - len(chosen)) * (tries_a_row - 1)
        return n_new > 0 and refused * (len(chosen) + n) / 2 > len(self._bounds) * (n_new + _PASS)


def _accepted(rows, proposed, limits, chosen):
    """The proposals that are farther than their limit from all rows chosen before; list of int."""
    is_far = ~rows[proposed].covered(rows[chosen], limits)
    proposed, limits = proposed[is_far], limits[is_far]
    covers = rows[proposed].within(rows[proposed], limits)
    is_open = np.ones(len(proposed), dtype=bool)
    accepted = []
    for place, row in enumerate(proposed.tolist()):
        if is_open[place]:
            accepted.append(row)
            is_open &= ~covers[place]
    return accepted
