"""What `skal compare` does: data, learners, runs, and the files it leaves."""

import shlex
import time
from datetime import datetime

import joblib
import numpy as np

from skal import ActiveLearner, LearningCurveDisplay, compare, datasets
from skal._names import model, strategy, unknown
from skal._recipe_page import write_page
from skal._runs import writable_folder, write_atomically
from skal._seeds import derive
from skal.plotting import can_draw, png
from skal.report import text_table

__all__ = ["run"]

DEFAULT = ("Random()", "Margin()", "Entropy()")
CLASSICAL = "Margin() @ logistic"


def run(args, command):
    """Compare as the command line says; returns the exit code."""
    started = time.perf_counter()
    out = writable_folder(args.out, "--out")
    if args.overwrite:
        (out / "curves.csv").unlink(missing_ok=True)
    data, facts = _prepared(datasets.load(args.data), args.pool_size, args.random_state)
    size = len(data.X) if data.X_test is not None else len(data.X) - len(data.X) // 4
    if args.n_initial > size:
        raise ValueError(f"--n-initial {args.n_initial} is more than the {size} rows of the pool; lower it.")
    learners, remarks, described = (_recipes if args.recipe else _learners)(args, data)
    comparison = compare(
        learners,
        data.X,
        data.y,
        data.X_test,
        data.y_test,
        n_seeds=args.seeds,
        random_state=args.random_state,
        n_jobs=args.jobs or min(joblib.cpu_count(), args.seeds * len(learners)),
        path=out / "curves.csv",
        progress=False if args.quiet else None,
    )
    facts |= described | {
        "command": shlex.join(["skal", *command]),
        "finished": f"{datetime.now():%Y-%m-%d %H:%M}, after {time.perf_counter() - started:.0f} s",
    }
    _write(out, comparison, data, remarks, facts)
    written = {"curves.csv": "all rows", "curves.png": "curves", "report.html": "the report"}
    if args.recipe:
        write_page(out / "recipes.html", comparison, about=facts["data"], remarks=remarks, facts=facts)
        written["recipes.html"] = "the papers, one by one"
    print("\n".join(["", facts["data"], text_table(comparison.summary()), *remarks, ""]))
    for name, what in written.items():
        print(f"{out / name}  ({what})")
    return 0


def _prepared(data, pool_size, random_state):
    """Images on a scale that nets and classical models work with, the pool cut; and what to say of it."""
    n, what = len(data.X), "images" if data.X.ndim > 2 else "rows"
    size = " x ".join(map(str, data.X.shape[1:])) + (" features" if data.X.ndim == 2 else "")
    test = (
        f"{len(data.X_test):,} held out"
        if data.X_test is not None
        else "a quarter held out, anew for each seed"
    )
    said = f"{data.name}: {n:,} {what} of {size}, {test}"
    X, y, X_test = data.X, data.y, data.X_test
    if pool_size is not None and pool_size < n:
        rows = np.random.RandomState(derive(random_state, "pool")).permutation(n)[:pool_size]
        X, y = X[np.sort(rows)], y[np.sort(rows)]
        said = f"{data.name}: a fixed random pool of {pool_size:,} of {n:,} {what} of {size}, {test}"
    X, scale = datasets.scaled(X)
    if X_test is not None:
        X_test, _ = datasets.scaled(X_test, scale)
    if scale != 1:
        said += f", divided by {scale:g}"
    return datasets.Dataset(data.name, X, y, X_test, data.y_test), {"data": said}


def _learners(args, data):
    """The learners by name, remarks on them, and what else the report says of them."""
    main_model = args.model or ("cnn" if data.X.ndim > 2 else "mlp")
    texts = args.strategy or [*DEFAULT, *([CLASSICAL] if args.model is None else [])]
    pairs = [_pair(text, main_model) for text in texts]
    # The baseline joins even if it is not asked for: without it nobody knows what the others are worth.
    if not any(name == "Random" for name, *_ in pairs):
        pairs.insert(0, _pair("Random()", main_model))
    learners = {}
    for name, chosen, model_name in pairs:
        if name in learners:
            raise ValueError(f"--strategy {name!r} is there twice; give each once.")
        learners[name] = ActiveLearner(
            model(model_name, data.X.shape[1:], args.epochs),
            chosen,
            n_initial=args.n_initial,
            batch_size=args.batch_size,
            n_rounds=args.rounds if args.rounds is not None or args.max_labels else 8,
            max_labels=args.max_labels,
        )
    remarks = [
        f"{name} has another model than Random: its difference is that of model and strategy together."
        for name, _, model_name in pairs
        if model_name != main_model
    ]
    models = {model_name: model(model_name, data.X.shape[1:], args.epochs) for *_, model_name in pairs}
    described = {
        "protocol": _protocol(args),
        "strategies": "\n".join(
            f"{name}: {' '.join(repr(chosen).split())} on {model_name}" for name, chosen, model_name in pairs
        ),
        "models": "\n".join(f"{name}: {' '.join(repr(made).split())}" for name, made in models.items()),
    }
    return learners, remarks, described


def _protocol(args):
    return (
        f"{args.n_initial} random rows to start with, then {args.batch_size} a round; "
        f"{args.seeds} seeds from {args.random_state}, paired: the same split, first rows and initial "
        "weights for all; row numbers count within the pool named above"
    )


def _recipes(args, data):
    """The same for the recipes of papers, beside Random with the net that most of them have."""
    from skal.nets import NetClassifier
    from skal.recipes import RECIPES

    if args.strategy or args.model:
        raise ValueError("--recipe brings strategy and model along; leave --strategy and --model out.")
    names = list(RECIPES) if "all" in args.recipe else list(dict.fromkeys(args.recipe))
    for name in names:
        if name not in RECIPES:
            raise ValueError(unknown("recipe", name, ["all", *RECIPES]))
    learners = {"Random": ActiveLearner(NetClassifier(n_threads=1), strategy("Random()"))}
    learners |= {name: RECIPES[name]() for name in names}
    n_rounds = args.rounds if args.rounds is not None or args.max_labels else 8
    rows = {"n_initial": args.n_initial, "batch_size": args.batch_size, "n_rounds": n_rounds}
    for learner in learners.values():
        learner.set_params(**rows, max_labels=args.max_labels)
    remarks = [
        f"{name} has another model than Random: its difference is that of model and strategy together."
        for name in names
        if type(learners[name].estimator) is not NetClassifier
    ]
    described = {
        "protocol": _protocol(args),
        "recipes": "\n".join(f"{name}: {' '.join(repr(made).split())}" for name, made in learners.items()),
    }
    return learners, remarks, described


def _pair(text, main_model):
    """Name, strategy and model of "Margin()" or "Margin() @ logistic"."""
    of_strategy, _, of_model = text.partition("@")
    chosen = strategy(of_strategy)
    name = " ".join(repr(chosen).split()).removesuffix("()")
    of_model = of_model.strip() or main_model
    return (name if of_model == main_model else f"{name} @ {of_model}"), chosen, of_model


def _write(out, comparison, data, remarks, facts):
    display = LearningCurveDisplay.from_comparison(comparison)
    title = f"{facts['data']}\n{comparison.n_seeds} seeds"
    write_atomically(out / "curves.png", png(display, title=title))
    X = data.X if can_draw(data.X.shape[1:]) else None
    comparison.to_html(out / "report.html", X, about=facts["data"], remarks=remarks, facts=facts)
