"""The strategies of the documentation's page keep the contract."""

import doctest
import sys
from pathlib import Path
from types import ModuleType

import pytest

from skal.testing import query_strategy_checks

PAGE = Path(__file__).parent.parent / "docs" / "write_your_own.rst"


def _strategies():
    # A module of its own, so that the classes of the page can be pickled.
    module = ModuleType("write_your_own")
    sys.modules[module.__name__] = module
    for example in doctest.DocTestParser().get_examples(PAGE.read_text()):
        if example.source.startswith(("from", "import", "class")):
            exec(compile(example.source, str(PAGE), "exec"), vars(module))
    return [module.Gini(), module.Tsallis(q=1.5), module.Range(n_draws=10), module.SpreadMargin()]


@pytest.mark.parametrize(
    "check",
    [
        pytest.param(check, id=f"{strategy!r}-{name}")
        for strategy in _strategies()
        for name, check in query_strategy_checks(strategy)
    ],
)
def test_contract(check):
    check()
