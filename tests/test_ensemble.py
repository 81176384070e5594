"""EnsembleClassifier: members, what they share, and the classifier that they make."""

import pickle
import random
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import load_iris
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from skal import ActiveLearner, EnsembleClassifier, NetClassifier, SegmentationNet
from skal.capabilities import labels_pixels, sample_proba, supports
from skal.metrics import dice_score, iou_score
from skal.nets import SmallFCN, SmallMLP

torch.set_num_threads(1)

X, y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
names = np.array(["setosa", "versicolor", "virginica"])[y]
tree = DecisionTreeClassifier(max_depth=5, splitter="random")


class NoDropout(SmallMLP):
    def __init__(self, in_shape, n_classes, hidden=8):
        super().__init__(in_shape, n_classes, hidden, dropout=0.0)


def net(**params):
    return NetClassifier(**{"max_epochs": 2, "n_threads": 1, "module__hidden": 8} | params)


def ensemble(model=tree, n_members=3, **params):
    return EnsembleClassifier(model, n_members, **{"random_state": 0} | params)


def weights(member):
    return np.concatenate([weight.detach().cpu().numpy().ravel() for weight in member.module_.parameters()])


def differ(arrays):
    return all((one != other).any() for one, other in combinations(arrays, 2))


@parametrize_with_checks(
    [
        EnsembleClassifier(LogisticRegression(), 2),
        EnsembleClassifier(tree, 2, bootstrap=True),
        EnsembleClassifier(LinearSVC(), 2, bootstrap=True),
        EnsembleClassifier(make_pipeline(StandardScaler(), LogisticRegression()), 2),
        EnsembleClassifier(NetClassifier(NoDropout, dtype="float64", batch_size=-1, lr=0.01, n_threads=1), 2),
    ]
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize("model", [tree, net(), make_pipeline(StandardScaler(), net())], ids=repr)
def test_the_answer_is_the_mean_probability_of_members_that_differ(model):
    fitted = ensemble(model).fit(X, names)
    answers = [member.predict_proba(X) for member in fitted.estimators_]
    assert differ(answers)
    assert_array_equal(fitted.sample_proba(X), answers)
    assert_allclose(fitted.predict_proba(X), np.mean(answers, axis=0), rtol=1e-14)
    assert_allclose(np.exp(fitted.predict_log_proba(X)), np.mean(answers, axis=0))
    assert_array_equal(fitted.predict(X), fitted.classes_[fitted.predict_proba(X).argmax(axis=1)])
    assert fitted.score(X, names) > 0.4


def test_seeds_inside_the_model_do_not_make_members_equal():
    for model in (clone(tree).set_params(random_state=7), net(random_state=7)):
        assert differ([member.predict_proba(X) for member in ensemble(model).fit(X, y).estimators_])
        assert model.random_state == 7
    members = ensemble(make_pipeline(StandardScaler(), net(random_state=7))).fit(X, y).estimators_
    assert len({member[-1].random_state for member in members}) == 3


@pytest.mark.parametrize("model", [tree, net()], ids=repr)
@pytest.mark.parametrize("bootstrap", [False, True])
def test_an_int_seed_repeats_itself_and_others_do_not(model, bootstrap):
    first, again, other = (
        ensemble(model, bootstrap=bootstrap, random_state=seed).fit(X, y).predict_proba(X)
        for seed in (0, 0, 1)
    )
    assert_array_equal(first, again)
    assert (first != other).any()


def state():
    return np.random.get_state()[1].tobytes(), random.getstate(), torch.get_rng_state().numpy().tobytes()


@pytest.mark.parametrize("random_state", [0, None])
def test_global_random_states_stay_as_they_are(random_state):
    before = state()
    fitted = ensemble(net(), bootstrap=True, random_state=random_state).fit(X, y)
    fitted.sample_proba(X, 2)
    fitted.predict(X)
    assert state() == before


def test_jobs_do_not_change_the_result():
    large = net(module__hidden=600, max_epochs=1)  # too large to be trained together on a CPU
    for model in (tree, make_pipeline(StandardScaler(), large)):
        one, two = (ensemble(model, bootstrap=True, n_jobs=n_jobs).fit(X, names) for n_jobs in (None, 2))
        assert_array_equal(one.sample_proba(X), two.sample_proba(X))


def test_fewer_draws_are_a_seeded_subset_of_the_members():
    fitted = ensemble(n_members=6).fit(X, y)
    every = fitted.sample_proba(X)
    some = fitted.sample_proba(X, 4, random_state=3)
    assert_array_equal(some, fitted.sample_proba(X, 4, random_state=3))
    assert_array_equal(fitted.sample_proba(X, 4), fitted.sample_proba(X, 4))
    assert len(some) == len({draw.tobytes() for draw in some}) == 4
    assert {draw.tobytes() for draw in some} <= {draw.tobytes() for draw in every}
    assert len({fitted.sample_proba(X, 2, random_state=seed).tobytes() for seed in range(10)}) > 1
    assert_array_equal(fitted.sample_proba(X, 6, consistent=False), every)
    with pytest.raises(ValueError, match=r"n_draws=7 .* 6 members"):
        fitted.sample_proba(X, 7)
    with pytest.raises(ValueError, match="n_draws"):
        fitted.sample_proba(X, 0)


def test_rows_are_answered_one_by_one():
    fitted, order = ensemble(net()).fit(X, y), np.random.RandomState(0).permutation(150)
    assert_allclose(fitted.sample_proba(X[order]), fitted.sample_proba(X)[:, order], atol=1e-7)
    assert_allclose(fitted.predict_proba(X[:1]), fitted.predict_proba(X)[:1], atol=1e-7)


def test_a_bootstrap_member_may_lack_classes_but_never_all_but_one():
    rare = np.array(["common"] * 147 + ["odd", "rare", "scarce"])
    fitted = ensemble(GaussianNB(), 12, bootstrap=True).fit(X, rare)
    known = [set(member.classes_) for member in fitted.estimators_]
    assert min(map(len, known)) >= 2
    assert len(set(map(frozenset, known))) > 1
    draws = fitted.sample_proba(X)
    assert draws.shape == (12, 150, 4)
    assert_allclose(draws.sum(axis=2), 1)
    for member, draw, rows in zip(fitted.estimators_, draws, fitted.estimators_samples_, strict=True):
        assert_array_equal(draw[:, np.isin(fitted.classes_, member.classes_)], member.predict_proba(X))
        assert (draw[:, ~np.isin(fitted.classes_, member.classes_)] == 0).all()
        assert_array_equal(member.classes_, np.unique(rare[rows]))


def test_nets_know_all_classes_of_a_bootstrap():
    rare = np.array(["common"] * 148 + ["odd", "rare"])
    fitted = ensemble(net(), 4, bootstrap=True).fit(X, rare)
    assert all(member.predict_proba(X).shape == (150, 3) for member in fitted.estimators_)


def test_a_bootstrap_member_is_trained_on_its_rows_and_their_weights():
    weight = np.random.RandomState(0).rand(150)
    fitted = ensemble(LogisticRegression(), bootstrap=True).fit(X, names, sample_weight=weight)
    assert differ(fitted.estimators_samples_)
    for member, rows in zip(fitted.estimators_, fitted.estimators_samples_, strict=True):
        alone = LogisticRegression().fit(X[rows], names[rows], sample_weight=weight[rows])
        assert_array_equal(member.predict_proba(X), alone.predict_proba(X))
    again = fitted.set_params(bootstrap=False).fit(X, names)
    assert not hasattr(again, "estimators_samples_")


def test_metadata_routing_brings_weights_to_the_members():
    weight = np.random.RandomState(0).rand(150)
    expected = ensemble(LogisticRegression()).fit(X, y, sample_weight=weight).predict_proba(X)
    with config_context(enable_metadata_routing=True):
        model = LogisticRegression().set_fit_request(sample_weight=True)
        routed = ensemble(model).fit(X, y, sample_weight=weight)
        scaler = StandardScaler().set_fit_request(sample_weight=False)
        inside = ensemble(make_pipeline(scaler, model)).fit(X, y, sample_weight=weight)
    assert_array_equal(routed.predict_proba(X), expected)
    assert_allclose(inside.predict_proba(X), expected, atol=1e-6)


def in_pipeline(net):
    return make_pipeline(StandardScaler(), net)


@pytest.mark.parametrize("wrap", [lambda net: net, in_pipeline], ids=["net", "pipeline"])
def test_shared_init_starts_all_members_from_the_same_weights(wrap):
    def members(**params):
        fitted = ensemble(wrap(net(**params)), shared_init=True).fit(X, y).estimators_
        return [weights(member if hasattr(member, "module_") else member[-1]) for member in fitted]

    start = members(max_epochs=0)
    assert_array_equal(start[0], start[1])
    assert_array_equal(start[0], start[2])
    assert differ(members(max_epochs=1))
    assert differ(members(max_epochs=1, module=NoDropout))  # by the order alone
    assert differ([weights(m) for m in ensemble(net(max_epochs=0)).fit(X, y).estimators_])
    assert differ([start[0], weights(ensemble(net(max_epochs=0), random_state=1).fit(X, y).estimators_[0])])


class Recording(torch.nn.Linear):
    """Keeps what it was given."""

    def __init__(self, n_classes):
        super().__init__(4, n_classes)
        self.seen = []

    def forward(self, X):
        self.seen += X.tolist() if self.training else []
        return super().forward(X)


@pytest.mark.parametrize("wrap", [lambda net: net, in_pipeline], ids=["net", "pipeline"])
def test_shared_order_shows_all_members_the_same_batches(wrap):
    def members(**params):
        model = wrap(NetClassifier(Recording, batch_size=16, max_epochs=2, n_threads=1))
        fitted = ensemble(model, **params).fit(X, y).estimators_
        return [member if hasattr(member, "module_") else member[-1] for member in fitted]

    shared = members(shared_order=True)
    assert shared[0].module_.seen == shared[1].module_.seen == shared[2].module_.seen
    assert differ(list(map(weights, shared)))
    own = members()
    assert differ([np.array(member.module_.seen) for member in own])


def test_what_a_model_has_not_got_can_not_be_shared():
    with pytest.raises(ValueError, match="shared_init=True needs a model with the parameter init_seed"):
        ensemble(tree, shared_init=True).fit(X, y)
    with pytest.raises(ValueError, match="shared_order=True needs a model with the parameter order_seed"):
        ensemble(make_pipeline(StandardScaler(), tree), shared_order=True).fit(X, y)


def test_a_search_over_members_their_width_and_what_they_share():
    grid = {"n_members": [1, 2], "estimator__module__hidden": [3, 6], "shared_init": [False, True]}
    search = GridSearchCV(ensemble(net(max_epochs=1)), grid, cv=2).fit(X, y)
    best = search.best_estimator_
    widths = {member.module_.output.in_features for member in best.estimators_}
    assert widths == {search.best_params_["estimator__module__hidden"]}
    assert len(best.estimators_) == search.best_params_["n_members"]
    assert not np.isnan(search.cv_results_["mean_test_score"]).any()


def test_in_a_learner():
    learner = ActiveLearner(ensemble(), n_rounds=2, random_state=0).fit(X, names)
    again = ActiveLearner(ensemble(), n_rounds=2, random_state=0).fit(X, names)
    assert_array_equal(learner.labeled_iter_, again.labeled_iter_)
    assert learner.score(X, names) > 0.8
    with pytest.raises(ValueError, match="warm_start"):
        ActiveLearner(ensemble(net()), warm_start=True).fit(X, y)


def test_it_is_a_committee_that_can_be_asked_for_draws():
    assert supports(ensemble(), "sample_proba")
    fitted = ensemble().fit(X, y)
    assert_array_equal(sample_proba(fitted, X), fitted.sample_proba(X))
    search = GridSearchCV(make_pipeline(StandardScaler(), ensemble()), {}, cv=2).fit(X, y)
    assert sample_proba(search, X, 2).shape == (2, 150, 3)


def test_members_without_probabilities_vote():
    fitted = ensemble(LinearSVC(), 5, bootstrap=True).fit(X, names)
    assert not hasattr(fitted, "predict_proba")
    assert not hasattr(fitted, "predict_log_proba")
    votes = np.array([member.predict(X) for member in fitted.estimators_])
    assert_array_equal(fitted.classes_[fitted.sample_proba(X).argmax(axis=2)], votes)
    assert set(np.unique(fitted.sample_proba(X))) == {0, 1}
    counts = np.array([[(column == name).sum() for name in fitted.classes_] for column in votes.T])
    assert_array_equal(fitted.predict(X), fitted.classes_[counts.argmax(axis=1)])


def test_rows_of_any_kind():
    texts = ["red rose", "blue sky", "red sun", "blue sea"] * 5
    labels = np.array(["red", "blue"] * 10)
    fitted = ensemble(make_pipeline(TfidfVectorizer(), tree), bootstrap=True).fit(texts, labels)
    assert fitted.score(texts, labels) == 1
    images = np.random.RandomState(0).rand(20, 1, 8, 8).astype(np.float32)
    small = NetClassifier(max_epochs=1, n_threads=1, module__channels=(2, 2))
    assert ensemble(small, bootstrap=True).fit(images, labels).sample_proba(images).shape == (3, 20, 2)
    rows = torch.utils.data.TensorDataset(torch.from_numpy(images), torch.arange(20) % 2)
    assert ensemble(small, bootstrap=True).fit(rows, np.arange(20) % 2).predict_proba(rows).shape == (20, 2)
    frame = pd.DataFrame(X, columns=list("abcd"))
    fitted = ensemble(bootstrap=True).fit(frame, names)
    assert list(fitted.feature_names_in_) == list("abcd")
    assert fitted.n_features_in_ == 4
    assert_array_equal(
        ensemble(LogisticRegression(), bootstrap=True).fit(sparse.csr_matrix(X), y).predict(X),
        ensemble(LogisticRegression(), bootstrap=True).fit(X, y).predict(X),
    )


def test_classes_named_for_the_members_are_classes_of_the_ensemble():
    fitted = ensemble(net(classes=["yew", *np.unique(names)])).fit(X, names)
    assert_array_equal(fitted.classes_, [*np.unique(names), "yew"])
    assert fitted.predict_proba(X).shape == (150, 4)


def test_clone_and_pickle():
    fitted = ensemble(net(), shared_init=True).fit(X, names)
    assert repr(clone(fitted)) == repr(fitted)
    assert_array_equal(pickle.loads(pickle.dumps(fitted)).sample_proba(X), fitted.sample_proba(X))
    assert_array_equal(clone(fitted).fit(X, names).sample_proba(X), fitted.sample_proba(X))


def test_what_is_no_classifier_is_refused():
    with pytest.raises(TypeError, match="is a regressor"):
        ensemble(LinearRegression()).fit(X, y)
    with pytest.raises(TypeError, match=r"NetClassifier\(module\)"):
        ensemble(torch.nn.Linear(4, 3)).fit(X, y)
    with pytest.raises(ValueError, match="n_members"):
        ensemble(n_members=0).fit(X, y)


def test_rows_without_a_label_are_no_class():
    selftrained = ensemble(SelfTrainingClassifier(GaussianNB()), 2)
    with pytest.raises(ValueError, match=r"(?s)rows without a label.*leave these"):
        selftrained.fit(X, np.where(np.arange(len(y)) % 2, y, -1))
    with pytest.warns(UserWarning, match="no unlabeled"):
        assert len(selftrained.fit(X, y).classes_) == 3


squares = np.zeros((12, 10, 10), dtype=int)
for place, square in enumerate(squares):
    square[place % 5 :][:5, (3 * place) % 5 :][:, :5] = 1
images = (0.6 * squares + 0.3 * np.random.RandomState(0).rand(*squares.shape)).astype(np.float32)


def segmenter(**params):
    return SegmentationNet(**{"module": SmallFCN, "max_epochs": 3, "lr": 0.01, "n_threads": 1} | params)


@pytest.mark.parametrize("bootstrap", [False, True])
@pytest.mark.parametrize("model", [segmenter(), make_pipeline(segmenter())], ids=["net", "pipeline"])
def test_members_that_label_pixels(model, bootstrap):
    fitted = ensemble(model, bootstrap=bootstrap).fit(images, 7 * squares)
    assert labels_pixels(fitted)
    assert not labels_pixels(ensemble())
    answers = [member.predict_proba(images) for member in fitted.estimators_]
    assert differ(answers)
    assert_array_equal(fitted.classes_, [0, 7])
    assert_array_equal(fitted.sample_proba(images), answers)
    assert sample_proba(fitted, images, 2, random_state=0).shape == (2, 12, 10, 10, 2)
    assert_allclose(fitted.predict_proba(images), np.mean(answers, axis=0))
    assert_allclose(np.exp(fitted.predict_log_proba(images)), np.mean(answers, axis=0))
    assert_array_equal(fitted.predict(images), 7 * fitted.predict_proba(images).argmax(axis=-1))
    assert fitted.embed(images).shape == (12, 3 * 32)
    assert fitted.score(images, 7 * squares) == dice_score(7 * squares, fitted.predict(images)) > 0.4
    again = clone(fitted).fit(images, 7 * squares)
    assert_array_equal(again.predict_proba(images), fitted.predict_proba(images))


def test_members_label_images_of_different_sizes_and_images_without_masks():
    mixed, masks = [images[0], images[1, :8], images[2]], np.empty(3, dtype=object)
    masks[:] = [None, squares[1, :8], squares[2]]
    fitted = ensemble(segmenter(), bootstrap=True).fit(mixed, masks)
    assert all(set(rows) <= {1, 2} for rows in fitted.estimators_samples_)
    assert [own.shape for own in fitted.predict_proba(mixed)] == [(10, 10, 2), (8, 10, 2), (10, 10, 2)]
    assert [own.shape for own in fitted.sample_proba(mixed)] == [(3, *own.shape, 2) for own in mixed]
    assert [own.shape for own in fitted.predict(mixed)] == [own.shape for own in mixed]
    assert_allclose(fitted.predict_log_proba(mixed)[1], np.log(fitted.predict_proba(mixed)[1]))
    for number, own in enumerate(fitted.predict_proba(mixed)):
        assert_allclose(fitted.predict_proba(mixed[number][None])[0], own, atol=1e-6)
    assert 0 < fitted.score(mixed, masks) <= 1
    weighted = ensemble(segmenter(), 2).fit(mixed, masks, sample_weight=[1, 2, 3])
    assert weighted.predict(mixed).shape == (3,)


def test_a_score_of_masks_is_the_one_that_members_have():
    marked = np.where(np.arange(10) < 2, 9, squares)
    fitted = ensemble(segmenter(scoring="iou", ignore_index=9), 2).fit(images, marked)
    assert fitted.score(images, marked) == iou_score(marked, fitted.predict(images), ignore_index=9)
    weight = np.arange(12)
    assert fitted.score(images, marked, weight) == iou_score(
        marked, fitted.predict(images), ignore_index=9, sample_weight=weight
    )
    with pytest.raises(ValueError, match="none of the 12 masks"):
        fitted.score(images, np.full_like(squares, 9))


def test_a_bootstrap_sample_of_masks_has_two_classes():
    rare = np.zeros_like(squares)
    rare[0, 0, 0] = 1
    fitted = ensemble(segmenter(max_epochs=0), 8, bootstrap=True).fit(images, rare)
    assert all(0 in rows and len(rows) == 12 for rows in fitted.estimators_samples_)
    assert all(member.predict_proba(images).shape[-1] == 2 for member in fitted.estimators_)


def test_members_that_label_pixels_are_trained_one_by_one():
    with pytest.raises(ValueError, match="together='auto' then trains them one by one"):
        ensemble(segmenter(), together=True).fit(images, squares)
    with pytest.raises(ValueError, match="whole numbers"):
        ensemble(segmenter()).fit(images, squares * 0.5)
    with pytest.raises(ValueError, match="inconsistent numbers"):
        ensemble(segmenter()).fit(images, squares[:5])
