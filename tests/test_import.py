"""`import skal` is light, and every name it promises is there."""

import subprocess
import sys

import pytest

import skal


def test_import_loads_neither_torch_nor_matplotlib():
    script = (
        "import sys, skal; from skal import ActiveLearner, learning_curve_auc; import skal.testing;"
        "from skal import strategies, acquisition, selection, loop, pool;"
        "dir(skal);"
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'torch', 'matplotlib', 'skorch'}))"
    )
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_bare_import_leaves_scikit_learn_for_later():
    script = "import sys, skal; print('sklearn' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_dir_shows_what_there_is():
    shown = set(dir(skal))
    assert set(skal.__all__) <= shown
    assert {"strategies", "acquisition", "loop", "testing", "ActiveLearner"} <= shown


@pytest.mark.parametrize("name", skal.__all__)
def test_every_public_name_resolves(name):
    assert getattr(skal, name) is not None


@pytest.mark.parametrize("module", sorted(skal._MODULES))
def test_every_module_resolves_and_keeps_its_list(module):
    loaded = getattr(skal, module)
    for name in getattr(loaded, "__all__", []):
        assert hasattr(loaded, name)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'Marjin'"):
        skal.Marjin  # noqa: B018
