"""Scorers for learners."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_iris
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, jaccard_score, make_scorer
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skal import ActiveLearner
from skal.metrics import area_under_curve, dice_score, iou_score, labeled_scorer, learning_curve_auc

X, Y = load_iris(return_X_y=True)
ORDER = np.random.RandomState(0).permutation(150)
X, Y = X[ORDER], Y[ORDER]

curves = st.lists(st.tuples(st.integers(1, 20), st.floats(0, 1)), min_size=1, max_size=8).map(
    lambda steps: (np.cumsum([step for step, _ in steps]), np.array([score for _, score in steps]))
)


def learner(**params):
    return ActiveLearner(GaussianNB(), random_state=0, **({"n_initial": 12, "n_rounds": 3} | params))


@given(curve=curves)
@settings(max_examples=50, deadline=None)
def test_the_area_is_a_mean_of_the_curve(curve):
    sizes, scores = curve
    area = area_under_curve(sizes, scores)
    assert scores.min() - 1e-12 <= area <= scores.max() + 1e-12
    assert area_under_curve(sizes, np.full(len(sizes), 0.7)) == pytest.approx(0.7)
    assert area_under_curve(sizes, 1 - scores) == pytest.approx(1 - area)
    # Brute force: the mean of the straight lines, sampled finely.
    grid = np.linspace(sizes[0], sizes[-1], 20_001)
    assert area == pytest.approx(np.interp(grid, sizes, scores).mean(), abs=2e-3)


@given(curve=curves, data=st.data())
@settings(max_examples=50, deadline=None)
def test_a_curve_cut_at_max_labels_is_the_curve_up_to_there(curve, data):
    sizes, scores = curve
    cut = data.draw(st.integers(int(sizes[0]), int(sizes[-1])))
    inside = sizes < cut
    by_hand = area_under_curve(
        np.append(sizes[inside], cut), np.append(scores[inside], np.interp(cut, sizes, scores))
    )
    assert area_under_curve(sizes, scores, cut) == pytest.approx(by_hand)
    assert area_under_curve(sizes, scores, int(sizes[-1])) == pytest.approx(area_under_curve(sizes, scores))


@pytest.mark.parametrize("max_labels", [19, 41])
def test_a_curve_that_does_not_reach_is_refused(max_labels):
    with pytest.raises(ValueError, match=rf"20 to 40.*max_labels={max_labels}"):
        area_under_curve([20, 30, 40], [0.1, 0.2, 0.3], max_labels)


def test_the_auc_of_a_learner_is_the_area_under_its_staged_scores():
    fitted = learner().fit(X, Y)
    sizes = [h["n_labeled"] for h in fitted.history_]
    scores = list(fitted.staged_score(X, Y))
    assert learning_curve_auc()(fitted, X, Y) == pytest.approx(area_under_curve(sizes, scores))
    assert learning_curve_auc(max_labels=25)(fitted, X, Y) == pytest.approx(
        area_under_curve(sizes, scores, 25)
    )
    assert learning_curve_auc(make_scorer(accuracy_score))(fitted, X, Y) == learning_curve_auc()(fitted, X, Y)
    assert learning_curve_auc("neg_log_loss")(fitted, X, Y) < 0
    with pytest.raises(ValueError, match="max_labels=43"):
        learning_curve_auc(max_labels=43)(fitted, X, Y)


def test_one_point_gives_its_score():
    fitted = learner(n_rounds=0).fit(X, Y)
    assert learning_curve_auc()(fitted, X, Y) == fitted.score(X, Y)


def test_models_must_have_been_kept():
    with pytest.raises(ValueError, match="keep_models=True"):
        learning_curve_auc()(learner(keep_models=False).fit(X, Y), X, Y)


def test_a_pipeline_that_ends_in_a_learner_is_scored():
    scaled = StandardScaler().fit_transform(X)
    expected = learning_curve_auc()(learner().fit(scaled, Y), scaled, Y)
    assert learning_curve_auc()(make_pipeline(StandardScaler(), learner()).fit(X, Y), X, Y) == expected
    bare = learning_curve_auc()(learner().fit(X, Y), X, Y)
    assert learning_curve_auc()(make_pipeline(learner()).fit(X, Y), X, Y) == bare
    assert learning_curve_auc()(make_pipeline("passthrough", learner()).fit(X, Y), X, Y) == bare


@pytest.mark.parametrize("mark", [-1, 99])
@pytest.mark.parametrize("wrap", ["bare", "pipeline", "search"])
def test_rows_without_a_label_do_not_count(wrap, mark):
    y = Y.copy()
    y[::4] = mark
    known = y != mark
    unlabeled = "auto" if mark == -1 else mark
    model = learner(unlabeled=unlabeled)
    if wrap == "pipeline":
        model = make_pipeline(model)
    elif wrap == "search":
        model = GridSearchCV(model, {"batch_size": [5]}, cv=2, scoring=labeled_scorer())
    model.fit(X, y)
    expected = np.mean(model.predict(X)[known] == Y[known])
    assert labeled_scorer()(model, X, y) == pytest.approx(expected)
    if wrap != "search":
        known_only = learning_curve_auc()(model, X[known], Y[known])
        assert learning_curve_auc()(model, X, y) == pytest.approx(known_only)


def test_a_plain_model_has_gaps_in_its_test_set_too():
    model = DummyClassifier(strategy="constant", constant=1).fit(X, Y)
    y = np.where(np.arange(150) % 2, Y, -1)
    assert labeled_scorer("accuracy")(model, X, y) == np.mean(Y[1::2] == 1)
    with pytest.raises(ValueError, match="none of the 150 rows"):
        labeled_scorer()(model, X, np.full(150, -1))


@pytest.mark.parametrize("scorer", [labeled_scorer("accuracy"), learning_curve_auc("accuracy", 20)], ids=repr)
def test_scorers_travel_and_say_what_they_are(scorer):
    fitted = learner().fit(X, Y)
    assert pickle.loads(pickle.dumps(scorer))(fitted, X, Y) == scorer(fitted, X, Y)
    assert "accuracy" in repr(scorer)


def test_an_unknown_scoring_is_refused_at_once():
    for make in (labeled_scorer, learning_curve_auc):
        with pytest.raises(ValueError, match="acuracy"):
            make("acuracy")


def test_the_learner_inside_a_search_has_the_curve():
    X, y = load_iris(return_X_y=True)
    learner = ActiveLearner(LogisticRegression(max_iter=1000), n_rounds=1, random_state=0)
    search = GridSearchCV(learner, {"batch_size": [5, 10]}, cv=2, scoring=learning_curve_auc())
    scores = cross_validate(search, X, y, cv=2, scoring=learning_curve_auc(), error_score="raise")
    assert np.isfinite(scores["test_score"]).all()
    with pytest.raises(TypeError, match="has no learning curve"):
        learning_curve_auc()(LogisticRegression().fit(X[:, :1], y), X[:, :1], y)


pixels = arrays(np.int8, (3, 4, 5), elements=st.integers(-1, 3))


@settings(max_examples=60, deadline=None)
@given(pixels, pixels)
def test_overlap_is_that_of_scikit_learn_over_pixels_with_a_label(true, predicted):
    valid = true != -1
    predicted = np.abs(predicted)
    if not valid.any():
        with pytest.raises(ValueError, match="all of y_true is ignore_index"):
            dice_score(true, predicted)
        return
    for score, reference in ((dice_score, f1_score), (iou_score, jaccard_score)):
        for average in ("macro", None):
            own = score(true, predicted, average=average)
            by_rows = reference(true[valid], predicted[valid], average=average, zero_division=0)
            assert_allclose(own, by_rows, atol=1e-12)
    dice, iou = (score(true, predicted, average=None) for score in (dice_score, iou_score))
    assert_allclose(iou, dice / (2 - dice))
    assert dice_score(true, np.abs(true)) == 1


@pytest.mark.parametrize("score", [dice_score, iou_score])
def test_pixels_without_a_label_do_not_count_and_sets_are_pooled(score):
    rng = np.random.RandomState(0)
    true, predicted = rng.randint(0, 3, (2, 6, 8, 8))
    marked, other = np.where(rng.rand(6, 8, 8) < 0.3, -1, true), predicted.copy()
    other[marked == -1] = rng.randint(0, 90, (marked == -1).sum())
    assert score(marked, other) == score(marked, predicted)
    wide = np.pad(marked, ((0, 0), (3, 1), (0, 2)), constant_values=-1)
    assert score(wide, np.pad(other, ((0, 0), (3, 1), (0, 2)))) == score(marked, predicted)
    parts = [true[0], true[1, :3], true[2:, :, :1].reshape(4, 8)]
    guesses = [predicted[0], predicted[1, :3], predicted[2:, :, :1].reshape(4, 8)]
    flat = [np.concatenate([part.ravel() for part in masks])[None, None] for masks in (parts, guesses)]
    assert score(parts, guesses) == score(*flat)
    assert score([*parts, None], [*guesses, true[0]]) == score(*flat)
    order = rng.permutation(6)
    assert score(true[order], predicted[order]) == score(true, predicted)
    assert score(255 * true, 255 * predicted) == score(true, predicted)
    assert score(true.astype(np.uint8), predicted) == score(true, predicted)
    twice = score(true[[0, 0, 1, 2]], predicted[[0, 0, 1, 2]])
    assert score(true, predicted, sample_weight=[2, 1, 1, 0, 0, 0]) == pytest.approx(twice)


def test_empty_classes():
    true, predicted = np.array([[[0, 0, 1, 1]]]), np.array([[[0, 0, 0, 2]]])
    assert_allclose(dice_score(true, predicted, average=None), [4 / 5, 0, 0])
    assert_allclose(iou_score(true, predicted, labels=[5, 0, 2], average=None), [np.nan, 2 / 3, 0])
    assert dice_score(true, predicted, labels=[0, 5]) == 0.8
    assert np.isnan(dice_score(true, predicted, labels=[5]))
    assert np.isnan(iou_score(true, predicted, labels=[]))
    assert dice_score(true, true, labels=[1]) == 1
    assert_array_equal(dice_score(true, np.full_like(true, -1), average=None), [0, 0])
    assert dice_score(np.array([[[0, 0]]]), np.array([[[0, 0]]])) == 1


def test_masks_that_do_not_pair_up_are_refused():
    mask = np.zeros((2, 3, 3), dtype=int)
    with pytest.raises(ValueError, match="2 masks and y_pred has 1"):
        dice_score(mask, mask[:1])
    with pytest.raises(ValueError, match=r"the mask 0 has the shape \(3, 3\) in y_true and \(2, 3\)"):
        iou_score(mask, mask[:, :2])
    with pytest.raises(ValueError, match="float64"):
        dice_score(mask, mask * 0.5)
    with pytest.raises(ValueError, match="average"):
        dice_score(mask, mask, average="micro")
