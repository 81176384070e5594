"""Strategies and models by name, as the command line takes them: parsed, never evaluated."""

import ast
from difflib import get_close_matches
from inspect import signature

from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skal import strategies
from skal.strategies import QueryStrategy

__all__ = ["MODELS", "model", "strategy", "unknown"]

MODELS = ("cnn", "mlp", "logistic", "forest")


def strategy(text):
    """The strategy that a text such as "Subsample(Entropy(), size=1000)" names.

    Names of `skal.strategies`, with arguments that are Python literals or strategies again.

    Parameters
    ----------
    text : str

    Returns
    -------
    QueryStrategy

    Raises
    ------
    ValueError
        If the text is malformed, or a name is unknown; with the nearest match.

    Examples
    --------
    >>> strategy("Subsample(Entropy(), size=1000)")
    Subsample(size=1000, strategy=Entropy())
    """
    try:
        node = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise ValueError(f"{text!r} is not a strategy; write it as in 'Margin()'.") from error
    return _strategy(node, text)


def model(name, row_shape, max_epochs):
    """The model of a name in `MODELS`, for rows of a shape.

    Parameters
    ----------
    name : str
    row_shape : tuple of int
        Shape of one row of X; more than one dimension is an image, in uint8 or in [0, 1].
    max_epochs : int
        Of nets.

    Returns
    -------
    classifier
        On one thread, so that its numbers do not depend on the machine.
    """
    if name not in MODELS:
        raise ValueError(unknown("model", name, MODELS))
    is_image = len(row_shape) > 1
    if name == "cnn" and not is_image:
        raise ValueError("The model 'cnn' needs images, and X is a table; use 'mlp'.")
    if name in ("cnn", "mlp"):
        return _net(name, max_epochs) if is_image else make_pipeline(StandardScaler(), _net(name, max_epochs))
    final = LogisticRegression(max_iter=2000) if name == "logistic" else RandomForestClassifier()
    # Images keep their common scale: a pixel that is constant over 20 labelled images has no other.
    return make_pipeline(FunctionTransformer(flat) if is_image else StandardScaler(), final)


def flat(X):
    """Images as rows of numbers in [0, 1], from uint8 or from such; (n, ...) -> (n, m) float32."""
    return X.reshape(len(X), -1).astype("float32") / (255 if X.dtype == "uint8" else 1)


def _net(name, max_epochs):
    from skal.nets import NetClassifier
    from skal.nets.modules import SmallCNN, SmallMLP

    # Half of SmallCNN's usual channels: twice as fast on a CPU, and close in accuracy with few labels.
    module, params = (SmallCNN, {"module__channels": (16, 32)}) if name == "cnn" else (SmallMLP, {})
    return NetClassifier(module, max_epochs=max_epochs, n_threads=1, **params)


def _strategy(node, text):
    call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
    if not isinstance(call.func, ast.Name):
        raise ValueError(f"{text!r} is not a strategy; write it as in 'Margin()'.")
    name, classes = call.func.id, strategies.concrete()
    if name not in classes:
        raise ValueError(unknown("strategy", name, classes))
    parameters = [parameter for parameter in signature(classes[name]).parameters if parameter != "estimator"]
    for keyword in call.keywords:
        if keyword.arg not in parameters:
            raise ValueError(unknown(f"parameter of {name}", keyword.arg or "**", parameters))
    values = [_value(argument, text) for argument in call.args]
    named = {keyword.arg: _value(keyword.value, text) for keyword in call.keywords}
    if not all(isinstance(value, QueryStrategy) for value in values):
        raise ValueError(f"{text!r}: give the parameters of {name} by name ({', '.join(parameters)}).")
    try:
        built = classes[name](*values, **named)
    except TypeError as error:
        raise ValueError(f"{text!r} can't be made: {error}.") from error
    built._validate_params()
    return built


def _value(node, text):
    if isinstance(node, ast.Call) or (isinstance(node, ast.Name) and node.id in strategies.concrete()):
        return _strategy(node, text)
    try:
        return ast.literal_eval(node)
    except ValueError as error:
        written = ast.unparse(node)
        raise ValueError(
            f"{written!r} in {text!r} is no number, text in quotes, True, False, None or strategy."
        ) from error


def unknown(kind, name, known):
    """The sentence that refuses a name, with the nearest one that there is."""
    if not known:
        return f"There is no {kind} {name!r}; there are none."
    near = get_close_matches(name.lower(), [other.lower() for other in known], n=1, cutoff=0)[0]
    near = next(other for other in known if other.lower() == near)
    return f"There is no {kind} {name!r}; the nearest is {near!r}. There are {', '.join(known)}."
