"""One page with a section for each recipe: formula, classes, curve, and what the paper claims."""

from html import escape
from string import Template

from skal._papers import PAPERS
from skal._runs import write_atomically
from skal._statistics import mean_interval
from skal.plotting import LearningCurveDisplay, png
from skal.report import STYLE, html_picture, with_interval

__all__ = ["write_page"]


def write_page(path, comparison, *, about, remarks, facts):
    """Write the page.

    Parameters
    ----------
    path : Path
    comparison : Comparison
        Of recipes, by their names, and Random.
    about : str
        What data they ran on.
    remarks : list of str
        What a reader has to know about the numbers.
    facts : dict of str to str
        What was run.
    """
    summary = comparison.summary("Random")
    names = [name for name in comparison.learners if name in PAPERS]
    pilot = "; a pilot, which claims nothing" if summary.is_pilot else ""
    seeds = f"{summary.n_seeds} seed{'s' * (summary.n_seeds > 1)}{pilot}"
    page = _PAGE.substitute(
        style=STYLE,
        about=escape(f"{about}; {seeds}"),
        contents="".join(f'<li><a href="#{name}">{escape(PAPERS[name].title)}</a></li>' for name in names),
        sections="".join(_section(name, comparison, summary) for name in names),
        remarks="".join(f"<li>{escape(remark)}</li>" for remark in remarks),
        facts="".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in facts.items()),
    )
    write_atomically(path, page)


def _section(name, comparison, summary):
    paper, learner = PAPERS[name], summary[name]
    gain = with_interval(learner.difference, learner.difference_interval)
    return _SECTION.substitute(
        name=name,
        title=escape(paper.title),
        cite=escape(paper.cite),
        formula=escape(paper.formula),
        says=escape(paper.says),
        classes=", ".join(f"<code>skal.{escape(each)}</code>" for each in paper.classes),
        claim=escape(paper.claim),
        here=escape(f"area under the curve minus Random's: {gain} ({learner.verdict})"),
        curve=html_picture(_curve(name, comparison), f"Learning curves of {name} and of Random"),
    )


def _curve(name, comparison):
    curves = {}
    for each in ("Random", name):
        n_labels, scores = comparison.curve(each)
        curves[each] = n_labels, scores.mean(axis=0), *mean_interval(scores)
    return png(LearningCurveDisplay(curves, score_name=comparison.score_name), dpi=100)


_SECTION = Template("""
<h2 id="$name">$title</h2>
<p class="cite">$cite</p>
<p class="formula">$formula</p>
<p>$says</p>
<dl>
<dt>In skal</dt><dd><code>skal.recipes.$name()</code>, of $classes</dd>
<dt>The paper claims</dt><dd>$claim</dd>
<dt>Here</dt><dd>$here</dd>
</dl>
$curve
""")

_PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Nine papers of deep active learning</title>
<style>
$style
.formula { font: 1.15rem/1.5 "STIX Two Math", "Cambria Math", Georgia, serif; margin: 1rem 0 1rem 1.2rem; }
.cite { color: #555; font-size: 0.9rem; margin-top: 0.2rem; }
</style>
</head>
<body>
<h1>Nine papers of deep active learning</h1>
<p class="headline">$about</p>
<ol>$contents</ol>
$sections
<h2>How to read the curves</h2>
<ul class="notes">$remarks</ul>
<h2>What was run</h2>
<dl>$facts</dl>
</body>
</html>
""")
