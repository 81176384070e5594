"""What a comparison shows, and what it does not."""

from dataclasses import dataclass

import numpy as np

from skal._statistics import between, default_levels, first_reached, mean_interval, smallest_detectable
from skal.metrics import area_under_curve

__all__ = ["MIN_SEEDS", "LearnerSummary", "Summary"]

MIN_SEEDS = 10
"""With fewer, an interval is so wide and so unsure that nothing is claimed."""


@dataclass(frozen=True)
class LearnerSummary:
    """One learner of a `Summary`. Intervals are pairs of floats, NaN with a single seed."""

    name: str
    area: float
    """Mean area under the learning curve, over the seeds."""
    area_interval: tuple[float, float]
    labels_needed: tuple[float, ...]
    """For each level the median, over the seeds, of the labels needed; inf where most did not get there."""
    n_reached: tuple[int, ...]
    """For each level the number of seeds that reached it."""
    difference: float
    """Mean paired difference of the area from the baseline's; NaN for the baseline itself."""
    difference_interval: tuple[float, float]
    detectable: float
    """The smallest true difference that this run would have shown with a probability of 80 %."""
    verdict: str
    """ "better", "worse", "no difference shown", "pilot, no claim", "not comparable" or "baseline"."""


@dataclass(frozen=True)
class Summary:
    """Areas under learning curves, labels needed, and paired differences from a baseline.

    Made by `skal.evaluation.Comparison.summary`.
    """

    learners: tuple[LearnerSummary, ...]
    baseline: str
    score_name: str
    n_seeds: int
    levels: tuple[float, ...]
    confidence: float
    label_range: tuple[float, float] | None
    """The numbers of labels between which areas are taken; None where the curves share none."""
    ranges_differ: bool
    """Whether some curves go beyond `label_range`."""

    @property
    def n_comparisons(self):
        """How many learners are compared with the baseline."""
        return len(self.learners) - 1

    @property
    def is_pilot(self):
        """Whether there are too few seeds for a claim."""
        return self.n_seeds < MIN_SEEDS

    def __getitem__(self, name):
        return next(learner for learner in self.learners if learner.name == name)

    @classmethod
    def of(cls, comparison, baseline=None, levels=None, confidence=0.95):
        """See `Comparison.summary`."""
        curves = {name: comparison.curves(name) for name in comparison.learners}
        baseline = _baseline(comparison.learners, baseline)
        label_range, ranges_differ = _common_range(curves.values())
        areas = {name: _areas(curves[name], label_range) for name in curves}
        if levels is None:
            levels = _levels(comparison)

        def of_learner(name):
            mean, interval = areas[name].mean(), mean_interval(areas[name], confidence)
            reached = np.array([[first_reached(*curve, level) for curve in curves[name]] for level in levels])
            reached = reached.reshape(len(levels), len(curves[name]))
            against = _difference(areas[name] - areas[baseline], confidence, len(curves) - 1)
            if name == baseline:
                against = np.nan, (np.nan, np.nan), np.nan, "baseline"
            elif label_range is None:
                against = *against[:3], "not comparable"
            return LearnerSummary(
                name,
                float(mean),
                tuple(map(float, interval)),
                tuple(map(float, np.median(reached, axis=1))),
                tuple(map(int, np.isfinite(reached).sum(axis=1))),
                *against,
            )

        return cls(
            tuple(map(of_learner, curves)),
            baseline,
            comparison.score_name,
            comparison.n_seeds,
            tuple(levels),
            confidence,
            label_range,
            ranges_differ,
        )


def _baseline(names, asked):
    if asked is None:
        return "Random" if "Random" in names else names[0]
    if asked not in names:
        raise ValueError(f"baseline={asked!r} is none of the learners, which are {', '.join(names)}.")
    return asked


def _common_range(curves):
    """Where all curves have values, or None, and whether some have values elsewhere."""
    starts, ends = zip(*((x[0], x[-1]) for of_learner in curves for x, _ in of_learner), strict=True)
    low, high = float(max(starts)), float(min(ends))
    return (low, high) if low <= high else None, (min(starts), max(ends)) != (low, high)


def _areas(curves, label_range):
    if label_range is None:
        return np.full(len(curves), np.nan)
    return np.array([area_under_curve(*between(*curve, *label_range)) for curve in curves])


def _levels(comparison):
    """Round scores that a typical run of the best learner reaches."""
    means = [comparison.curve(name)[1].mean(axis=0) for name in comparison.learners]
    return default_levels(min(mean[0] for mean in means), max(mean[-1] for mean in means))


def _difference(differences, confidence, n_comparisons):
    n_comparisons = max(1, n_comparisons)
    low, high = map(float, mean_interval(differences, confidence, n_comparisons))
    detectable = smallest_detectable(differences, confidence, n_comparisons)
    verdict = "better" if low > 0 else "worse" if high < 0 else "no difference shown"
    if len(differences) < MIN_SEEDS:
        verdict = "pilot, no claim"
    return float(differences.mean()), (low, high), detectable, verdict
