"""The summary of a comparison for people: a table for the terminal, and one HTML page."""

import base64
import platform
import textwrap
from html import escape
from importlib.metadata import version
from string import Template

import numpy as np

from skal import __version__
from skal._runs import write_atomically
from skal._summary import MIN_SEEDS

__all__ = ["STYLE", "html_picture", "text_table", "with_interval", "write_html"]

WIDTH = 100


def text_table(summary):
    """A `Summary` as lines of at most 100 columns: areas and labels needed, then differences.

    Parameters
    ----------
    summary : Summary

    Returns
    -------
    str
    """
    first, second = _curve_cells(summary), _difference_cells(summary)
    parts = [_headline(summary), "", _aligned(first)]
    if len(summary.learners) > 1:
        parts += ["", _aligned(second)]
    return "\n".join([*parts, "", *(line for note in notes(summary) for line in _wrapped(note))])


def notes(summary):
    """What a reader has to know about the numbers; -> list of sentences."""
    percent = _percent(summary)
    said = [
        f"area: mean {_name(summary)} over the curve from {_range(summary)} labels, with the {percent} "
        "interval of the mean."
        if summary.label_range
        else "The curves share no number of labels, so their areas can't be compared.",
        "labels: the median over seeds of the labels at which a run first had that score; (k/n): only k of n "
        "seeds had it.",
    ]
    if len(summary.learners) > 1:
        said.append(
            f"difference: of the area from that of {summary.baseline} with the same seeds; the intervals "
            f"cover together with {percent} ({summary.n_comparisons} compared). detectable: the smallest "
            "true difference that these seeds would have shown with a probability of 80 %."
        )
    if summary.ranges_differ and summary.label_range:
        said.append(
            "Some curves go beyond this range of labels; what lies outside is in the picture, not in the "
            "areas."
        )
    if summary.is_pilot:
        said.append(
            f"With {summary.n_seeds} seed{'s' * (summary.n_seeds > 1)} this is a pilot: it claims nothing. "
            f"Use {MIN_SEEDS} or more."
        )
    return said


def write_html(path, comparison, X=None, *, masks=None, about="", remarks=(), facts=None):
    """Write the report of a comparison; see `Comparison.to_html`."""
    summary = comparison.summary()
    page = _PAGE.substitute(
        style=STYLE,
        title=escape(f"skal compare: {', '.join(comparison.learners)}"),
        headline="<br>".join(escape(line) for line in (about, _headline(summary)) if line),
        verdicts=_html_verdicts(summary),
        curves=html_picture(_curve_png(comparison), f"Learning curves of {', '.join(comparison.learners)}"),
        tables=_html_table(_curve_cells(summary))
        + (_html_table(_difference_cells(summary)) if len(summary.learners) > 1 else ""),
        notes="".join(f"<li>{escape(note)}</li>" for note in (*notes(summary), *remarks)),
        images="" if X is None else _html_images(comparison, X, masks),
        facts="".join(
            f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>"
            for name, value in ((facts or {}) | _timing(comparison) | _versions()).items()
        ),
    )
    write_atomically(path, page)


# -- cells, the same for both ------------------------------------------------------------------------


def _headline(summary):
    seeds = f"{summary.n_seeds} seed{'s' * (summary.n_seeds > 1)}"
    pilot = " · pilot, no claim" if summary.is_pilot else ""
    between = f" · {_range(summary)} labels" if summary.label_range else ""
    return f"{_name(summary)}{between} · {seeds}{pilot}"


def _curve_cells(summary):
    digits = max((len(f"{level:g}".partition(".")[2]) for level in summary.levels), default=0)
    levels = [f"labels to {level:.{digits}f}" for level in summary.levels]
    head = ["learner", "area", f"{_percent(summary)} interval", *levels]
    return [head] + [
        [
            learner.name,
            f"{learner.area:.3f}",
            _interval(learner.area_interval, ".3f"),
            *(
                _labels(summary, labels, n)
                for labels, n in zip(learner.labels_needed, learner.n_reached, strict=True)
            ),
        ]
        for learner in summary.learners
    ]


def _difference_cells(summary):
    is_short = len(summary.baseline) <= 12  # a wide head would leave the learners no room for their names
    head = [
        "learner",
        f"area minus {summary.baseline}'s" if is_short else "difference",
        f"{_percent(summary)} interval",
        "detectable",
        "verdict",
    ]
    return [head] + [
        [
            learner.name,
            f"{learner.difference:+.3f}",
            _interval(learner.difference_interval, "+.3f"),
            f"{learner.detectable:.3f}" if np.isfinite(learner.detectable) else "-",
            learner.verdict,
        ]
        for learner in summary.learners
        if learner.name != summary.baseline
    ]


def _interval(interval, form):
    low, high = interval
    return f"[{low:{form}}, {high:{form}}]" if np.isfinite(low) else "-"


def with_interval(value, interval):
    """A difference and its interval, as text."""
    return f"{value:+.3f} {_interval(interval, '+.3f')}".removesuffix(" -")


def _labels(summary, labels, n_reached):
    text = f"{labels:g}" if np.isfinite(labels) else "-"
    return text if n_reached == summary.n_seeds else f"{text} ({n_reached}/{summary.n_seeds})"


def _percent(summary):
    return f"{100 * summary.confidence:g} %"


def _name(summary):
    return summary.score_name.replace("_", " ")


def _range(summary):
    return " to ".join(f"{end:g}" for end in summary.label_range)


# -- text --------------------------------------------------------------------------------------------


def _aligned(cells):
    """Lines with the first and last column to the left, numbers to the right where heads allow."""
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    widths[0] = min(widths[0], max(12, WIDTH - sum(widths[1:]) - 2 * (len(widths) - 1)))
    lines = []
    for row in cells:
        name, *rest = row
        fitted = [_clipped(name, widths[0]).ljust(widths[0])]
        fitted += [cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True)]
        lines.append("  ".join(fitted).rstrip())
    rule = "-" * max(map(len, lines))
    return "\n".join([lines[0], rule, *lines[1:]])


def _clipped(text, width):
    # The end of a long name tells strategies apart as much as its beginning.
    keep = width - 1
    return text if len(text) <= width else f"{text[: keep - keep // 2]}…{text[-(keep // 2) :]}"


def _wrapped(text):
    return textwrap.wrap(text, WIDTH, subsequent_indent="  ")


# -- HTML --------------------------------------------------------------------------------------------


def _html_table(cells):
    head = "".join(f"<th>{escape(cell)}</th>" for cell in cells[0])
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in cells[1:]
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _html_verdicts(summary):
    return "".join(
        f"<li><b>{escape(learner.name)}</b> against {escape(summary.baseline)}: "
        f'<span class="{learner.verdict.split()[0].strip(",")}">{escape(learner.verdict)}</span>'
        f" ({escape(with_interval(learner.difference, learner.difference_interval))})</li>"
        for learner in summary.learners
        if learner.name != summary.baseline
    )


def _html_images(comparison, X, masks):
    from skal.plotting import BatchDisplay, png

    parts = []
    for name in comparison.learners:
        rows = comparison.first_queried(name)
        if len(rows) == 0:
            continue
        picture = png(BatchDisplay.from_images(X, rows, masks=masks), dpi=110)
        parts.append(
            f"<h3>{escape(name)}</h3>" + html_picture(picture, f"Images that {name} asked for first")
        )
    said = (
        "In the order in which they were asked for with the first seed, after the first random rows, which "
        "are the same for all learners. Numbers are row numbers."
    )
    return f"<h2>Images asked for first</h2><p>{said}</p>{''.join(parts)}"


def html_picture(picture, alt):
    """The bytes of a PNG as an element of HTML."""
    return f'<img alt="{escape(alt)}" src="data:image/png;base64,{base64.b64encode(picture).decode()}">'


def _curve_png(comparison):
    from skal.plotting import LearningCurveDisplay, png

    return png(LearningCurveDisplay.from_comparison(comparison))


def _timing(comparison):
    seconds = {name: comparison.seconds(name) for name in comparison.learners}
    return {
        "seconds per fit, per selection (median)": "; ".join(
            f"{name} {fit:.3g}, {select:.3g}" for name, (fit, select) in seconds.items()
        )
    }


def _versions():
    packages = ("scikit-learn", "torch", "skorch", "numpy", "scipy")
    listed = ", ".join(f"{package} {version(package)}" for package in packages)
    return {"versions": f"skal {__version__}, Python {platform.python_version()}, {listed}"}


STYLE = """\
body { font: 16px/1.5 system-ui, sans-serif; color: #222; background: #fff; max-width: 60rem;
       margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; margin-bottom: 0; }
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid #ddd; }
h3 { font-size: 1rem; margin: 1.2rem 0 0.2rem; }
.headline { color: #555; margin-top: 0.2rem; }
img { max-width: 100%; height: auto; }
table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums; font-size: 0.92rem; }
th, td { padding: 0.3rem 0.8rem; text-align: right; border-bottom: 1px solid #e4e4e4; }
th { border-bottom: 2px solid #999; font-weight: 600; }
th:first-child, td:first-child { text-align: left; }
.better { color: #00664b; font-weight: 600; }
.worse { color: #a33c00; font-weight: 600; }
.notes, dl { font-size: 0.9rem; color: #444; }
dt { font-weight: 600; margin-top: 0.4rem; }
dd { margin-left: 1.2rem; overflow-wrap: anywhere; white-space: pre-wrap; }"""

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
$style
</style>
</head>
<body>
<h1>Who needs fewer labels?</h1>
<p class="headline">$headline</p>
<ul>$verdicts</ul>
$curves
$tables
<ul class="notes">$notes</ul>
$images
<h2>What was run</h2>
<dl>$facts</dl>
</body>
</html>
""")
