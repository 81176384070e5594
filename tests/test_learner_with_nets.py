"""Nets and the loop together: the contract's snippets, seeds to the bit, classes that turn up late."""

import random
import subprocess
import sys

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch import NeuralNetClassifier
from skorch.callbacks import EpochScoring

from skal import ActiveLearner, NetClassifier
from skal.loop import rounds
from skal.nets import SmallMLP
from skal.pool import Pool
from skal.strategies import Entropy, LeastConfidence, Margin, Random, Subsample
from skal.testing import every_strategy

X, y = load_digits(return_X_y=True)
images = (X / 16).reshape(-1, 8, 8).astype(np.float32)[:300]
X, y = X[:300] / 16, y[:300]


def small_net(**params):
    return NetClassifier(**({"max_epochs": 5, "n_threads": 1, "module__channels": (4, 8)} | params))


def learner(strategy=None, **params):
    return ActiveLearner(small_net(), strategy, **({"n_rounds": 2, "random_state": 0} | params))


def same_models(first, second):
    return all(
        torch.equal(a, b)
        for one, other in zip(first.models_, second.models_, strict=True)
        for a, b in zip(one.module_.state_dict().values(), other.module_.state_dict().values(), strict=True)
    )


def test_a_seed_fixes_every_bit_of_every_round():
    first, second = (learner().fit(images, y) for _ in range(2))
    assert same_models(first, second)
    np.testing.assert_array_equal(first.labeled_iter_, second.labeled_iter_)
    np.testing.assert_array_equal(first.predict_proba(images), second.predict_proba(images))
    np.testing.assert_array_equal(first.query(images, 7), second.query(images, 7))
    assert not same_models(first, learner(random_state=1).fit(images, y))


def test_a_fresh_process_gives_the_same_bits():
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_learner_with_nets import images, learner, y\n"
        "fitted = learner().fit(images, y)\n"
        "print(fitted.labeled_iter_.tobytes().hex(), fitted.predict_proba(images).tobytes().hex())"
    )
    folder = __file__.rpartition("/")[0]
    answer = subprocess.run([sys.executable, "-c", code, folder], capture_output=True, text=True, check=True)
    here = learner().fit(images, y)
    assert answer.stdout.split() == [
        here.labeled_iter_.tobytes().hex(),
        here.predict_proba(images).tobytes().hex(),
    ]


def test_two_processes_search_as_one_does():
    grid = {"strategy": [Random(), Margin()], "estimator__lr": [1e-3, 3e-3]}
    one, two = (
        GridSearchCV(learner(), grid, cv=2, n_jobs=n_jobs, scoring="neg_log_loss").fit(images, y)
        for n_jobs in (1, 2)
    )
    np.testing.assert_array_equal(one.cv_results_["mean_test_score"], two.cv_results_["mean_test_score"])
    np.testing.assert_array_equal(one.predict_proba(images), two.predict_proba(images))


def test_a_longer_run_begins_like_a_shorter_one():
    shorter, longer = (learner(n_rounds=n).fit(images, y) for n in (1, 3))
    longer.models_ = longer.models_[:2]
    assert same_models(shorter, longer)


@pytest.mark.parametrize("random_state", [0, None])
def test_global_states_are_as_before(random_state):
    np.random.seed(7), random.seed(7), torch.manual_seed(7)
    before = np.random.get_state()[1].copy(), random.getstate(), torch.get_rng_state()
    fitted = learner(random_state=random_state).fit(images, y)
    fitted.predict(images), fitted.query(images, 3)
    np.testing.assert_array_equal(np.random.get_state()[1], before[0])
    assert random.getstate() == before[1]
    assert torch.equal(torch.get_rng_state(), before[2])
    assert torch.is_grad_enabled()


def test_hidden_labels_change_no_bit():
    fitted = learner().fit(images, y)
    hidden = np.flatnonzero(fitted.labeled_iter_ < 0)
    shuffled = y.copy()
    shuffled[hidden] = np.random.RandomState(0).permutation(y[hidden])
    assert same_models(fitted, learner().fit(images, shuffled))


@pytest.mark.parametrize("warm_start", [False, True])
def test_a_class_that_turns_up_late_has_its_column_from_the_start(warm_start):
    """The net is told the vocabulary, so its outputs stay, also where training goes on."""
    initial = np.flatnonzero(y < 5)[:20]
    fitted = learner(Random(), initial=initial, warm_start=warm_start, n_rounds=3).fit(images, y)
    proba = list(fitted.staged_predict_proba(images))
    assert {p.shape for p in proba} == {(300, 10)}
    np.testing.assert_allclose(proba[-1].sum(axis=1), 1)
    assert fitted.models_[0].module_.output.out_features == 10


def test_a_warm_start_goes_on_and_leaves_earlier_models_alone():
    warm = learner(warm_start=True).fit(images, y)
    epochs = [len(model.history) for model in warm.models_]
    assert epochs == [5, 10, 15]
    first = learner(warm_start=True, n_rounds=0, initial="random").set_params(n_rounds=1).fit(images, y)
    assert torch.equal(first.models_[0].module_.output.weight, warm.models_[0].module_.output.weight)


def test_strings_gaps_and_parameters_of_the_module():
    names = np.array([f"digit {label}" for label in y], dtype=object)
    names[100:] = None
    fitted = learner().set_params(estimator__module__hidden=16, estimator__optimizer__weight_decay=0.01)
    fitted.fit(images, names)
    assert set(fitted.predict(images)) <= set(names[:100])
    assert (fitted.labeled_iter_[100:] == -1).all()
    assert 0 < fitted.score(images, names) <= 1
    assert fitted.estimator_.module_.output.in_features == 16


def test_the_grid_of_all_strategies_runs():
    grid = {"strategy": every_strategy()}
    search = GridSearchCV(learner(n_rounds=1), grid, cv=2, error_score="raise").fit(images, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_net_anywhere_a_model_goes():
    table = NetClassifier(max_epochs=5, n_threads=1)
    for model in (make_pipeline(StandardScaler(), table), GridSearchCV(table, {"lr": [1e-3, 1e-2]}, cv=2)):
        fitted = ActiveLearner(
            model, Margin(), initial="stratified", n_initial=40, n_rounds=1, random_state=0
        )
        assert fitted.fit(X, y).predict_proba(X).shape == (300, 10)


def test_a_cheap_model_chooses_for_an_expensive_one():
    fitted = ActiveLearner(small_net(), Margin(RandomForestClassifier(5)), n_rounds=1, random_state=0)
    fitted.set_params(estimator=NetClassifier(max_epochs=5, n_threads=1)).fit(X, y)
    assert isinstance(fitted.strategy_.estimator_, RandomForestClassifier)


def test_the_loop_by_hand_with_a_strategy_of_a_net():
    strategy = Subsample(Entropy(small_net()), size=50, random_state=0)
    labeled = np.arange(20)
    for _ in range(2):
        strategy.fit(images[labeled], y[labeled])
        unlabeled = np.setdiff1d(np.arange(300), labeled)
        labeled = np.append(labeled, unlabeled[strategy.select(images[unlabeled], n=10)])
    assert len(set(labeled.tolist())) == 40


def test_rounds_with_an_oracle_that_only_answers():
    pool = Pool(images)
    pool.label(np.arange(20), y[:20], number=0)
    running = rounds(small_net(), LeastConfidence(), pool, lambda rows: y[rows], batch_size=5, random_state=0)
    assert [next(running).n_labeled for _ in range(3)] == [20, 25, 30]


def test_a_plain_skorch_net_is_a_model_too():
    net = NeuralNetClassifier(
        SmallMLP, module__in_shape=(64,), module__n_classes=10, criterion=torch.nn.CrossEntropyLoss,
        max_epochs=2, verbose=0, train_split=None,
    )  # fmt: skip
    fitted = ActiveLearner(net, Margin(), initial="stratified", n_rounds=1, random_state=0)
    assert fitted.fit(X.astype(np.float32), y).predict(X.astype(np.float32)).shape == (300,)


def test_callbacks_of_skorch_run_in_every_round():
    scoring = EpochScoring("accuracy", on_train=True, name="train_acc", use_caching=False)
    fitted = learner().set_params(estimator__callbacks=[scoring]).fit(images, y)
    assert all("train_acc" in model.history[-1] for model in fitted.models_)


def test_a_bare_module_is_refused_with_advice():
    for bare in (SmallMLP((64,), 10), SmallMLP):
        with pytest.raises(TypeError, match=r"NetClassifier\(module\)"):
            ActiveLearner(bare).fit(X, y)


def test_models_swap_freely_in_one_grid():
    grid = {"estimator": [NetClassifier(max_epochs=3, n_threads=1), LogisticRegression()]}
    search = GridSearchCV(clone(learner(n_rounds=1)), grid, cv=2).fit(X, y)
    assert len(search.cv_results_["params"]) == 2


def test_a_dataset_of_pairs_is_a_pool():
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(images), torch.from_numpy(y))
    fitted = learner().fit(pairs, y)
    assert (fitted.labeled_iter_ >= 0).sum() == 40
    np.testing.assert_allclose(fitted.predict_proba(pairs), fitted.predict_proba(images), atol=1e-6)
    assert (fitted.labeled_iter_[fitted.query(pairs, 260)] == -1).all()
