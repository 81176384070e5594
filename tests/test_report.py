import re
from html.parser import HTMLParser

import numpy as np
import pytest
from test_summary import comparison, curves

from skal.report import text_table


class Page(HTMLParser):
    """Tags that are open, attributes and visible text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.attributes, self.text = [], [], ""
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.attributes += attrs
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def page(tmp_path, of, X=None, facts=None):
    of.to_html(tmp_path / "report.html", X, about="mine <i>", remarks=["take <b>care</b>"], facts=facts)
    return (tmp_path / "report.html").read_text(encoding="utf-8")


def test_the_page_refers_to_nothing_outside(tmp_path):
    text = page(tmp_path, comparison(Random=curves(), A=curves(seed=1)), np.zeros((20, 8, 8)))
    parsed = Page(text)
    assert parsed.open == []
    sources = [
        value for name, value in parsed.attributes if name in ("src", "href", "srcset", "data", "action")
    ]
    assert len(sources) == 3  # the curves, and images for two learners
    assert all(source.startswith("data:image/png;base64,") for source in sources)
    without_pictures = re.sub(r"base64,[A-Za-z0-9+/=]+", "", text)
    assert not re.search(r"https?:|//|url\(|@import|<script|<link", without_pictures)


def test_names_and_facts_are_escaped(tmp_path):
    nasty = "<script>alert('&')</script>"
    text = page(tmp_path, comparison(**{"Random": curves(), nasty: curves(seed=1)}), facts={nasty: nasty})
    assert "<script" not in text
    assert Page(text).text.count(nasty) >= 5
    assert "mine <i>" in Page(text).text
    assert "take <b>care</b>" in Page(text).text


def test_the_page_says_what_was_run(tmp_path):
    text = Page(page(tmp_path, comparison(Random=curves()), facts={"command": "skal compare"})).text
    assert "skal compare" in text
    assert "scikit-learn" in text


def test_page_and_table_have_the_same_numbers(tmp_path):
    of = comparison(Random=curves(), A=curves(seed=1))
    text = Page(page(tmp_path, of)).text
    for number in re.findall(r"[+-]?\d\.\d{3}", of.table()):
        assert number in text


@pytest.mark.parametrize("name", ["A", "Subsample(size=1000, strategy=Entropy()) @ logistic", "x" * 300])
@pytest.mark.parametrize("n_seeds", [1, 3, 100])
def test_the_table_fits_the_terminal_and_is_aligned(name, n_seeds):
    table = comparison(**{"Random": curves(n_seeds), name: curves(n_seeds, seed=1) - 0.2}).table()
    assert max(map(len, table.splitlines())) <= 100
    lines = table.splitlines()
    for rule in [i for i, line in enumerate(lines) if line.startswith("---")]:
        block = lines[rule + 1 : lines.index("", rule)]
        assert len({len(line) for line in [lines[rule], *block]}) == 1


def test_one_learner_has_no_differences():
    assert "minus" not in comparison(Random=curves()).table()


def test_a_pilot_says_so():
    assert "it claims nothing" in comparison(Random=curves(3), A=curves(3)).table()
    assert "pilot" not in comparison(Random=curves(10), A=curves(10)).table()


def test_curves_that_share_nothing_have_a_table(tmp_path):
    of = comparison(Random=curves(), Late=(np.array([200, 300]), curves(10, 2)))
    assert "not comparable" in text_table(of.summary())
    page(tmp_path, of)


def test_long_names_are_whole_beside_a_long_baseline():
    names = ["Random around a deterministic net", "Entropy around a deterministic net"]
    of = comparison(**{names[0]: curves(), names[1]: curves(seed=1)})
    text = text_table(of.summary(baseline=names[0]))
    assert "…" not in text
    assert f"difference: of the area from that of {names[0]}" in " ".join(text.split())
    assert "area minus A's" in text_table(comparison(A=curves(), B=curves(seed=1)).summary(baseline="A"))
