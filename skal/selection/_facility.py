"""Facility location: rows such that every row has a similar one among them."""

import sys

import numpy as np
from scipy import sparse

from skal.selection._likeness import LIKENESSES
from skal.selection._points import blocks, row_bytes
from skal.selection._top import priority

__all__ = ["facility_location"]

# Gains are tied that differ by less, relatively or per row.
_TIED, _TIED_PER_ROW = 1e-12, 1e-14

# Pairs of a candidate and a row that is more like it than like the batch: 8 bytes each, 256 MiB in all.
_KEPT_PAIRS = 2**25

# A candidate has a list of the rows it is good for once they are a smaller share: products are that fast.
_WORTH_A_LIST = 0.1

# Candidates and rows compared at a time: 4 MiB of likeness, in the cache; and candidates looked at by lists.
_BLOCK_CANDIDATES, _BLOCK_ROWS, _BLOCK_LISTS = 256, 2048, 32

# More than a sum of positive float32 numbers, added in pairs, may lack.
_SUM_ERROR = 1e-5


def facility_location(Z, candidates, n, seed=0, *, metric="cosine", device="auto"):
    """Positions of n candidates that together are similar to all rows of Z; -> (n,) int, best first.

    Adds, n times, the candidate that most increases ``sum_x max_{i chosen} similarity(i, x)``, where x runs
    over all rows of Z. The greedy batch reaches at least 1 - 1/e of the largest sum (1978).

    Parameters
    ----------
    Z : ndarray or csr_matrix of shape (n_rows, m)
        Points.
    candidates : array-like of int of shape (n_candidates,) or None
        Distinct positions in Z that may be chosen; None is all.
    n : int
        How many, at most n_candidates.
    seed : int, default=0
        Orders the ties.
    metric : {"cosine", "euclidean"}, default="cosine"
        "cosine": the cosine, or 0 where it is negative; a row of zeros is similar to none. "euclidean": a
        constant at least as large as any distance, minus the distance; so the batch minimises the sum
        of the distances from each row to the nearest chosen one, whatever the constant.
    device : "auto", "cpu" or a torch device, default="auto"
        Where the rows of a dense Z are compared; "auto" is a GPU where torch is loaded and finds one.

    Returns
    -------
    ndarray of int of shape (n,)
        Those of a greedy search in double precision; candidates whose gains differ by less than 1e-12
        of the gain, or 1e-14 a row, are tied. Memory is a few hundred MiB at most above the data, whatever
        the number of rows.

    Raises
    ------
    ValueError
        If there are fewer than n candidates.

    References
    ----------
    G. Nemhauser, L. Wolsey and M. Fisher, "An analysis of approximations for maximizing submodular set
    functions", Mathematical Programming 1978.
    M. Minoux, "Accelerated greedy algorithms for maximizing submodular set functions", 1978 (laziness).

    Examples
    --------
    >>> import numpy as np
    >>> Z = np.array([[0.0], [1.0], [2.0], [9.0], [10.0], [11.0], [12.0]])
    >>> facility_location(Z, None, n=2, metric="euclidean")  # the middle of all, then of those apart
    array([3, 1])
    """
    candidates = np.arange(Z.shape[0]) if candidates is None else np.asarray(candidates)
    if n > len(candidates):
        raise ValueError(f"facility_location was asked for n={n} of {len(candidates)} candidates; lower n.")
    gains = _gains(Z, candidates, LIKENESSES[metric](Z), device)
    bounds = np.full(len(candidates), np.inf)  # gains only fall, so an old gain is an upper bound
    keys = priority(seed, candidates)
    chosen = []
    while len(chosen) < n:
        place, gain = _best(gains, bounds, keys)
        if gain <= _tolerance(0.0, gains.n_rows):
            left = np.flatnonzero(bounds > -np.inf)
            chosen.extend(left[np.argsort(keys[left])[::-1][: n - len(chosen)]])
        else:
            gains.add(place)
            bounds[place] = -np.inf
            chosen.append(place)
    return candidates[np.array(chosen, dtype=np.intp)]


def _best(gains, bounds, keys):
    """Place and gain of the best candidate; lowers the bounds of the candidates that it looks at.

    Best first: those with the largest bounds are looked at, then compared exactly, until no bound is above
    the best gain.
    """
    is_fresh, is_exact = np.zeros((2, len(bounds)), dtype=bool)
    place = bounds.argmax()
    best = bounds[place] = gains.exact(place)
    is_exact[place] = True
    places = np.flatnonzero(bounds > -np.inf)
    while True:
        places = places[bounds[places] >= best - _tolerance(best, gains.n_rows)]
        unsure = places[~is_exact[places]]
        if len(unsure) == 0:
            return places[keys[places].argmax()], best
        place = unsure[bounds[unsure].argmax()]
        if is_fresh[place]:
            ready = unsure[is_fresh[unsure]]
            block = _largest(bounds, ready, 1 + np.count_nonzero(is_exact) // 2)
            bounds[block] = [gains.exact(place) for place in block]
            best = max(best, bounds[block].max())
            is_exact[block] = True
        else:
            block = _largest(bounds, unsure[~is_fresh[unsure]], gains.block_size(place))
            bounds[block] = np.minimum(bounds[block], gains.above(block))
            is_fresh[block] = True


def _tolerance(gain, n_rows):
    """Gains that differ by no more are tied."""
    return _TIED * gain + _TIED_PER_ROW * n_rows


def _largest(bounds, places, n):
    return places if len(places) <= n else places[np.argpartition(bounds[places], -n)[-n:]]


def _gains(Z, candidates, likeness, device):
    torch = sys.modules.get("torch")
    if device == "auto":
        device = "cuda" if torch is not None and torch.cuda.is_available() else "cpu"
    if device == "cpu" or sparse.issparse(Z):
        return _Gains(Z, candidates, likeness)
    return _DeviceGains(Z, candidates, likeness, device)


class _Gains:
    """How much each candidate adds to the batch so far.

    Rows that are more like a candidate than like the batch only become fewer. Once they are few, they are
    kept in a list, and the candidate is compared with no others.
    """

    def __init__(self, Z, candidates, likeness):
        self._Z = Z
        self._likeness = likeness
        self._candidates = candidates
        self.n_rows = Z.shape[0]
        self._batch = np.full(self.n_rows, likeness.least)  # how like the batch each row is
        self._below = self._batch.astype(np.float32)  # the same or a little less
        self._lists = [None] * len(candidates)
        self._n_kept = 0
        self._longest = min(_KEPT_PAIRS // max(1, len(candidates)), int(_WORTH_A_LIST * self.n_rows))
        self._n_active = self.n_rows  # of a candidate, in the mean of those last compared
        self._exact = {}

    def block_size(self, place):
        """How many candidates are best looked at together."""
        return _BLOCK_CANDIDATES if self._lists[place] is None else _BLOCK_LISTS

    def above(self, places):
        """Upper bounds of gains, from single precision; (k,) -> (k,)."""
        is_listed = np.array([self._lists[place] is not None for place in places])
        bounds = np.empty(len(places))
        for look, which in ((self._listed, is_listed), (self._compared, ~is_listed)):
            if which.any():
                bounds[which] = look(places[which])
        return bounds * (1 + _SUM_ERROR)

    def exact(self, place):
        """The gain of a candidate, in double precision."""
        content = row_bytes(self._Z, self._candidates[place])  # copies are looked at once
        if content not in self._exact:
            columns, likeness = self._likeness_of(place)
            self._exact[content] = np.maximum(likeness - self._batch[columns], 0).sum()
        return self._exact[content]

    def add(self, place):
        """Add a candidate to the batch."""
        columns, likeness = self._likeness_of(place)
        self._batch[columns] = np.maximum(self._batch[columns], likeness)
        self._below = np.nextafter(self._batch.astype(np.float32), np.float32(-np.inf))
        self._exact.clear()

    def _likeness_of(self, place):
        kept = self._lists[place]
        columns = np.arange(self.n_rows) if kept is None else kept[0]
        return columns, self._likeness.exact(self._candidates[place], columns)

    def _listed(self, places):
        lists = [self._lists[place] for place in places]
        lengths = np.array([len(columns) for columns, _ in lists])
        excess = np.concatenate([likeness for _, likeness in lists], dtype=np.float64)
        excess -= self._below[np.concatenate([columns for columns, _ in lists])]
        active = excess > 0
        # Sums over each list; a last number that is none stands in for what empty lists at the end lack.
        starts = np.cumsum(lengths) - lengths
        excess, n_active = (
            np.where(lengths > 0, np.add.reduceat(np.append(values, 0), starts), 0)
            for values in (np.where(active, excess, 0.0), active.astype(np.int64))
        )
        for i in np.flatnonzero(2 * n_active < lengths):
            columns, likeness = lists[i]
            is_left = active[starts[i] : starts[i] + lengths[i]]
            self._lists[places[i]] = columns[is_left], likeness[is_left]
            self._n_kept -= lengths[i] - n_active[i]
        return excess

    def _compared(self, places):
        sums, n_active, found = np.zeros(len(places)), np.zeros(len(places), dtype=np.int64), []
        is_short = self._n_active <= self._longest
        for start in range(0, self.n_rows, _BLOCK_ROWS):
            columns = slice(start, start + _BLOCK_ROWS)
            likeness = self._likeness.above(self._candidates[places], columns)
            excess = likeness - self._below[columns]
            active = excess > 0
            if is_short:
                found.append((np.count_nonzero(active, axis=1), *_members(active, likeness, start)))
            n_active += np.count_nonzero(active, axis=1)
            sums += np.maximum(excess, 0, out=excess).sum(axis=1)
        self._n_active = n_active.mean()
        if is_short:
            self._keep(places, found, n_active)
        return sums

    def _keep(self, places, found, n_active):
        owners = np.concatenate(
            [np.repeat(np.arange(len(places), dtype=np.int16), part[0]) for part in found]
        )
        order = np.argsort(owners, kind="stable")  # of 16 bits: by counting
        columns, likeness = (np.concatenate(parts)[order] for parts in list(zip(*found, strict=True))[1:])
        ends = np.cumsum(n_active)
        for place, start, end in zip(places, ends - n_active, ends, strict=True):
            if end - start <= min(self._longest, _KEPT_PAIRS - self._n_kept):
                self._lists[place] = columns[start:end].copy(), likeness[start:end].copy()
                self._n_kept += end - start


def _members(active, likeness, start):
    """Which rows are active, candidate by candidate, and their likeness; -> (k,) int32, (k,)."""
    flat = np.flatnonzero(active)
    return (flat % active.shape[1] + start).astype(np.int32), likeness.ravel()[flat]


class _DeviceGains:
    """The same on a torch device, where all is in double precision and no lists are kept."""

    def __init__(self, Z, candidates, likeness, device):
        self._torch = sys.modules["torch"]
        self._likeness = likeness
        self._candidates = candidates
        self.n_rows = Z.shape[0]
        self._points = self._torch.as_tensor(likeness.coordinates(slice(None)), device=device)
        self._batch = self._torch.full_like(self._points[:, 0], likeness.least)

    def block_size(self, place):
        """How many candidates are best looked at together."""
        return _BLOCK_CANDIDATES

    def above(self, places):
        """The gains of candidates; (k,) -> (k,)."""
        sums = 0.0
        for rows in blocks(self.n_rows, len(places)):
            sums += (self._likeness_of(places, rows) - self._batch[rows]).clamp(min=0).sum(dim=1)
        return sums.cpu().numpy()

    def exact(self, place):
        """The gain of a candidate."""
        return self.above(np.array([place]))[0]

    def add(self, place):
        """Add a candidate to the batch."""
        for rows in blocks(self.n_rows, 1):
            (likeness,) = self._likeness_of([place], rows)
            self._batch[rows] = self._torch.maximum(self._batch[rows], likeness)

    def _likeness_of(self, places, rows):
        left = self._points[self._torch.as_tensor(self._candidates[places], device=self._points.device)]
        return self._likeness.on_device(left, self._points[rows])
