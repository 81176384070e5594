"""The loop around models that label pixels: y is a mask for each image, of one size or of different sizes."""

from itertools import islice

import numpy as np
import pytest
from segmenter import PixelClassifier, different_sizes, same_size
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skal import (
    ActiveLearner,
    BatchDisplay,
    EnsembleClassifier,
    LabeledKFold,
    LearningCurveDisplay,
    PseudoLabelClassifier,
    compare,
    learning_curve_auc,
)
from skal._rows import as_objects
from skal.capabilities import labels_pixels, mark_for
from skal.loop import rounds
from skal.metrics import labeled_scorer
from skal.plotting import png
from skal.pool import Pool
from skal.strategies import BALD, CoreSet, Entropy, Margin, Random

X, Y = same_size(30, n_classes=3)
RAGGED = different_sizes(30, n_classes=3)
POOLS = {
    "array": (X, Y),
    "list": (list(X), list(Y)),
    "sizes": RAGGED,
    "objects": tuple(map(as_objects, RAGGED)),
    "channels": (np.stack([X, X], axis=1), Y),
    "bytes": (X, Y.astype(np.uint8)),
}


def learner(model=None, strategy=None, **params):
    params = {"n_initial": 4, "batch_size": 3, "n_rounds": 2, "random_state": 0} | params
    return ActiveLearner(PixelClassifier() if model is None else model, strategy, **params)


def some(X, rows):
    return X[rows] if isinstance(X, np.ndarray) else [X[row] for row in rows]


@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("strategy", [None, BALD(pixels=0.2)], ids=repr)
def test_the_loop_is_played_with_masks(pool, strategy):
    X, y = POOLS[pool]
    fitted = learner(strategy=strategy).fit(X, y)
    assert [stage["n_labeled"] for stage in fitted.history_] == [4, 7, 10]
    assert [model.n_fitted_ for model in fitted.models_] == [4, 7, 10]
    assert fitted.classes_.tolist() == [0, 1, 2]
    rows = np.flatnonzero(fitted.labeled_iter_ >= 0)
    alone = clone(fitted.estimator_).fit(some(X, rows), some(y, rows))
    assert fitted.score(X, y) == alone.score(X, y) == list(fitted.staged_score(X, y))[-1]
    assert all(np.array_equal(a, b) for a, b in zip(fitted.predict(X), alone.predict(X), strict=True))
    asked = fitted.query(X, 3)
    assert set(asked) <= set(np.flatnonzero(fitted.labeled_iter_ < 0))


@pytest.mark.parametrize("pool", ["array", "sizes"])
@pytest.mark.parametrize("strategy", [Margin(), Entropy(pixels="max"), BALD(), CoreSet()], ids=repr)
def test_masks_never_queried_are_never_read(pool, strategy):
    X, y = POOLS[pool]
    fitted = learner(strategy=strategy).fit(X, y)
    hidden = np.flatnonzero(fitted.labeled_iter_ < 0)
    poisoned = [np.array(mask) for mask in y]
    for row in hidden:
        poisoned[row][:] = row % 3  # of the same classes
    poisoned = np.stack(poisoned) if isinstance(y, np.ndarray) and y.ndim > 1 else poisoned
    again = clone(fitted).fit(X, poisoned)
    np.testing.assert_array_equal(again.labeled_iter_, fitted.labeled_iter_)
    for before, after in zip(fitted.predict_proba(X), again.predict_proba(X), strict=True):
        np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(again.query(X, 5), fitted.query(X, 5))


@pytest.mark.parametrize("pool", ["array", "sizes"])
def test_partly_marked_masks_are_labels_and_marked_ones_are_none(pool):
    X, y = POOLS[pool]
    y = [mask.copy() for mask in y]
    for mask in y:
        mask[:3] = -1
    for row in range(0, 30, 3):
        y[row] = None if row % 2 else np.full_like(y[row], -1)
    fitted = learner(n_rounds=9).fit(X, y)
    assert (fitted.labeled_iter_[::3] == -1).all()
    assert (np.delete(fitted.labeled_iter_, np.s_[::3]) >= 0).all()
    assert fitted.classes_.tolist() == [0, 1, 2]
    known = [row for row in range(30) if row % 3]
    of_known = fitted.estimator_.score(some(X, known), some(y, known))
    assert fitted.score(X, y) == labeled_scorer()(fitted, X, y) == of_known
    weights = np.arange(30.0)
    weighted = fitted.estimator_.score(some(X, known), some(y, known), weights[known])
    assert fitted.score(X, y, weights) == weighted != of_known


@pytest.mark.parametrize("mark", ["auto", 255])
def test_the_model_says_which_pixels_are_ignored(mark):
    y = Y.astype(np.uint8)
    y[:, :2], y[7] = 255, 255
    fitted = learner(PixelClassifier(ignore_index=255), unlabeled=mark, n_rounds=9).fit(X, y)
    assert fitted.classes_.tolist() == [0, 1, 2]
    assert np.flatnonzero(fitted.labeled_iter_ < 0).tolist() == [7]
    assert mark_for(make_pipeline(FunctionTransformer(), fitted.estimator)) == 255
    with pytest.raises(ValueError, match="unlabeled=255 and ignore_index=-1"):
        learner(unlabeled=255).fit(X, y)


@pytest.mark.parametrize("pool", ["array", "sizes"])
def test_there_is_a_column_for_each_class_of_the_vocabulary(pool):
    X, y = POOLS[pool]
    without = [row for row in range(30) if row > 10]
    y = [np.minimum(mask, 1) if row in without else mask for row, mask in enumerate(y)]
    y[0][0, 0] = 7
    first = without[:4]
    fitted = learner(initial=first, n_rounds=1, max_labels=4).fit(X, y)
    assert fitted.classes_.tolist() == [0, 1, 2, 7]
    assert fitted.estimator_.classes_.tolist() == [0, 1]
    for proba, inner in zip(fitted.predict_proba(X), fitted.estimator_.predict_proba(X), strict=True):
        assert proba.shape == (*inner.shape[:2], 4)
        np.testing.assert_array_equal(proba[..., :2], inner)
        assert (proba[..., 2:] == 0).all()
    draws = fitted.sample_proba(X)
    of_first = draws[:, 0] if pool == "array" else draws[0]
    assert of_first.shape == (3, *np.shape(X[0]), 4)
    next(fitted.staged_predict_proba(X))


def test_masks_of_one_class_at_the_start_are_extended():
    y = Y.copy()
    y[:5] = 0
    fitted = learner(initial=[0, 1, 2], n_rounds=1).fit(X, y)
    assert fitted.history_[0]["n_labeled"] > 3


@pytest.mark.parametrize("pool", ["array", "sizes"])
def test_an_oracle_answers_with_masks(pool):
    X, y = POOLS[pool]
    of_pool = Pool(X)
    of_pool.label([0, 3, 6], some(y, [0, 3, 6]), number=0)  # all of one size
    played = list(
        islice(rounds(PixelClassifier(), Margin(), of_pool, lambda rows: some(y, rows), batch_size=4), 4)
    )
    assert [current.estimator.n_fitted_ for current in played] == [3, 7, 11, 15]
    for row in of_pool.labeled:
        np.testing.assert_array_equal(of_pool.y[row], y[row])


@pytest.mark.parametrize("pool", ["array", "sizes"])
@pytest.mark.parametrize("initial", ["random", "stratified", [3, 4, 5, 6], Random()], ids=str)
def test_any_first_rows(initial, pool):
    X, y = POOLS[pool]
    fitted = learner(initial=initial, n_rounds=1).fit(X, y)
    assert [stage["n_labeled"] for stage in fitted.history_] == [4, 7]
    again = clone(fitted).fit(X, y)
    np.testing.assert_array_equal(again.labeled_iter_, fitted.labeled_iter_)


def test_weights_of_images_follow_their_rows():
    weights = np.arange(30.0)
    fitted = learner(n_rounds=1).fit(X, Y, sample_weight=weights)
    np.testing.assert_array_equal(fitted.estimator_.weights_, weights[fitted.labeled_iter_ >= 0])


@pytest.mark.parametrize("pool", ["array", "sizes"])
def test_a_semi_supervised_model_sees_hidden_masks_as_hidden(pool):
    class SemiSupervised(PixelClassifier):
        semi_supervised = True

        def fit(self, X, y):
            self.seen_ = y
            rows = [row for row, mask in enumerate(y) if mask is not None and (mask != -1).any()]
            return super().fit(some(X, rows), some(y, rows))

    X, y = POOLS[pool]
    fitted = learner(SemiSupervised(), n_rounds=1).fit(X, y)
    assert len(fitted.estimator_.seen_) == 30
    for row, mask in enumerate(fitted.estimator_.seen_):
        if fitted.labeled_iter_[row] >= 0:
            np.testing.assert_array_equal(mask, y[row])
        else:
            assert mask is None or (mask == -1).all()


@pytest.mark.parametrize("pool", ["array", "sizes"])
def test_scorers_and_searches(pool):
    X, y = POOLS[pool]
    y = [None, *y[1:]]
    fitted = learner().fit(X, y)
    staged = list(fitted.staged_score(X, y))
    curve = learning_curve_auc()(fitted, X, y)
    assert (
        curve
        == learning_curve_auc("score")(fitted, X, y)
        == pytest.approx((staged[0] + 2 * staged[1] + staged[2]) / 4)
    )
    X, y = some(X, range(1, 30)), as_objects(y[1:])
    grid = {"strategy": [Random(), Margin()]}
    for cv in (KFold(2), LabeledKFold(2)):
        search = GridSearchCV(
            learner(n_rounds=1), grid, scoring=learning_curve_auc(), cv=cv, error_score="raise"
        )
        assert np.isfinite(search.fit(X, y).cv_results_["mean_test_score"]).all()


def test_a_search_with_masks_of_one_size_needs_nothing_besides():
    search = GridSearchCV(
        learner(n_rounds=1), {"strategy": [Random(), Margin()]}, cv=2, error_score="raise"
    ).fit(X, Y)
    assert search.score(X, Y) == search.best_estimator_.estimator_.score(X, Y)


@pytest.mark.parametrize(
    ("model", "y", "words"),
    [
        (LogisticRegression(), Y, "use a model that labels pixels"),
        (PixelClassifier(), Y[:, 0, 0], "needs masks"),
        (PixelClassifier(), Y / 2, "integer for each pixel"),
        (PixelClassifier(), [mask.ravel() for mask in RAGGED[1]], r"\(height, width\)"),
        (PixelClassifier(), np.full_like(Y, -1), "none of the 30 rows"),
        (PixelClassifier(), [None] * 30, "none of the 30 rows"),
        (PixelClassifier(), Y[:7], "inconsistent"),
    ],
    ids=["masks for rows", "rows for pixels", "floats", "flat", "marks", "None", "too few"],
)
def test_a_y_of_another_kind_is_refused(model, y, words):
    with pytest.raises(ValueError, match=words):
        learner(model).fit(X, y)


def test_pseudo_labels_are_of_rows():
    with pytest.raises(TypeError, match="labels pixels"):
        learner(PseudoLabelClassifier(PixelClassifier())).fit(X, Y)


def test_who_labels_pixels():
    model = PixelClassifier()
    around = [make_pipeline(FunctionTransformer(), model), EnsembleClassifier(model), learner(model)]
    around += [GridSearchCV(learner(), {}), make_pipeline(EnsembleClassifier(make_pipeline(model)))]
    assert all(map(labels_pixels, [model, *around]))
    assert not any(map(labels_pixels, [None, LogisticRegression(), learner(LogisticRegression())]))


@pytest.mark.parametrize("pool", ["array", "sizes", "objects"])
def test_learners_are_compared_by_their_own_score(pool, tmp_path):
    X, y = POOLS[pool]
    learners = [learner(strategy=strategy) for strategy in (Random(), Margin())]
    path = tmp_path / "runs.csv"
    first = compare(learners, X, y, n_seeds=1, path=path)
    assert first.score_name == "score"
    copied = [np.array(image) for image in X], [np.array(mask) for mask in y]
    both = compare(learners, *((X, y) if pool == "array" else copied), n_seeds=2, path=path)
    assert [row for row in both.rows if row.seed == 0] == first.rows
    with pytest.raises(ValueError, match="another data"):
        compare(learners, X, [*y[1:], y[0]] if pool != "array" else y[::-1], n_seeds=2, path=path)
    both.to_html(tmp_path / "report.html", X, masks=y)
    assert (tmp_path / "report.html").read_text(encoding="utf-8").count("data:image/png") == 3


def test_test_rows_are_given():
    comparison = compare([learner()], X[:20], Y[:20], X[20:], list(Y[20:]), n_seeds=1)
    assert 0.5 < comparison.curve("Margin")[1].mean() < 1


@pytest.mark.parametrize("pool", ["array", "sizes"])
def test_masks_are_drawn_over_what_was_asked_for(pool):
    X, y = POOLS[pool]
    fitted = learner().fit(X, y)
    display = BatchDisplay.from_learner(fitted, X, y, n=5).plot()
    rows = np.concatenate([stage["rows"] for stage in fitted.history_[1:]])[:5]
    assert display.titles == [str(row) for row in rows]
    assert len(display.ax_.images) == 10
    for row, image, over in zip(rows, display.ax_.images[::2], display.ax_.images[1::2], strict=True):
        np.testing.assert_array_equal(image.get_array(), X[row])
        shown = np.asarray(over.get_array())
        np.testing.assert_array_equal(shown[..., 3] > 0, y[row] > 0)
        assert len(np.unique(shown[y[row] > 0], axis=0)) == len(set(y[row][y[row] > 0].tolist()))
        assert image.get_extent() == over.get_extent()
    assert png(display).startswith(b"\x89PNG")
    assert LearningCurveDisplay.from_learner(fitted, X, y).score_name == "score"


def test_pixels_with_the_models_mark_are_not_drawn():
    y = np.where(Y == 2, 255, Y).astype(np.uint8)
    display = BatchDisplay.from_learner(learner(PixelClassifier(ignore_index=255)).fit(X, y), X, y, n=3)
    assert {int(value) for mask in display.masks for value in np.unique(mask)} == {-1, 0, 1}


def test_ignored_pixels_and_missing_masks_are_not_drawn():
    masks = [None, np.full((8, 8), -1), Y[2]]
    display = BatchDisplay.from_images(X[:3], [0, 1, 2], masks=masks).plot()
    assert len(display.ax_.images) == 5
    assert (np.asarray(display.ax_.images[2].get_array())[..., 3] == 0).all()
