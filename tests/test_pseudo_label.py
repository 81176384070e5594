"""PseudoLabelClassifier: what is taken for truth, for how long, and that an oracle always wins."""

import numpy as np
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from skal import ActiveLearner, EnsembleClassifier, NetClassifier, PseudoLabelClassifier
from skal.acquisition import entropy
from skal.pseudo_label import threshold_at
from skal.strategies import Entropy, LeastConfidence, Margin, Random

X, y = load_digits(return_X_y=True)
X, y = X[:400] / 16, y[:400]
HIDDEN = np.where(np.arange(400) < 60, y, -1)
model = LogisticRegression(C=10)


@parametrize_with_checks(
    [PseudoLabelClassifier(LogisticRegression()), PseudoLabelClassifier(DecisionTreeClassifier())]
)
def test_it_is_a_classifier_of_scikit_learn(estimator, check):
    check(estimator)


class Recorder(ClassifierMixin, BaseEstimator):
    """Answers as the truth would, sure of the first `n_sure` rows that it is asked for; keeps its targets."""

    log = ()

    def __init__(self, n_sure=10, wrong=False):
        self.n_sure, self.wrong = n_sure, wrong

    def fit(self, X, y, sample_weight=None):
        self.classes_ = np.arange(10)
        self.fitted_ = X[:, -1].astype(int), np.array(y), sample_weight
        Recorder.log = [*Recorder.log, self.fitted_]
        return self

    def predict(self, X):
        return self.predict_proba(X).argmax(axis=1)

    def predict_proba(self, X):
        proba = np.full((len(X), 10), 0.1)
        rows = X[: self.n_sure, -1].astype(int)
        proba[np.arange(len(rows))] = np.eye(10)[(y[rows] + self.wrong) % 10]
        return proba


@pytest.fixture
def numbered():
    """Rows whose last column is their number."""
    Recorder.log = []
    return np.column_stack([X, np.arange(400)])


def test_labels_first_then_labels_and_what_is_sure(numbered):
    fitted = PseudoLabelClassifier(Recorder(n_sure=7)).fit(numbered, HIDDEN)
    (first_rows, first_y, _), (rows, targets, weight) = Recorder.log
    np.testing.assert_array_equal(first_rows, np.arange(60))
    np.testing.assert_array_equal(first_y, y[:60])
    np.testing.assert_array_equal(rows, np.arange(67))
    np.testing.assert_array_equal(targets, y[:67])
    assert weight is None
    np.testing.assert_array_equal(fitted.pseudo_rows_, np.arange(60, 67))


def test_the_labels_of_an_oracle_are_never_overwritten_though_the_model_is_sure_of_others(numbered):
    PseudoLabelClassifier(Recorder(n_sure=400, wrong=True)).fit(numbered, HIDDEN)
    rows, targets, _ = Recorder.log[-1]
    np.testing.assert_array_equal(rows, np.arange(400))
    np.testing.assert_array_equal(targets[:60], y[:60])
    np.testing.assert_array_equal(targets[60:], (y[60:] + 1) % 10)


def test_pseudo_labels_belong_to_the_rows_that_they_were_made_for(numbered):
    order = np.random.RandomState(0).permutation(400)
    PseudoLabelClassifier(Recorder(n_sure=50)).fit(numbered[order], HIDDEN[order])
    rows, targets, _ = Recorder.log[-1]
    np.testing.assert_array_equal(targets, y[rows])
    assert len(rows) == 110


def test_pseudo_labels_do_not_outlive_the_fit(numbered):
    classifier = PseudoLabelClassifier(Recorder(n_sure=9)).fit(numbered, HIDDEN)
    classifier.fit(numbered, HIDDEN)
    assert [len(rows) for rows, _, _ in Recorder.log] == [60, 69, 60, 69]
    learner = ActiveLearner(
        PseudoLabelClassifier(Recorder(n_sure=9)), Random(), n_initial=20, n_rounds=2, random_state=0
    )
    Recorder.log = []
    learner.fit(numbered, y)
    assert [len(rows) for rows, _, _ in Recorder.log] == [20, 29, 30, 39, 40, 49]
    for stage, (rows, targets, _) in zip(learner.stages(), Recorder.log[::2], strict=True):
        np.testing.assert_array_equal(np.sort(rows), np.flatnonzero(stage.labeled_iter_ >= 0))
        np.testing.assert_array_equal(targets, y[rows])


def test_rows_queried_in_a_round_have_no_pseudo_label_in_it(numbered):
    learner = ActiveLearner(
        PseudoLabelClassifier(Recorder(n_sure=400, wrong=True)), Random(), n_rounds=3, random_state=0
    )
    for stage in learner.fit(numbered, y).stages():
        queried = stage.history_[-1]["rows"]
        assert not np.isin(queried, stage.estimator_.pseudo_rows_).any()


def test_the_threshold_is_on_the_entropy_and_the_surest_rows_are_in_it():
    fitted = PseudoLabelClassifier(model, threshold=0.3, random_state=0).fit(X, HIDDEN)
    labelled_only = LogisticRegression(C=10).fit(X[:60], y[:60])
    uncertainty = entropy(labelled_only.predict_proba(X[60:]))
    np.testing.assert_array_equal(fitted.pseudo_rows_, 60 + np.flatnonzero(uncertainty < 0.3))
    assert 60 + uncertainty.argmin() in fitted.pseudo_rows_


def test_rows_with_a_probability_of_exactly_one_are_the_surest(numbered):
    # p * log(p) is NaN at p = 0, and NaN is under no threshold: the surest rows would be left out.
    assert len(PseudoLabelClassifier(Recorder(n_sure=5)).fit(numbered, HIDDEN).pseudo_rows_) == 5


@pytest.mark.parametrize(("schedule", "ends"), [("linear", 16), ("recursive", 6)])
def test_the_threshold_ends_at_zero_where_it_should(schedule, ends):
    falling = [threshold_at(t, 0.05, 0.0033, schedule) for t in range(20)]
    assert falling[0] == 0.05
    assert all(value > 0 for value in falling[:ends])
    assert all(value == 0 for value in falling[ends:])


def test_recursive_subtracts_from_the_round_before():
    thresholds = [threshold_at(t, 1.0, 0.01, "recursive") for t in range(10)]
    np.testing.assert_allclose(-np.diff(thresholds), 0.01 * np.arange(1, 10))
    np.testing.assert_allclose(-np.diff([threshold_at(t, 1.0, 0.01, "linear") for t in range(10)]), 0.01)


def test_the_threshold_falls_with_the_rounds_of_a_learner_and_its_history_says_so():
    classifier = PseudoLabelClassifier(model, threshold=0.3, decay=0.1, diagnostics=True)
    learner = ActiveLearner(classifier, Entropy(), n_rounds=4, random_state=0).fit(X, y)
    thresholds = [entry["threshold"] for entry in learner.history_]
    np.testing.assert_allclose(thresholds, [0.3, 0.2, 0.1, 0, 0], atol=1e-12)
    counts = [entry["n_pseudo_labels"] for entry in learner.history_]
    assert counts[0] > 0
    assert counts[3:] == [0, 0]
    assert [entry["round"] for entry in learner.estimator_.history_] == [0, 1, 2, 3, 4]
    for stage, entry in zip(learner.stages(), learner.history_, strict=True):
        rows, guesses = stage.estimator_.pseudo_rows_, stage.estimator_.pseudo_labels_
        expected = np.mean(guesses == y[rows]) if len(rows) else np.nan
        np.testing.assert_equal(entry["pseudo_precision"], expected)


def test_diagnostics_change_nothing_else_and_do_not_need_kept_models():
    def learner(**params):
        classifier = PseudoLabelClassifier(model, threshold=0.3, diagnostics=params.pop("diagnostics", False))
        return ActiveLearner(classifier, Entropy(), n_rounds=2, random_state=0, **params).fit(X, y)

    plain, told = learner(), learner(diagnostics=True, keep_models=False)
    np.testing.assert_array_equal(plain.labeled_iter_, told.labeled_iter_)
    assert "pseudo_precision" not in plain.history_[0]
    assert 0 <= told.history_[0]["pseudo_precision"] <= 1
    with pytest.raises(ValueError, match="diagnostics=True"):
        plain.estimator_.diagnose(y)


def test_history_goes_on_behind_a_scaler():
    pipeline = make_pipeline(StandardScaler(), PseudoLabelClassifier(model, threshold=0.3, diagnostics=True))
    learner = ActiveLearner(pipeline, Margin(), n_rounds=2, random_state=0).fit(X, y)
    assert [entry["round"] for entry in learner.estimator_[-1].history_] == [0, 1, 2]
    assert "pseudo_precision" in learner.history_[1]


def test_a_cap_takes_the_surest():
    wide = PseudoLabelClassifier(model, threshold=0.5).fit(X, HIDDEN)
    capped = PseudoLabelClassifier(model, threshold=0.5, max_pseudo_labels=5, random_state=0).fit(X, HIDDEN)
    uncertainty = entropy(LogisticRegression(C=10).fit(X[:60], y[:60]).predict_proba(X))
    surest = wide.pseudo_rows_[np.argsort(uncertainty[wide.pseudo_rows_])[:5]]
    np.testing.assert_array_equal(capped.pseudo_rows_, np.sort(surest))
    assert len(PseudoLabelClassifier(model, max_pseudo_labels=0).fit(X, HIDDEN).pseudo_rows_) == 0


def test_the_interval_leaves_rounds_out():
    classifier = PseudoLabelClassifier(model, threshold=0.5, fit_interval=2)
    learner = ActiveLearner(classifier, Random(), n_rounds=3, random_state=0).fit(X, y)
    assert [entry["n_pseudo_labels"] > 0 for entry in learner.history_] == [True, False, True, False]


def test_pseudo_labels_weigh_what_they_should(numbered):
    weights = np.linspace(1, 2, 400)
    classifier = PseudoLabelClassifier(Recorder(n_sure=7), pseudo_weight=0.25)
    classifier.fit(numbered, HIDDEN, sample_weight=weights)
    np.testing.assert_allclose(Recorder.log[0][2], weights[:60])
    np.testing.assert_allclose(Recorder.log[1][2], weights[:67] * np.where(np.arange(67) < 60, 1, 0.25))
    Recorder.log = []
    classifier.fit(numbered, HIDDEN)
    assert Recorder.log[0][2] is None
    np.testing.assert_allclose(Recorder.log[1][2], np.where(np.arange(67) < 60, 1, 0.25))
    with pytest.raises(TypeError, match=r"pseudo_weight=0\.5 needs a model whose fit takes sample_weight"):
        PseudoLabelClassifier(KNeighborsClassifier(), pseudo_weight=0.5).fit(X, HIDDEN)


def test_a_net_goes_on_from_its_weights():
    net = NetClassifier(module__hidden=16, max_epochs=30, lr=0.01, random_state=0)
    alone = NetClassifier(module__hidden=16, max_epochs=30, lr=0.01, random_state=0).fit(X[:60], y[:60])
    fitted = PseudoLabelClassifier(net, threshold=1.8).fit(X, HIDDEN)
    assert len(fitted.pseudo_rows_) > 0
    assert len(fitted.estimator_.history) == 60
    assert [e["train_loss"] for e in fitted.estimator_.history[:30]] == [
        e["train_loss"] for e in alone.history
    ]
    assert fitted.estimator_.warm_start is False
    assert not net.initialized_


@pytest.mark.parametrize("strategy", [LeastConfidence(), Margin(), Entropy()], ids=str)
def test_it_composes_with_strategies_and_labels_of_any_kind(strategy):
    names = np.array(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"], dtype=object
    )[y]
    classifier = PseudoLabelClassifier(model, threshold=0.3, diagnostics=True)
    learner = ActiveLearner(classifier, strategy, n_rounds=2, random_state=0).fit(X, names)
    assert learner.score(X, names) > 0.5
    assert learner.history_[-1]["n_pseudo_labels"] > 0
    assert learner.history_[-1]["pseudo_precision"] > 0.5


def test_it_beats_the_labels_alone_where_classes_are_far_apart():
    rng = np.random.RandomState(0)
    centers = 6 * rng.normal(size=(4, 2))
    truth = np.arange(400) % 4
    rows = centers[truth] + rng.normal(size=(400, 2))
    fitted = PseudoLabelClassifier(GaussianNB(), threshold=0.05, diagnostics=True)
    fitted.fit(rows, np.where(np.arange(400) < 16, truth, -1))
    assert fitted.diagnose(truth)["pseudo_precision"] > 0.9
    assert fitted.score(rows, truth) > 0.9


def test_marks_are_those_of_skal():
    binary = np.where(y > 4, 1, -1)
    two_classes = PseudoLabelClassifier(model).fit(X, binary)
    np.testing.assert_array_equal(two_classes.classes_, [-1, 1])
    gaps = np.where(np.arange(400) < 200, np.where(y > 4, 1, -1), 0)
    marked = PseudoLabelClassifier(model, unlabeled=0).fit(X, gaps)
    np.testing.assert_array_equal(marked.classes_, [-1, 1])
    floats = np.where(np.arange(400) < 60, y, np.nan)
    assert PseudoLabelClassifier(model, threshold=0.5).fit(X, floats).history_[0]["n_pseudo_labels"] > 0


def test_refusals():
    with pytest.raises(TypeError, match=r"needs a model with predict_proba, which LinearSVC\(\) lacks"):
        PseudoLabelClassifier(LinearSVC()).fit(X, HIDDEN)
    with pytest.raises(ValueError, match="needs labels to start from"):
        PseudoLabelClassifier(model).fit(X, np.full(400, -1))
    with pytest.raises(ValueError, match="threshold"):
        PseudoLabelClassifier(model, threshold=-1).fit(X, HIDDEN)
    with pytest.raises(ValueError, match="schedule"):
        PseudoLabelClassifier(model, schedule="quadratic").fit(X, HIDDEN)


def test_inside_a_model_that_is_fitted_on_labels_only_it_is_refused():
    model = PseudoLabelClassifier(LogisticRegression())
    for outer in (EnsembleClassifier(model, 2), GridSearchCV(model, {"threshold": [0.1, 0.2]})):
        with pytest.raises(ValueError, match="is fitted on labels only, so that PseudoLabelClassifier"):
            ActiveLearner(outer, n_rounds=1).fit(X, y)
    around = PseudoLabelClassifier(EnsembleClassifier(LogisticRegression(), 2, bootstrap=True))
    assert ActiveLearner(around, n_rounds=1, random_state=0).fit(X, y).history_[0]["n_pseudo_labels"] >= 0
