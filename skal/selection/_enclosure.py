"""Squared distances enclosed from both sides in single precision, and exact where that does not decide."""

import sys
from contextlib import contextmanager, nullcontext

import numpy as np

from skal.selection._outer import blocks
from skal.selection._top import priority

__all__ = ["TIED", "Enclosure"]

#: Squared distances whose relative difference is smaller are tied.
TIED = 1e-12

# Squared norms beyond are left to double precision.
_RANGE = 2.0**60

# While more than one row of so many is undecided in single precision, double precision is asked.
_UNDECIDED = 16

# With fewer centres than this, products are faster with the rows first.
_FEW = 16

# Products of a pair of numbers that are worth a GPU, to which the rows must be brought.
_WORTH_A_GPU = 2**33


class Enclosure:
    """Rows, and what inner products in single precision say for sure of their distances.

    Each answer is that of exact distances, taken from differences in double precision: products in single
    precision, with a bound of their rounding, decide nearly all comparisons, and exact distances the
    others. So no answer depends on the number of threads, or on who multiplies the matrices.

    Parameters
    ----------
    rows : PlainRows or OuterProducts
    device : "auto", "cpu" or a torch device, default="cpu"
        Where large products are taken.
    """

    def __init__(self, rows, device="cpu"):
        self.rows = rows
        self._device = _gpu() if device == "auto" else None if device == "cpu" else device
        self._n_terms = rows.n_terms
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            factors = rows.factor_norms(np.float32)
            norms = factors.prod(axis=0)
        largest = factors.max(axis=1, initial=0)
        # Products that are too small for single precision are lost, at the size of the other factor.
        self._lost = 4 * rows.n_terms * np.clip(largest.max(), 1, _RANGE)
        in_range = ((largest > 1 / _RANGE) & (largest < _RANGE)).all()
        self._norms = norms if in_range else None

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, rows):
        part = object.__new__(Enclosure)
        part.rows = self.rows[rows]
        part._norms = None if self._norms is None else self._norms[rows]
        part._lost, part._n_terms, part._device = self._lost, self._n_terms, self._device
        return part

    def largest(self, seed):
        """The row with the largest norm; int. Ties go by `skal.selection.priority`."""
        rows = np.arange(len(self))
        if self._norms is not None:
            error, lost = self._errors(self, np.float32)
            rows = np.flatnonzero((1 + error) * self._norms + lost >= (1 - error) * self._norms.max() - lost)
        norms = self.rows[rows].squared_norms()
        tied = rows[norms >= norms.max() * (1 - TIED)]
        return int(tied[priority(seed, tied).argmax()])

    def nearest_on_grid(self, centers, known):
        """Squared distances to the nearest centre, rounded up to a grid, or `known` if smaller; -> (n,).

        Parameters
        ----------
        centers : Enclosure
        known : ndarray of shape (n,)
            On the grid, or infinite. Its numbers are an eighth to a sixteenth apart, so that few distances
            must be known exactly to be rounded.
        """
        table = known.copy()

        def settle(rows, low, high):
            upper = np.minimum(_rounded_up(high), known[rows])
            table[rows] = upper
            return _rounded_up(low) < upper

        self._settle(centers, settle)
        return table

    def covered(self, centers, limits):
        """Whether some centre is as near to each row as its limit, a squared distance; -> (n,) bool."""
        covered = np.empty(len(self), dtype=bool)

        def settle(rows, low, high):
            covered[rows] = high <= limits[rows]
            return (low <= limits[rows]) & ~covered[rows]

        self._settle(centers, settle)
        return covered

    def closer(self, centers, limits):
        """For each centre the rows that are closer to it than their limit, and how close.

        Returns
        -------
        list of pairs of ndarrays, (p,) int and (p,) float64
            Positions, and squared distances.
        """
        rows, labels = self._maybe_closer(centers, limits)
        exact = self.rows.paired(rows, centers.rows, labels)
        is_closer = exact < limits[rows]
        rows, labels, exact = rows[is_closer], labels[is_closer], exact[is_closer]
        ends = np.bincount(labels, minlength=len(centers)).cumsum()[:-1]
        return list(zip(np.split(rows, ends), np.split(exact, ends), strict=True))

    def _maybe_closer(self, centers, limits):
        """Pairs of a row and a centre that is maybe closer than the limit, centre by centre."""
        for dtype in self._precisions(centers):
            pairs = []
            for block in self._blocks(centers):
                products, own, theirs, error, lost = self[block]._expanded(centers, dtype)
                products -= ((1 - error) * theirs)[:, np.newaxis]
                least = ((1 - error) * own - lost - limits[block]).astype(dtype)
                labels, rows = np.nonzero(products >= least)
                pairs.append((rows + block.start, labels))
            rows, labels = (np.concatenate(part) for part in zip(*pairs, strict=True))
            if len(rows) <= len(self) * len(centers) // _UNDECIDED:
                break
        order = np.argsort(labels, kind="stable")
        return rows[order], labels[order]

    def within(self, centers, limits):
        """Whether each centre is as near to each row as the row's limit; -> (n_centers, n) bool."""
        for dtype in self._precisions(centers):
            products, own, theirs, error, lost = self._expanded(centers, dtype)
            products -= ((1 - error) * theirs)[:, np.newaxis]
            within = products >= ((1 - error) * own - lost - limits).astype(dtype)
            labels, rows = np.nonzero(within)
            least = products[labels, rows] - 2 * error * theirs[labels]
            is_open = least < (1 + error) * own[rows] + lost - limits[rows]
            labels, rows = labels[is_open], rows[is_open]
            if len(rows) <= len(self):
                break
        within[labels, rows] = self.rows.paired(rows, centers.rows, labels) <= limits[rows]
        return within

    def nearest(self, centers):
        """Squared distance to the nearest centre, and the first centre tied for it; -> (n,), (n,) int."""
        distances, labels = np.full(len(self), np.inf), np.full(len(self), len(centers), dtype=np.intp)
        for block in self._blocks(centers):
            rows, candidates = self[block]._candidates(centers)
            exact = self.rows.paired(rows + block.start, centers.rows, candidates)
            np.minimum.at(distances[block], rows, exact)
            tied = exact <= distances[block][rows] * (1 + TIED)
            np.minimum.at(labels[block], rows[tied], candidates[tied])
        return distances, labels

    def _candidates(self, centers):
        """Pairs of a row and a centre that may be its nearest; -> (p,) int, (p,) int."""
        for dtype in self._precisions(centers):
            products, own, theirs, error, lost = self._expanded(centers, dtype)
            highest = (((1 + error) * theirs)[:, np.newaxis] - products).min(axis=0)
            products -= ((1 - error) * theirs)[:, np.newaxis]
            labels, rows = np.nonzero(products >= -2 * error * own - highest - 2 * lost)
            if len(rows) <= 2 * len(self):
                break
        return rows, labels

    def _settle(self, centers, settle):
        """Ask with ever closer bounds, exact at last, until no row is open.

        `settle` gets rows and bounds of their squared distances to the nearest centre, and says which are
        open.
        """
        rows = np.arange(len(self))
        for dtype in self._precisions(centers):
            part = self if len(rows) == len(self) else self[rows]
            rows = rows[settle(rows, *part._bounds(centers, dtype))]
            if len(rows) <= len(self) // _UNDECIDED:
                break
        exact = self[rows].nearest(centers)[0]
        settle(rows, exact, exact)

    def _bounds(self, centers, dtype):
        """Between which numbers the squared distance to the nearest centre lies; -> (n,), (n,)."""
        low, high = np.empty(len(self), dtype=dtype), np.empty(len(self), dtype=dtype)
        n_products = len(self) * len(centers) * self.rows.width
        device = self._device if self.rows.is_dense and n_products >= _WORTH_A_GPU else None
        with nullcontext() if device is None else _full_precision():
            for block in self._blocks(centers):
                products, own, theirs, error, lost = self[block]._expanded(centers, dtype, device)
                low[block] = (1 - error) * own - _largest(products, (1 - error) * theirs, device) - lost
                high[block] = (1 + error) * own - _largest(products, 2 * error * theirs, device) + lost
        return np.maximum(low, 0, out=low), high

    def _expanded(self, centers, dtype, device=None):
        """Twice the inner products, (n_centers, n), both norms, and the errors of their sums."""
        if len(centers) < _FEW and device is None:
            products = self.rows.inner(centers.rows, dtype, scale=2.0).T.copy()
        else:
            products = centers.rows.inner(self.rows, dtype, 2.0, device)
        return products, self._norms_in(dtype), centers._norms_in(dtype), *self._errors(centers, dtype)

    def _errors(self, centers, dtype):
        """The error of an expanded square relative to the norms of both rows, and the absolute one."""
        numbers = np.finfo(dtype)
        # Each term is rounded once in a product, once in a norm, at half of eps each; then data are cast, and
        # factors and norms multiplied and added up.
        relative = (max(self._n_terms, centers._n_terms) + 24) * numbers.eps
        return dtype(relative), dtype(max(self._lost, centers._lost) * numbers.smallest_subnormal)

    def _norms_in(self, dtype):
        return self._norms if dtype == np.float32 else self.rows.squared_norms()

    def _precisions(self, centers):
        in_range = self._norms is not None and centers._norms is not None
        return (np.float32, np.float64) if in_range else (np.float64,)

    def _blocks(self, centers):
        return blocks(len(self), max(len(centers), self.rows.width))


def _largest(products, shifts, device):
    """The largest number of each column once a shift is subtracted from each row, for good."""
    if device is None:
        products -= shifts[:, np.newaxis]
        return products.max(axis=0)
    products -= products.new_tensor(shifts)[:, None]
    return products.amax(dim=0).cpu().numpy()


def _gpu():
    """A GPU, where torch is loaded and finds one."""
    torch = sys.modules.get("torch")
    return "cuda" if torch is not None and torch.cuda.is_available() else None


@contextmanager
def _full_precision():
    """Let torch multiply in single precision as it says, whatever its user has allowed."""
    torch = sys.modules["torch"]
    allowed = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(allowed)


def _rounded_up(distances):
    """To a number with four binary digits; (n,) non-negative -> (n,) float64."""
    # Distances between integers are often such numbers, and would be rounded by the last bit of their error.
    distances = 1.001 * distances.astype(np.float64)
    dropped = np.int64(2**49 - 1)
    bits = distances.view(np.int64)
    return ((bits + dropped) & ~dropped).view(np.float64)
