import warnings

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skal import ActiveLearner, compare
from skal.evaluation import digest
from skal.strategies import Entropy, Margin, Random, Subsample

X, y = load_digits(return_X_y=True)
X, y = X[:300], y[:300]


def learners(**changes):
    return {
        name: ActiveLearner(GaussianNB(var_smoothing=0.1), strategy, n_rounds=3, **changes)
        for name, strategy in {"Random": Random(), "Margin": Margin(), "Again": Margin()}.items()
    }


def numbers(comparison):
    return [row._replace(fit_seconds=0, select_seconds=0) for row in comparison.rows]


@pytest.fixture(scope="module")
def result():
    return compare(learners(), X, y, n_seeds=3)


def test_runs_are_paired(result):
    first = {(row.learner, row.seed): row for row in result.rows if row.round == 0}
    for seed in range(3):
        assert first["Random", seed].rows == first["Margin", seed].rows
        assert first["Random", seed].score == first["Margin", seed].score
    assert first["Random", 0].rows != first["Random", 1].rows


def test_a_learner_against_itself_differs_by_exactly_nothing(result):
    assert result.summary(baseline="Margin")["Again"].difference == 0.0


def test_every_row_is_asked_for_once_and_lies_in_the_pool(result):
    for seed in range(3):
        rows = [i for row in result.rows if (row.learner, row.seed) == ("Margin", seed) for i in row.rows]
        assert len(rows) == len(set(rows)) == 50
        assert set(rows) <= set(range(300))


def test_scores_are_those_of_the_learner():
    pool, test = np.arange(200), np.arange(200, 300)
    result = compare(learners(), X[pool], y[pool], X[test], y[test], n_seeds=1, random_state=7)
    stages = [row for row in result.rows if row.learner == "Margin"]
    model = GaussianNB(var_smoothing=0.1)
    labeled = []
    for stage in stages:
        labeled += stage.rows
        rows = sorted(labeled)
        assert stage.score == model.fit(X[pool][rows], y[pool][rows]).score(X[test], y[test])


def test_any_number_of_jobs_gives_the_same_numbers(result):
    assert numbers(compare(learners(), X, y, n_seeds=3, n_jobs=2)) == numbers(result)


def test_an_interrupted_comparison_resumes(result, tmp_path):
    calls = []

    def accuracy(model, X, y):
        calls.append(1)
        if len(calls) == 4 * 5 + 2:  # within the sixth run
            raise KeyboardInterrupt
        return model.score(X, y)

    path = tmp_path / "runs.csv"
    with pytest.raises(KeyboardInterrupt):
        compare(learners(), X, y, n_seeds=3, scoring=accuracy, path=path)
    assert len(path.read_text().splitlines()) == 1 + 4 * 5
    resumed = compare(learners(), X, y, n_seeds=3, scoring=accuracy, path=path)
    assert len(calls) == 4 * 9 + 2
    fields = [row[:5] + row[7:8] for row in numbers(resumed)]
    assert fields == [row[:5] + row[7:8] for row in numbers(result)]


def test_a_finished_comparison_is_read_and_not_run(tmp_path):
    path = tmp_path / "runs.csv"
    first = compare(learners(), X, y, n_seeds=2, path=path)
    text = path.read_text()
    again = compare(learners(), X, y, n_seeds=2, path=path)
    assert again.rows == first.rows  # the seconds as well
    assert path.read_text() == text


def test_seeds_and_learners_can_be_added(tmp_path):
    path = tmp_path / "runs.csv"
    few = compare({"Random": learners()["Random"]}, X, y, n_seeds=1, path=path)
    more = compare(learners(), X, y, n_seeds=2, path=path)
    assert more.rows[:4] == few.rows
    assert numbers(more) == numbers(compare(learners(), X, y, n_seeds=2, path=tmp_path / "other.csv"))
    assert compare({"Random": learners()["Random"]}, X, y, n_seeds=1, path=path).rows == few.rows
    assert len(path.read_text().splitlines()) == 1 + 2 * 3 * 4


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"learners": learners(batch_size=5)}, "another learner"),
        ({"y": np.roll(y, 1)}, "another data"),
        ({"scoring": "balanced_accuracy"}, "another score"),
        ({"random_state": 1}, "another split or random_state"),
        ({"test_size": 0.5}, "another split or random_state"),
    ],
)
def test_a_file_of_other_settings_is_refused_and_kept(tmp_path, changed, said):
    path = tmp_path / "runs.csv"
    settings = {"learners": learners(), "X": X, "y": y, "n_seeds": 1, "path": path}
    compare(**settings)
    text = path.read_text()
    with warnings.catch_warnings(), pytest.raises(ValueError, match=said):
        compare(**settings | changed)
    assert path.read_text() == text


def test_unlabelled_rows_are_neither_queried_nor_scored():
    gaps = y.copy()
    gaps[::3] = -1
    result = compare(learners(), X[:200], gaps[:200], X[200:], gaps[200:], n_seeds=1)
    asked = np.concatenate([row.rows for row in result.rows]).astype(int)
    assert (gaps[:200][asked] != -1).all()
    known = 200 + np.flatnonzero(gaps[200:] != -1)
    same = compare(learners(), X[:200], gaps[:200], X[known], y[known], n_seeds=1)
    assert [row.score for row in result.rows] == [row.score for row in same.rows]


def test_inputs_and_the_global_random_state_are_as_before():
    X_before, y_before, state = X.copy(), y.copy(), np.random.get_state()[1].copy()
    of_learners = learners()
    compare(of_learners, X, y, n_seeds=1)
    np.testing.assert_array_equal(X, X_before)
    np.testing.assert_array_equal(y, y_before)
    np.testing.assert_array_equal(np.random.get_state()[1], state)
    assert not any(hasattr(learner, "history_") for learner in of_learners.values())


def test_a_list_is_named_by_its_strategies():
    of_list = [ActiveLearner(GaussianNB(), strategy, n_rounds=0) for strategy in (None, Random(), Entropy())]
    assert compare(of_list, X, y, n_seeds=1).learners == ["Margin", "Random", "Entropy"]
    with pytest.raises(ValueError, match="pass a dict"):
        compare([*of_list, of_list[0]], X, y, n_seeds=1)


def test_a_test_set_needs_both_of_its_halves():
    with pytest.raises(ValueError, match="go together"):
        compare(learners(), X, y, X_test=X)


def test_other_scorers_and_batch_sizes(tmp_path):
    mixed = learners() | {
        "Big": ActiveLearner(GaussianNB(var_smoothing=0.1), Margin(), batch_size=25, n_rounds=2)
    }
    result = compare(mixed, X, y, n_seeds=2, scoring="neg_log_loss")
    assert result.score_name == "neg_log_loss"
    assert "beyond this range" in result.table()
    result.to_html(tmp_path / "report.html", X.reshape(-1, 8, 8))


def test_progress_is_shown_when_asked_for(capsys):
    compare(learners(), X, y, n_seeds=1, progress=False)
    assert capsys.readouterr().err == ""
    compare(learners(), X, y, n_seeds=1, progress=True)
    assert "3/3" in capsys.readouterr().err


def test_a_path_that_cant_be_written_is_found_before_the_work(tmp_path):
    def accuracy(model, X, y):
        raise AssertionError("the work has begun")

    with pytest.raises(FileNotFoundError):
        compare(learners(), X, y, n_seeds=1, scoring=accuracy, path=tmp_path / "missing" / "runs.csv")


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="finite"):
        compare(learners(), X, y, n_seeds=1, scoring=lambda model, X, y: np.nan)


def test_a_learner_that_cant_be_told_from_others_is_refused(tmp_path):
    flat = make_pipeline(FunctionTransformer(lambda X: X), GaussianNB())
    with pytest.raises(ValueError, match="a name in a module"):
        compare([ActiveLearner(flat)], X, y, n_seeds=1, path=tmp_path / "runs.csv")


def test_only_learners_are_compared():
    with pytest.raises(TypeError, match="takes ActiveLearners"):
        compare([GaussianNB()], np.zeros((4, 1)), [0, 1, 0, 1])


class Spoils(GaussianNB):
    """Is worth nothing with more than 30 labels."""

    def fit(self, X, y):
        super().fit(X, y)
        self.spoilt_ = len(y) > 30
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0]) if self.spoilt_ else super().predict(X)


def test_a_curve_that_falls_is_shown_as_it_is():
    """Bug G10: the best accuracy over all rounds was reported, so that curves could only rise."""
    learner = ActiveLearner(Spoils(var_smoothing=0.1), Margin(), n_rounds=3, random_state=0).fit(X, y)
    scores = list(learner.staged_score(X, y))
    assert scores[3] == learner.score(X, y) < 0.5 < scores[1]
    _, curve = compare({"Margin": learner}, X, y, n_seeds=1).curve("Margin")
    assert curve[0, 3] < 0.5 < curve[0, 1]


def test_a_digest_tells_settings_apart_and_leaves_defaults_out():
    net = ActiveLearner(LogisticRegression(C=2), Margin())
    assert digest(net) == digest(ActiveLearner(LogisticRegression(C=2), Margin(n_draws=None)))
    others = [
        ActiveLearner(LogisticRegression(C=3), Margin()),
        ActiveLearner(LogisticRegression(C=2), Entropy()),
        ActiveLearner(LogisticRegression(C=2), Margin(n_draws=5)),
        ActiveLearner(LogisticRegression(C=2), Subsample(Margin(), size=10)),
        ActiveLearner(LogisticRegression(C=2), Subsample(Margin(), size=20)),
        ActiveLearner(make_pipeline(LogisticRegression(C=2)), Margin()),
        ActiveLearner(FrozenEstimator(LogisticRegression(C=2)), Margin()),
    ]
    assert len({digest(learner) for learner in [net, *others]}) == len(others) + 1


def test_labels_are_needed():
    with pytest.raises(ValueError, match="compare needs y, the labels of all rows"):
        compare([ActiveLearner(GaussianNB(), Random())], np.eye(30), None)
