"""The result of a comparison: learning curves of several learners over the same seeds."""

import numpy as np

from skal._runs import read_stages, write_stages
from skal._summary import Summary

__all__ = ["Comparison"]


class Comparison:
    """Learning curves of several learners over the same seeds, as plain data.

    Parameters
    ----------
    rows : list of Stage
        One for each learner, seed and round, with ``learner``, ``seed``, ``round``, ``n_labeled``,
        ``score``, ``fit_seconds``, ``select_seconds``, ``rows`` (of X, labelled in that round) and
        ``settings``. ``pandas.DataFrame(comparison.rows)`` makes a frame.
    learners : list of str or None, default=None
        Names, in the order of display; None takes them from the rows.

    Attributes
    ----------
    rows, learners
        As passed.
    n_seeds : int
        Seeds with which all learners have run.
    score_name : str
        What was scored.
    """

    def __init__(self, rows, learners=None):
        self.rows = rows
        self.learners = list(dict.fromkeys(row.learner for row in rows)) if learners is None else learners
        self._runs = {}
        for row in rows:
            self._runs.setdefault((row.learner, row.seed), []).append(row)
        # A seed counts only if all learners have run with it: differences are taken seed by seed.
        seeds = [{seed for name, seed in self._runs if name == learner} for learner in self.learners]
        self._seeds = sorted(set.intersection(*seeds)) if seeds else []
        self.n_seeds = len(self._seeds)
        if self.n_seeds == 0:
            raise ValueError("There is nothing to compare: no seed has run with all learners.")
        self.score_name = rows[0].settings.split()[0]

    def __repr__(self):
        return f"<Comparison of {', '.join(self.learners)} over {self.n_seeds} seeds>"

    @classmethod
    def from_csv(cls, path):
        """Read what `compare` or `to_csv` has written; -> Comparison."""
        return cls(read_stages(path))

    def to_csv(self, path):
        """Write all rows."""
        write_stages(path, self.rows)

    def curve(self, name):
        """Learning curves of one learner; -> (n_stages,) labels, (n_seeds, n_stages) scores.

        Where the seeds have different numbers of labels (an initial batch that was extended), all
        are read off at the same numbers, on the lines between stages.

        Parameters
        ----------
        name : str
            One of `learners`.

        Returns
        -------
        n_labels : ndarray of shape (n_stages,)
        scores : ndarray of shape (n_seeds, n_stages)
        """
        curves = self.curves(name)
        low, high = max(x[0] for x, _ in curves), min(x[-1] for x, _ in curves)
        n_labels = np.unique(np.concatenate([x for x, _ in curves]))
        n_labels = n_labels[(n_labels >= low) & (n_labels <= high)]
        return n_labels, np.array([np.interp(n_labels, x, scores) for x, scores in curves])

    def curves(self, name):
        """Each seed's own curve of one learner; -> list of (labels, scores), (n_stages,) each."""
        if name not in self.learners:
            raise ValueError(f"There is no learner {name!r} here; there are {', '.join(self.learners)}.")
        runs = [self._runs[name, seed] for seed in self._seeds]
        return [
            (np.array([float(row.n_labeled) for row in run]), np.array([row.score for row in run]))
            for run in runs
        ]

    def first_queried(self, name, n=20):
        """The first rows of X that a learner asked for, with the first seed; -> (<= n,) int."""
        run = self._runs[name, self._seeds[0]]
        return np.array([row for stage in run[1:] for row in stage.rows][:n], dtype=int)

    def seconds(self, name):
        """Median seconds of one fit and of one selection; -> (float, float)."""
        rows = [row for seed in self._seeds for row in self._runs[name, seed]]
        selections = [row.select_seconds for row in rows if row.round > 0]
        return float(np.median([row.fit_seconds for row in rows])), float(np.median(selections or [0.0]))

    def summary(self, baseline=None, levels=None, confidence=0.95):
        """Areas under the curves, labels needed, and differences from a baseline, with intervals.

        Parameters
        ----------
        baseline : str or None, default=None
            The learner that the others are compared with; None means "Random" if there is one, else
            the first.
        levels : sequence of float or None, default=None
            Scores; how many labels does each learner need for them? None takes up to three round
            numbers that the learners reach.
        confidence : float in (0, 1), default=0.95
            Of all intervals; those of the differences cover together.

        Returns
        -------
        Summary
        """
        return Summary.of(self, baseline, levels, confidence)

    def table(self):
        """The summary as text of at most 100 columns."""
        from skal.report import text_table

        return text_table(self.summary())

    def plot(self, ax=None):
        """Draw the learning curves; -> LearningCurveDisplay."""
        from skal.plotting import LearningCurveDisplay

        return LearningCurveDisplay.from_comparison(self).plot(ax)

    def to_html(self, path, X=None, *, masks=None, about="", remarks=(), facts=None):
        """Write a report of one self-contained page.

        Parameters
        ----------
        path : str or Path
        X : array-like of shape (n_rows, ...) or None, default=None
            The X that was compared on, if it holds images: those asked for first are shown.
        masks : array-like of shape (n_rows, height, width), list of masks, or None, default=None
            Masks of the rows of X, such as the y that was compared on; drawn over the images.
        about : str, default=""
            What was compared on, in a line.
        remarks : sequence of str, default=()
            What a reader should know besides, in sentences.
        facts : dict of str to str or None, default=None
            How the comparison was run.
        """
        from skal.report import write_html

        write_html(path, self, X, masks=masks, about=about, remarks=remarks, facts=facts)
