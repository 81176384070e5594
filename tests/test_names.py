import numpy as np
import pytest
from sklearn.base import clone

from skal import _names, strategies
from skal._names import MODELS, model, strategy
from skal.strategies import Entropy, Margin, Random, StrategyWrapper, Subsample


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Margin()", Margin()),
        (" Margin ", Margin()),
        ("Random(random_state=3)", Random(random_state=3)),
        ("Subsample(Entropy(), size=1000)", Subsample(Entropy(), size=1000)),
        (
            "Subsample(strategy=Subsample(Margin, size=0.5), size=1_000)",
            Subsample(Subsample(Margin(), size=0.5), size=1000),
        ),
    ],
)
def test_a_text_names_a_strategy(text, expected):
    assert repr(strategy(text)) == repr(expected)


@pytest.mark.parametrize("name", list(strategies.concrete()))
def test_every_strategy_has_a_name(name):
    is_wrapper = issubclass(strategies.concrete()[name], StrategyWrapper)
    text = f"{name}(Random())" if is_wrapper else name
    built = strategy(text)
    assert type(built).__name__ == name
    assert repr(strategy(repr(built))) == repr(built)
    clone(built)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Margn()", "no strategy 'Margn'; the nearest is 'Margin'"),
        ("margin()", "nearest is 'Margin'"),
        ("QueryStrategy()", "no strategy 'QueryStrategy'"),
        ("Subsample(Entropi(), size=3)", "nearest is 'Entropy'"),
        ("Subsample(Entropy(), sise=3)", "no parameter of Subsample 'sise'; the nearest is 'size'"),
        ("Margin(estimator=None)", "no parameter of Margin 'estimator'"),
        ("Margin(3)", "by name"),
        ("Subsample()", "can't be made"),
        ("Subsample(Margin(), strategy=Margin())", "can't be made"),
        ("Subsample(Margin(), size=-1)", "size"),
        ("Margin(", "write it as in"),
        ("", "write it as in"),
        ("1 + 1", "write it as in"),
        ("skal.strategies.Margin()", "write it as in"),
        ("Margin(**{})", "no parameter of Margin"),
        ("Margin(random_state=__import__('os').system('true'))", "write it as in"),
        ("Margin(random_state=[x for x in (1,)])", "no number"),
        ("Margin(random_state=print)", "no number"),
    ],
)
def test_mistakes_are_named_and_nothing_is_run(text, said):
    with pytest.raises(ValueError, match=said):
        strategy(text)


def test_an_unknown_model_gets_the_nearest():
    with pytest.raises(ValueError, match="no model 'forrest'; the nearest is 'forest'"):
        model("forrest", (8, 8), 1)
    with pytest.raises(ValueError, match="needs images"):
        model("cnn", (64,), 1)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("shape", [(8, 8), (3, 8, 8), (5,)])
def test_models_fit_images_and_tables(name, shape):
    if name == "cnn" and len(shape) == 1:
        return
    X = np.random.RandomState(0).uniform(size=(30, *shape)).astype(np.float32)
    y = np.arange(30) % 3
    assert model(name, shape, 2).fit(X, y).predict_proba(X).shape == (30, 3)


def test_flat_images_are_scaled_by_their_type():
    images = np.full((2, 3, 3), 255, dtype=np.uint8)
    np.testing.assert_array_equal(_names.flat(images), np.ones((2, 9)))
    np.testing.assert_array_equal(_names.flat(np.full((2, 3, 3), 0.5)), np.full((2, 9), 0.5))
