"""The pool loop: what is fitted on what, and what an estimator is told."""

from copy import deepcopy
from itertools import islice, pairwise

import numpy as np
import pytest
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression, Perceptron, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.tree import DecisionTreeClassifier

from skal.loop import rounds
from skal.pool import Pool
from skal.strategies import Entropy, Margin, Random, Subsample
from skal.testing import Stub

X, Y = load_iris(return_X_y=True)
X, Y = (X[::2] - X.mean(axis=0)) / X.std(axis=0), Y[::2]
FIRST = np.array([0, 1, 25, 26, 50, 51])


class Oracle:
    """Answers, and remembers what it was asked."""

    def __init__(self, y=Y):
        self.y = y
        self.asked = []

    def __call__(self, rows):
        self.asked.append(np.array(rows))
        return self.y[rows]


class Told(GaussianNB):
    """Records the facts it is told."""

    def fit(self, X, y, *, al_round=0, al_queried=None, previous=None):
        self.told_ = (al_round, al_queried, previous)
        self.X_, self.y_ = X, y
        return super().fit(X, y)


class ToldWithGaps(SelfTrainingClassifier):
    """Wants the unlabelled rows, and the facts."""

    def fit(self, X, y, al_queried=None):
        self.y_, self.al_queried_ = y, al_queried
        return super().fit(X, y)


class Weighted(GaussianNB):
    """Records its weights, and a parameter that is no value per row."""

    def fit(self, X, y, sample_weight=None, note=None):
        self.weights_, self.note_, self.X_ = sample_weight, note, X
        return super().fit(X, y, sample_weight)


class OfOneRow(Stub):
    """Fails with an error that has nothing to do with classes."""

    def fit(self, X, y):
        raise ValueError("broken on purpose")


def play(model, strategy=None, n=4, first=FIRST, y=Y, oracle=None, **params):
    pool = Pool(X)
    pool.label(first, y[first], number=0)
    params = {"batch_size": 5, "random_state": 0} | params
    return list(islice(rounds(model, strategy or Margin(), pool, oracle or Oracle(y), **params), n)), pool


def test_each_round_is_fitted_on_what_the_oracle_has_told():
    oracle = Oracle()
    played, pool = play(Told(), oracle=oracle)
    labeled = FIRST
    for number, current in enumerate(played):
        assert current.number == number
        if number:
            np.testing.assert_array_equal(current.rows, oracle.asked[number - 1])
            assert not set(current.rows) & set(labeled)
            labeled = np.union1d(labeled, current.rows)
        assert current.n_labeled == len(labeled)
        np.testing.assert_array_equal(current.estimator.X_, X[labeled])
        np.testing.assert_array_equal(current.estimator.y_, Y[labeled])
        assert current.fit_seconds > 0
        assert (current.select_seconds > 0) == (current.strategy is not None) == (number > 0)
    np.testing.assert_array_equal(pool.labeled, labeled)


def test_the_strategy_of_a_round_chose_its_rows_with_the_model_of_the_round_before():
    played, _ = play(GaussianNB(), Entropy())
    labeled = FIRST
    for before, current in pairwise(played):
        assert current.strategy.estimator_.estimator is before.estimator
        candidates = np.setdiff1d(np.arange(len(X)), labeled)
        np.testing.assert_array_equal(candidates[current.strategy.select(X[candidates], 5)], current.rows)
        labeled = np.union1d(labeled, current.rows)


def test_the_loop_ends_when_nothing_is_left_and_cuts_the_last_batch():
    played, pool = play(GaussianNB(), n=None, batch_size=20)
    assert [r.n_labeled for r in played] == [6, 26, 46, 66, 75]
    assert len(pool.candidates) == 0
    played, _ = play(GaussianNB(), n=None, batch_size=20, max_labels=30)
    assert [r.n_labeled for r in played] == [6, 26, 30]
    played, _ = play(GaussianNB(), n=None, max_labels=6)
    assert [r.n_labeled for r in played] == [6]


def test_nobody_is_asked_before_the_next_round_is_wanted():
    pool, oracle = Pool(X), Oracle()
    pool.label(FIRST, Y[FIRST], number=0)
    running = rounds(GaussianNB(), Margin(), pool, oracle, batch_size=5, random_state=0)
    assert not oracle.asked
    next(running)
    assert not oracle.asked
    next(running)
    assert [len(rows) for rows in oracle.asked] == [5]


def test_facts_are_told_to_models_that_name_them():
    played, _ = play(Told())
    previous = None
    for current in played:
        number, queried, model_before = current.estimator.told_
        assert number == current.number
        np.testing.assert_array_equal(current.estimator.X_[queried], X[current.rows])
        assert model_before is previous
        previous = current.estimator


def test_a_semi_supervised_model_gets_all_rows_and_knows_which_are_new():
    played, _ = play(ToldWithGaps(GaussianNB()))
    labeled = set(FIRST)
    for current in played:
        labeled |= set(current.rows)
        y = current.estimator.y_
        assert len(y) == len(X)
        np.testing.assert_array_equal(np.flatnonzero(y != -1), sorted(labeled))
        np.testing.assert_array_equal(y[sorted(labeled)], Y[sorted(labeled)])
        np.testing.assert_array_equal(current.estimator.al_queried_, current.rows)


def test_values_per_row_are_sliced_and_others_pass():
    weights = np.arange(1.0, len(X) + 1)
    played, _ = play(Weighted(), fit_params={"sample_weight": weights, "note": "seven"})
    labeled = np.array([], dtype=int)
    for current in played:
        labeled = np.union1d(labeled, current.rows)
        np.testing.assert_array_equal(current.estimator.weights_, weights[labeled])
        assert current.estimator.note_ == "seven"


def test_a_single_class_is_joined_by_random_rows_until_the_model_takes_it():
    seen = set()
    for seed in range(20):
        oracle = Oracle()
        played, pool = play(
            LogisticRegression(C=0.1), first=np.arange(4), oracle=oracle, n=1, random_state=seed
        )
        [current] = played
        asked = np.concatenate(oracle.asked)
        assert current.number == 0
        np.testing.assert_array_equal(np.sort(current.rows), np.sort(np.append(np.arange(4), asked)))
        assert (pool.labeled_iter[current.rows] == 0).all()
        assert (Y[asked[:-1]] == 0).all()  # all but the last were still of the one class
        assert Y[asked[-1]] != 0
        seen.add(int(asked[0]))
    assert len(seen) > 10


def test_a_model_that_takes_one_class_is_left_alone():
    played, _ = play(DecisionTreeClassifier(), first=np.arange(4), n=2)
    assert [r.n_labeled for r in played] == [4, 9]


def test_extension_stops_at_the_limit_and_other_errors_are_raised_at_once():
    with pytest.raises(ValueError, match="class"):
        play(LogisticRegression(), first=np.arange(3), max_labels=3)
    with pytest.raises(ValueError, match="class"):
        play(LogisticRegression(), y=np.zeros_like(Y))
    oracle = Oracle()
    with pytest.raises(ValueError, match="broken on purpose"):
        play(OfOneRow(), oracle=oracle)
    assert not oracle.asked


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_round_r_is_the_same_however_many_follow():
    model = make_pipeline(StandardScaler(), MLPClassifier((4,), max_iter=15, early_stopping=False))
    long, _ = play(model, Subsample(Margin(), size=30), n=5)
    short, _ = play(model, Subsample(Margin(), size=30), n=3)
    for a, b in zip(long, short, strict=False):
        np.testing.assert_array_equal(a.rows, b.rows)
        np.testing.assert_array_equal(a.estimator.predict_proba(X), b.estimator.predict_proba(X))


@pytest.mark.parametrize("random_state", [3, None])
def test_rounds_have_seeds_of_their_own_and_what_the_user_set_stays(random_state):
    played, _ = play(SGDClassifier(loss="log_loss", random_state=random_state), Random())
    seeds = [r.estimator.random_state for r in played]
    assert len(set(seeds)) == (1 if random_state == 3 else len(played))
    assert None not in seeds
    assert len({r.strategy.seed_ for r in played[1:]}) == len(played) - 1


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(max_iter=2),
        SGDClassifier(loss="log_loss", max_iter=1, tol=None),
        MLPClassifier((4,), max_iter=2),
        make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss", max_iter=1, tol=None)),
    ],
    ids=lambda model: type(model).__name__,
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_warm_start_continues_a_copy_of_the_last_model(model):
    pool = Pool(X)
    pool.label(FIRST, Y[FIRST], number=0)
    running = rounds(model, Margin(), pool, Oracle(), batch_size=5, warm_start=True, random_state=0)
    kept, answers = [], []
    for current in islice(running, 4):
        kept.append(current.estimator)
        answers.append(current.estimator.predict_proba(X).copy())
    for estimator, answer in zip(kept, answers, strict=True):
        np.testing.assert_array_equal(estimator.predict_proba(X), answer)
    assert len({id(estimator) for estimator in kept}) == 4
    # By hand: one more fit of a copy, from where it stands, on the labels of that round.
    labeled = pool.labeled
    by_hand = deepcopy(kept[-2])
    states = {n: v for n, v in kept[-1].get_params().items() if n.endswith(("random_state", "warm_start"))}
    np.testing.assert_array_equal(
        by_hand.set_params(**states).fit(X[labeled], Y[labeled]).predict_proba(X), answers[-1]
    )
    cold, _ = play(model)
    assert not np.array_equal(cold[-1].estimator.predict_proba(X), answers[-1])


def test_warm_start_begins_afresh_where_a_class_is_new():
    model = MLPClassifier((4,), max_iter=200, tol=1e-2)
    played, _ = play(model, Random(), n=6, first=np.array([0, 1, 25, 26]), warm_start=True, batch_size=3)
    assert len(played[0].estimator.classes_) == 2
    assert len(played[-1].estimator.classes_) == 3


def test_an_oracle_that_miscounts_is_told_so():
    with pytest.raises(ValueError, match="2 labels for 5 rows"):
        play(GaussianNB(), oracle=lambda rows: Y[rows[:2]])


def test_an_oracle_may_answer_in_any_words():
    names = np.array(["a", "bbb", "cc"])
    pool = Pool(X)
    pool.label(FIRST, names[Y[FIRST]], number=0)
    oracle = lambda rows: [names[Y[row]] for row in rows]  # noqa: E731
    played = list(islice(rounds(GaussianNB(), Margin(), pool, oracle, batch_size=5, random_state=0), 3))
    assert played[-1].estimator.classes_.tolist() == ["a", "bbb", "cc"]


def test_what_can_not_run_is_refused_before_any_training():
    X, y = load_iris(return_X_y=True)
    pool = Pool(X)

    class Untrained(Perceptron):
        def fit(self, X, y):
            raise AssertionError("trained before it was refused")

    with pytest.raises(ValueError, match=r"call pool\.label"):
        next(rounds(LogisticRegression(), Random(), pool, lambda rows: y[rows]))
    pool.label([0, 50, 100], y[[0, 50, 100]], number=0)
    with pytest.raises(TypeError, match=r"Margin\(\) needs a model with predict_proba, which Untrained"):
        next(rounds(Untrained(), Margin(), pool, lambda rows: y[rows]))
    with pytest.raises(TypeError, match="None is no query strategy"):
        next(rounds(LogisticRegression(), None, pool, lambda rows: y[rows]))
