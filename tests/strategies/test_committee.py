"""Committees: lists of models, or any model with draws."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits, load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression, Perceptron
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from skal import ActiveLearner, NetClassifier, acquisition
from skal.strategies import BALD, QueryByCommittee

X, Y = load_iris(return_X_y=True)
NAMES = np.array(["setosa", "versicolor", "virginica"])[Y]
LIST = [GaussianNB(), KNeighborsClassifier(3), make_pipeline(StandardScaler(), LogisticRegression())]
KINDS = {
    "vote_entropy": acquisition.vote_entropy,
    "consensus_entropy": acquisition.predictive_entropy,
    "consensus_kl": acquisition.mutual_information,
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("y", [Y, NAMES], ids=["ints", "strings"])
def test_a_list_of_models_is_a_committee(kind, y):
    strategy = QueryByCommittee(LIST, kind=kind, random_state=0).fit(X[::5], y[::5])
    alone = np.stack([clone(member).fit(X[::5], y[::5]).predict_proba(X) for member in LIST])
    np.testing.assert_allclose(strategy.score(X), KINDS[kind](alone), atol=1e-9)
    assert not any(hasattr(member, "classes_") for member in LIST)


def test_the_divergence_from_the_consensus_is_bald():
    forest = RandomForestClassifier(9, random_state=0)
    committee = QueryByCommittee(forest, kind="consensus_kl", random_state=0).fit(X[::5], Y[::5])
    bald = BALD(forest, random_state=0).fit(X[::5], Y[::5])
    np.testing.assert_allclose(committee.score(X), bald.score(X), atol=1e-10)
    np.testing.assert_array_equal(committee.select(X, 9), bald.select(X, 9))


def test_members_that_only_vote_and_members_that_are_fitted():
    fitted = FrozenEstimator(GaussianNB().fit(X, NAMES))
    strategy = QueryByCommittee([Perceptron(), fitted, GaussianNB()], random_state=0).fit(X, NAMES)
    votes = np.stack([member.predict(X) for member in strategy.estimator_.estimators_[::2]])
    assert strategy.score(X)[(votes[0] == votes[1])].max() == 0


def test_classical_and_deep_members_side_by_side():
    images, y = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8) / 16
    flat = FunctionTransformer(lambda X: X.reshape(len(X), -1))
    committee = [NetClassifier(max_epochs=2), make_pipeline(flat, LogisticRegression(max_iter=500))]
    strategy = QueryByCommittee(committee, random_state=0).fit(images[:50], y[:50])
    rows = strategy.select(images, 5)
    np.testing.assert_array_equal(rows, clone(strategy).fit(images[:50], y[:50]).select(images, 5))
    assert len(set(rows.tolist())) == 5


def test_a_committee_chooses_for_another_model():
    learner = ActiveLearner(
        LogisticRegression(max_iter=500), QueryByCommittee(LIST), n_rounds=2, random_state=0
    ).fit(X, Y)
    assert learner.score(X, Y) > 0.8


def test_a_committee_is_searched_for_its_kind_and_prints_and_clones():
    strategy = QueryByCommittee(LIST, kind="consensus_kl")
    assert repr(clone(strategy)) == repr(strategy)
    assert clone(strategy).estimator is not LIST


@pytest.mark.parametrize(
    ("members", "error", "said"),
    [
        ([GaussianNB(), LinearRegression()], TypeError, "LinearRegression.* is a regressor"),
        ([GaussianNB(), "knn"], TypeError, "needs an estimator with fit"),
        ([GaussianNB(), None], TypeError, "needs an estimator with fit"),
        ([GaussianNB(), GaussianNB], TypeError, "needs an estimator with fit, as an object"),
        ([GaussianNB()], ValueError, "at least 2"),
        ([], ValueError, "at least 2"),
        (GaussianNB(), TypeError, "needs a model with sample_proba"),
        (None, TypeError, "needs a model with sample_proba, and has none"),
    ],
)
def test_what_is_no_committee_is_refused(members, error, said):
    with pytest.raises(error, match=f"(?s){said}"):
        QueryByCommittee(members).fit(X, Y).score(X)


def test_kinds_that_there_are_not_are_refused():
    with pytest.raises(ValueError, match="consensus_kl"):
        QueryByCommittee(LIST, kind="kl").fit(X, Y)
