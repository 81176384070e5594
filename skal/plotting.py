"""Displays: learning curves, and the images that were asked for."""

from math import ceil

import numpy as np

from skal import labels
from skal._rows import as_objects, take
from skal._statistics import mean_interval
from skal.capabilities import labels_pixels, mark_for

__all__ = ["BatchDisplay", "LearningCurveDisplay"]

# Okabe and Ito's colours, which people with any colour vision tell apart; markers help in print.
_COLORS = ["#555555", "#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00"]
_MARKERS = ["o", "s", "^", "D", "v", "P", "X"]
_LINES = ["-", "--", ":"]


class LearningCurveDisplay:
    """Learning curves: the mean score over the number of labels, with a band for its interval.

    Parameters
    ----------
    curves : dict of str to tuple
        For each name ``n_labels, mean, low, high``, arrays of shape (n_stages,); `low` and `high` are
        None or NaN where there is no interval.
    score_name : str, default="score"
        Names the vertical axis.
    confidence : float, default=0.95
        Of the intervals; said in the picture.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from skal import LearningCurveDisplay
    >>> curves = {"Margin": ([20, 30, 40], [0.5, 0.7, 0.8], None, None)}
    >>> display = LearningCurveDisplay(curves, score_name="accuracy").plot()
    >>> display.ax_.get_ylabel()
    'accuracy'
    """

    def __init__(self, curves, *, score_name="score", confidence=0.95):
        self.curves = curves
        self.score_name = score_name
        self.confidence = confidence

    @classmethod
    def from_comparison(cls, comparison, *, confidence=0.95):
        """The curves of a `skal.evaluation.Comparison`, averaged over its seeds.

        Parameters
        ----------
        comparison : Comparison
        confidence : float in (0, 1), default=0.95
            Of the interval of the mean at each number of labels, by Student's t.

        Returns
        -------
        LearningCurveDisplay
        """
        curves = {}
        for name in comparison.learners:
            n_labels, scores = comparison.curve(name)
            curves[name] = n_labels, scores.mean(axis=0), *mean_interval(scores, confidence)
        return cls(curves, score_name=comparison.score_name, confidence=confidence)

    @classmethod
    def from_learner(cls, learner, X, y, *, name=None):
        """The score of one fitted `ActiveLearner` after each round, on held-out rows: the accuracy, mostly.

        Parameters
        ----------
        learner : ActiveLearner
            Fitted, with ``keep_models=True``.
        X : array-like of shape (n_rows, ...)
        y : array-like of shape (n_rows,)
        name : str or None, default=None
            For the legend; None means the strategy.

        Returns
        -------
        LearningCurveDisplay
        """
        n_labels = np.array([stage["n_labeled"] for stage in learner.history_])
        scores = np.array(list(learner.staged_score(X, y)))
        name = type(learner.strategy_).__name__ if name is None else name
        score_name = "score" if labels_pixels(learner) else "accuracy"
        return cls({name: (n_labels, scores, None, None)}, score_name=score_name)

    def plot(self, ax=None):
        """Draw into `ax`, or into a new figure of pyplot's; -> self.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
        """
        ax = _new_axes(*self._size()) if ax is None else ax
        has_band = [self._draw(ax, number, name) for number, name in enumerate(self.curves)]
        ax.set_xlabel("labels")
        ax.set_ylabel(self.score_name.replace("_", " "))
        ax.grid(color="#e6e6e6", linewidth=0.8)
        ax.set_axisbelow(True)
        ax.spines[["top", "right"]].set_visible(False)
        band = f"mean and {100 * self.confidence:g} % interval" if any(has_band) else None
        self._legend(ax, band)
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _size(self):
        return 7.2, 4.5

    def _draw(self, ax, number, name):
        n_labels, mean, low, high = self.curves[name]
        color = _COLORS[number % len(_COLORS)]
        ax.plot(
            n_labels,
            mean,
            label=name,
            color=color,
            marker=_MARKERS[number % len(_MARKERS)],
            linestyle=_LINES[number // len(_COLORS) % len(_LINES)],
            markersize=4.5,
            markeredgecolor="white",
            markeredgewidth=0.6,
            linewidth=1.8,
        )
        has_band = low is not None and bool(np.isfinite(low).all())
        if has_band:
            ax.fill_between(n_labels, low, high, color=color, alpha=0.15, linewidth=0)
        return has_band

    def _legend(self, ax, band):
        handles, names = ax.get_legend_handles_labels()
        final = {name: np.asarray(mean)[-1] for name, (_, mean, _, _) in self.curves.items()}
        # The order of the curves at their right end, so that the eye finds them without the colours.
        order = sorted(range(len(names)), key=lambda i: -final.get(names[i], np.inf))
        legend = ax.legend(
            [handles[i] for i in order],
            [names[i] for i in order],
            loc="lower right",
            frameon=False,
            title=band,
            title_fontsize="small",
        )
        legend.set_alignment("left")


class BatchDisplay:
    """Images side by side, each under its title: those that a strategy asked for.

    Parameters
    ----------
    images : array-like of shape (n, height, width) or (n, height, width, 3), or list of images
        Grey or colour. Those of different sizes are drawn equally large.
    titles : sequence of str or None, default=None
        One for each image.
    masks : array-like of int of shape (n, height, width), list of masks, or None, default=None
        The class of each pixel, drawn over the images in a colour for each class from 1 on. The class 0, the
        ground, is left as it is, as are pixels with the mark -1, and images whose mask is None.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skal import BatchDisplay
    >>> digits = load_digits()
    >>> display = BatchDisplay.from_images(digits.data, [5, 17, 8], image_shape=(8, 8)).plot()
    >>> display.titles
    ['5', '17', '8']
    """

    def __init__(self, images, titles=None, masks=None):
        self.images = images
        self.titles = titles
        self.masks = masks

    @classmethod
    def from_images(cls, X, rows, titles=None, *, masks=None, image_shape=None):
        """Some rows of X as images.

        Parameters
        ----------
        X : array-like of shape (n_rows, ...)
            Images of shape (height, width), (height, width, 1 or 3) or (1 or 3, height, width), or
            flat ones.
        rows : array-like of int of shape (n,)
        titles : sequence of str or None, default=None
            None means the row numbers.
        masks : array-like of shape (n_rows, height, width), list of masks, or None, default=None
            Of all rows of X.
        image_shape : tuple of int or None, default=None
            The shape of one image, where rows are flat.

        Returns
        -------
        BatchDisplay
        """
        rows = np.asarray(rows, dtype=int)
        images = take(X, rows)
        try:
            images = np.asarray(images)
        except ValueError:  # images of different sizes
            images = as_objects(images)
        if image_shape is not None:
            images = images.reshape(len(rows), *image_shape)
        titles = [str(row) for row in rows.tolist()] if titles is None else list(titles)
        return cls(_drawable(images), titles, None if masks is None else labels.as_array(masks)[rows])

    @classmethod
    def from_learner(cls, learner, X, y=None, *, n=20, image_shape=None):
        """The first images that a fitted `ActiveLearner` asked for, in that order.

        Parameters
        ----------
        learner : ActiveLearner
            Fitted on X.
        X : array-like of shape (n_rows, ...)
        y : array-like of shape (n_rows,) or None, default=None
            Titles, or masks, which are drawn over the images. None means the row numbers.
        n : int, default=20
            How many images, at most.
        image_shape : tuple of int or None, default=None
            The shape of one image, where rows are flat.

        Returns
        -------
        BatchDisplay
        """
        rows = np.concatenate([[], *(stage["rows"] for stage in learner.history_[1:])])[:n].astype(int)
        y = None if y is None else labels.as_array(y)
        if y is not None and labels.are_masks(y):
            return cls.from_images(X, rows, masks=_marked(y, mark_for(learner)), image_shape=image_shape)
        titles = None if y is None else [str(label) for label in y[rows].tolist()]
        return cls.from_images(X, rows, titles, image_shape=image_shape)

    def plot(self, ax=None, *, n_columns=10):
        """Draw into `ax`, or into a new figure of pyplot's; -> self.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
        n_columns : int, default=10
            Images in a line.
        """
        n, (height, width) = len(self.images), self._cell()
        n_columns, n_lines = self._lines(n_columns)
        has_titles = bool(self.titles)
        ax = _new_axes(*self._size(n_columns)) if ax is None else ax
        # Room between images, in shares of an image: across, and downwards for the titles.
        step = np.array([width * 1.12, height * (1.42 if has_titles else 1.12)])
        limits = [(image.min(), image.max()) for image in self.images]
        grey = {"cmap": "gray", "vmin": min(limits)[0], "vmax": max(high for _, high in limits)} if n else {}
        for i in range(n):
            left, top = step * (i % n_columns, i // n_columns)
            extent = _fitted(self.images[i].shape, height, width, left, top)
            ax.imshow(self.images[i], extent=extent, **grey)
            if self.masks is not None and self.masks[i] is not None:
                ax.imshow(_colored(np.asarray(self.masks[i])), extent=extent, interpolation="nearest")
            if has_titles:
                ax.text(left + width / 2, top - 0.06 * height, self.titles[i], ha="center", fontsize=8)
        ax.set_xlim(-0.06 * width, step[0] * n_columns - 0.06 * width)
        ax.set_ylim(step[1] * n_lines - 0.36 * height, -0.36 * height)
        ax.set_aspect("equal")
        ax.set_axis_off()
        self.ax_, self.figure_ = ax, ax.figure
        return self

    def _cell(self):
        """Height and width that an image has room for: those of the largest."""
        if isinstance(self.images, np.ndarray) and self.images.dtype != object:
            return self.images.shape[1:3]
        sizes = [image.shape[:2] for image in self.images]
        return tuple(np.max(sizes, axis=0)) if sizes else (1, 1)

    def _lines(self, n_columns):
        """Images in a line, and lines."""
        n_columns = max(1, min(n_columns, len(self.images)))
        return n_columns, max(1, ceil(len(self.images) / n_columns))

    def _size(self, n_columns=10):
        n_columns, n_lines = self._lines(n_columns)
        height, width = self._cell()
        return 0.8 * n_columns, (1.06 if self.titles else 0.8) * n_lines * height / width


def png(display, *, title=None, dpi=150):
    """A display as the bytes of a PNG, drawn outside pyplot: no window, and no figure that stays open."""
    from io import BytesIO

    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure, content = Figure(figsize=display._size(), layout="constrained"), BytesIO()
    display.plot(ax=figure.subplots())
    if title is not None:
        display.ax_.set_title(title, loc="left", fontsize="small")
    FigureCanvasAgg(figure).print_figure(content, format="png", dpi=dpi)
    return content.getvalue()


def _fitted(shape, height, width, left, top):
    """The extent of an image, scaled to fit into a cell, and in its middle."""
    scale = min(height / shape[0], width / shape[1])
    down, across = (height - scale * shape[0]) / 2, (width - scale * shape[1]) / 2
    return left + across, left + width - across, top + height - down, top + down


def _marked(masks, mark):
    """Masks with -1 where a pixel has the mark."""
    if mark in ("auto", -1):
        return masks
    hidden = [None if mask is None else np.where(mask == mark, -1, mask.astype(np.int64)) for mask in masks]
    return as_objects(hidden)


def _colored(mask):
    """Half transparent colours for the classes from 1 on, nothing elsewhere; (h, w) -> (h, w, 4)."""
    from matplotlib.colors import to_rgba_array

    # From the second colour on: the first is grey, as images are.
    colors = to_rgba_array(_COLORS[1:], alpha=0.45)
    shown = colors[(mask - 1) % len(colors)]
    shown[mask < 1] = 0
    return shown


def _new_axes(width, height):
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(width, height), layout="constrained")[1]


def can_draw(row_shape):
    """Whether rows of this shape are images that `BatchDisplay` draws."""
    return len(row_shape) == 2 or (
        len(row_shape) == 3 and (row_shape[-1] in (1, 3) or row_shape[0] in (1, 3))
    )


def _drawable(images):
    """Images with the channels where matplotlib wants them; -> (n, h, w) or (n, h, w, 3), or objects."""
    if images.dtype == object and images.ndim == 1:  # images of different sizes
        return as_objects([_drawable(np.asarray(image)[np.newaxis])[0] for image in images])
    if not can_draw(images.shape[1:]):
        raise ValueError(
            f"BatchDisplay draws images of shape (h, w), (h, w, 3) or (3, h, w), and got rows of shape "
            f"{images.shape[1:]}; pass image_shape= if they are flat."
        )
    if images.ndim == 4 and images.shape[-1] not in (1, 3):
        images = np.moveaxis(images, 1, -1)
    if images.ndim == 4 and images.shape[-1] == 1:
        images = images[..., 0]
    if images.ndim == 4 and images.dtype != np.uint8:
        low, high = float(images.min(initial=0)), float(images.max(initial=1))
        images = (images - low) / (high - low)
    return images
