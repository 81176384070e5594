"""EMOC asks for the labels that would change the model's answers most."""

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from scipy.stats import norm
from sklearn.datasets import load_iris
from sklearn.ensemble import RandomForestClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import LogisticRegression, SGDClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from skal import ActiveLearner, NetClassifier
from skal.strategies import EMOC, Subsample
from skal.testing import query_strategy_checks

X, Y = load_iris(return_X_y=True)
X = X - X.mean(axis=0)
LABELED = np.arange(0, 150, 5)
FORMS = [(output, labels) for output in ("proba", "logit") for labels in ("full", "max")]
FOREST = RandomForestClassifier(3, max_depth=3, random_state=0)
NET = NetClassifier(module__hidden=8, max_epochs=1, batch_size=-1, dtype="float64", random_state=0)
PROCESS = GaussianProcessRegressor(RBF(2.0), alpha=0.1, optimizer=None)


def fitted(strategy, X=X, y=Y):
    return strategy.set_params(random_state=0).fit(X[LABELED], y[LABELED])


def by_steps(weights, answers, proba, points, labels, size=1e-6):
    """What a small step on each row and label changes in the mean over all rows, in steps of size 1."""
    expected = proba if labels == "full" else np.eye(proba.shape[1])[proba.argmax(axis=1)]
    before, scores = answers(weights), np.empty(len(points))
    for i, point in enumerate(points):
        steps = [np.outer(point, label - proba[i]) for label in np.eye(proba.shape[1])]
        moved = [np.abs(answers(weights + size * step) - before).sum(axis=1).mean() for step in steps]
        scores[i] = expected[i] @ moved / size
    return scores


@pytest.mark.parametrize(("output", "labels"), FORMS)
def test_of_a_linear_model_it_is_what_a_step_of_gradient_descent_changes(output, labels):
    model = make_pipeline(StandardScaler(), LogisticRegression())
    strategy = fitted(EMOC(model, output=output, labels=labels))
    scaler, logistic = strategy.estimator_
    points = np.hstack([scaler.transform(X), np.ones((150, 1))])
    weights = np.vstack([logistic.coef_.T, logistic.intercept_])
    scores = by_steps(
        weights,
        lambda weights: points @ weights if output == "logit" else softmax(points @ weights, axis=1),
        strategy.estimator_.predict_proba(X),
        points,
        labels,
    )
    np.testing.assert_allclose(strategy.score(X), scores, rtol=1e-4, atol=1e-8)


@pytest.mark.parametrize("output", ["proba", "logit"])
def test_two_classes_count_as_two_logits_twice_the_change_of_one(output):
    strategy = fitted(EMOC(LogisticRegression(), output=output), y=(Y == 2).astype(int))
    model, size = strategy.estimator_, 1e-6
    points = np.hstack([X, np.ones((150, 1))])
    weights = np.append(model.coef_, model.intercept_)

    def answers(weights):
        logit = points @ weights
        return logit[:, np.newaxis] if output == "logit" else np.stack([expit(-logit), expit(logit)], axis=1)

    scores, before = np.zeros(150), answers(weights)
    for i, point in enumerate(points):
        p = expit(point @ weights)
        for label, weight in ((0, 1 - p), (1, p)):
            moved = answers(weights + size * (label - p) * point) - before
            scores[i] += weight * np.abs(moved).sum(axis=1).mean() / size
    np.testing.assert_allclose(strategy.score(X), 2 * scores, rtol=1e-4, atol=1e-8)


class WithNorm(nn.Module):
    """Batch normalisation and dropout before the last layer, which is registered first."""

    def __init__(self, n_classes):
        super().__init__()
        self.head = nn.Linear(5, n_classes)
        self.body = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Dropout(0.5))

    def forward(self, X):
        return self.head(self.body(X))


def by_autograd(module, head, X, output, labels):
    """The definition, by gradients of the last layer one at a time."""

    def gradients(values):
        flat = []
        for value in values.reshape(-1):
            parts = torch.autograd.grad(value, list(head.parameters()), retain_graph=True)
            flat.append(torch.cat([part.reshape(-1) for part in parts]))
        return torch.stack(flat)

    logits = module(torch.from_numpy(X))
    proba = logits.softmax(1)
    answers = logits if output == "logit" else proba
    jacobian = gradients(answers).reshape(*answers.shape, -1)
    scores = []
    for row, p in zip(logits, proba.detach(), strict=True):
        expected = p if labels == "full" else torch.eye(len(p), dtype=p.dtype)[p.argmax()]
        steps = gradients(-row.log_softmax(0))
        scores.append(float(expected @ (jacobian @ steps.T).abs().sum(1).mean(0)))
    return np.array(scores)


@pytest.mark.parametrize(("output", "labels"), FORMS)
def test_of_a_net_it_is_the_gradients_of_the_last_layer_in_evaluation_mode(output, labels):
    net = NetClassifier(WithNorm, dtype="float64", max_epochs=2, random_state=0, device="cpu")
    strategy = fitted(EMOC(net, output=output, labels=labels))
    module = strategy.estimator_.module_.eval()
    rows = X[:40]
    expected = by_autograd(module, module.head, rows, output, labels)
    module.train()
    np.testing.assert_allclose(strategy.score(rows), expected, rtol=1e-6)
    assert module.training


def test_all_weights_of_a_net_are_more_than_the_last_layers_and_the_same_where_the_others_are_fixed():
    net = fitted(EMOC(NET)).estimator_
    kept = {"n_reference": 60, "random_state": 0}
    everything = EMOC(FrozenEstimator(net), layers="all", **kept).fit(X[LABELED], Y[LABELED])
    last = EMOC(FrozenEstimator(net), **kept).fit(X[LABELED], Y[LABELED])
    assert (everything.score(X[:20]) > last.score(X[:20])).all()
    for weight in net.module_.features.parameters():
        weight.requires_grad_(False)
    np.testing.assert_allclose(everything.score(X[::2]), last.score(X[::2]), rtol=1e-6)


def test_all_weights_of_a_net_in_a_pipeline_see_what_the_net_sees():
    strategy = fitted(EMOC(make_pipeline(StandardScaler(), NET), layers="all"))
    scaler, net = strategy.estimator_
    inner = EMOC(FrozenEstimator(net), layers="all", random_state=0).fit(X[LABELED], Y[LABELED])
    np.testing.assert_allclose(strategy.score(X[:9]), inner.score(scaler.transform(X[:9])))


def test_all_weights_of_a_linear_model_are_its_last_layer():
    for model in (LogisticRegression(), make_pipeline(StandardScaler(), SGDClassifier(loss="log_loss"))):
        scores = [fitted(EMOC(model, layers=layers)).score(X) for layers in ("last", "all")]
        np.testing.assert_array_equal(*scores)


@pytest.mark.parametrize("model", [FOREST, GaussianNB(), make_pipeline(StandardScaler(), FOREST)])
def test_all_weights_of_anything_else_are_refused_before_any_training(model):
    for refused in (EMOC(model, layers="all"), ActiveLearner(model, EMOC(layers="all"))):
        with pytest.raises(TypeError, match="all weights of a net or of a linear model"):
            refused.fit(X, Y)


@pytest.mark.parametrize(
    "param", [{"embedding": StandardScaler()}, {"layer": "features"}, {"normalize": True}]
)
def test_all_weights_take_the_model_as_it_is(param):
    with pytest.raises(ValueError, match='layers="all", which takes the model as it is'):
        EMOC(NET, layers="all", **param).fit(X, Y)


def test_the_same_reference_rows_serve_all_candidates_and_calls():
    """Drawn anew for each candidate, two equal rows would differ."""
    strategy = EMOC(LogisticRegression(), n_reference=5)
    twice = np.vstack([X, X])
    scores = fitted(strategy).score(twice)
    np.testing.assert_allclose(scores[:150], scores[150:], rtol=1e-12)
    np.testing.assert_array_equal(strategy.score(twice), scores)
    np.testing.assert_array_equal(scores[strategy.select(twice, 300)], np.sort(scores)[::-1])
    others = EMOC(LogisticRegression(), n_reference=5, random_state=1).fit(X[LABELED], Y[LABELED])
    assert not np.allclose(others.score(twice), scores)


def test_more_reference_rows_than_rows_are_all_rows():
    scores = [fitted(EMOC(LogisticRegression(), n_reference=n)).score(X) for n in (150, 10_000)]
    np.testing.assert_array_equal(*scores)
    few = fitted(EMOC(LogisticRegression(), n_reference=30)).score(X)
    assert 0.9 < np.corrcoef(few, scores[0])[0, 1] < 1 - 1e-9


def test_many_classes_are_looked_at_through_the_likeliest():
    rng = np.random.RandomState(0)
    rows = rng.normal(size=(84, 3))
    for n_classes, same_as in ((20, "full"), (21, "max")):
        y = np.arange(84) % n_classes
        scores = {
            labels: EMOC(GaussianNB(), labels=labels, random_state=0).fit(rows, y).score(rows)
            for labels in ("auto", "full", "max")
        }
        np.testing.assert_array_equal(scores["auto"], scores[same_as])
        assert not np.allclose(scores["full"], scores["max"])


def test_a_class_that_the_net_has_not_seen_is_no_trouble():
    for layers in ("last", "all"):
        net = NetClassifier(classes=[0, 1, 2, 3], module__hidden=8, max_epochs=2, random_state=0)
        strategy = EMOC(net, layers=layers, random_state=0).fit(X[LABELED], Y[LABELED])
        assert (strategy.score(X[:9]) > 0).all()


def test_rows_with_long_features_dominate_unless_they_are_scaled():
    far = np.vstack([X[50:], X[[70]] * 50])
    proba_of_far = np.array([[0.0, 0.5, 0.5]])

    class OpenLast(LogisticRegression):
        """Unsure of the last row."""

        def predict_proba(self, X):
            proba = super().predict_proba(X)
            return np.vstack([proba[:-1], proba_of_far])

    kept = {"output": "logit", "random_state": 0}
    long = EMOC(OpenLast(), **kept).fit(X[LABELED], Y[LABELED]).score(far)
    scaled = EMOC(OpenLast(), normalize=True, **kept).fit(X[LABELED], Y[LABELED]).score(far)
    assert long[-1] > 5 * long[:-1].max()
    assert scaled[-1] < 2 * scaled[:-1].max()


def test_a_forest_sees_the_rows_themselves_scaled_on_demand():
    strategy = fitted(EMOC(FOREST, output="logit"))
    proba = strategy.estimator_.predict_proba(X)
    openness = 2 * (1 - (proba**2).sum(axis=1))
    np.testing.assert_allclose(strategy.score(X), openness * np.abs(X @ X.T + 1).mean(axis=1))
    strategy = EMOC(FOREST, output="logit", embedding=StandardScaler(), random_state=0)
    strategy.fit(X, np.where(np.isin(np.arange(150), LABELED), Y, -1))
    Z = StandardScaler().fit_transform(X)
    np.testing.assert_allclose(strategy.score(X), openness * np.abs(Z @ Z.T + 1).mean(axis=1))


def refitted(process, rows, y, labels):
    """The score by fitting the process anew with each row and label, its kernel fixed; (n,)."""
    classes = np.unique(y)
    codings = np.array([[-1.0], [1.0]]) if len(classes) == 2 else 2 * np.eye(len(classes)) - 1
    targets = codings[np.searchsorted(classes, y)]
    mean, std = process.predict(rows, return_std=True)
    mean, std = mean.reshape(len(rows), -1), std.reshape(len(rows), -1)[:, 0]
    ratio = mean / np.sqrt(std**2 + process.alpha)[:, np.newaxis]
    proba = norm.cdf(np.hstack([-ratio, ratio]) if len(classes) == 2 else ratio)
    proba /= proba.sum(axis=1, keepdims=True)
    if labels == "max":
        proba = np.eye(len(codings))[proba.argmax(axis=1)]
    scores = np.zeros(len(rows))
    for i, row in enumerate(rows):
        for p, coding in zip(proba[i], codings, strict=True):
            again = GaussianProcessRegressor(process.kernel_, alpha=process.alpha, optimizer=None)
            again.fit(np.vstack([process.X_train_, row]), np.vstack([targets, coding]))
            scores[i] += p * np.abs(again.predict(rows).reshape(len(rows), -1) - mean).sum(axis=1).mean()
    return scores


@pytest.mark.parametrize("labels", ["full", "max"])
@pytest.mark.parametrize("n_classes", [2, 3])
@pytest.mark.parametrize(
    "process",
    [
        PROCESS,
        GaussianProcessRegressor(RBF(2.0) + WhiteKernel(0.2), alpha=1e-6, optimizer=None),
        GaussianProcessRegressor(1.0 * RBF(2.0), alpha=0.1),  # finds its kernel, and then keeps it
    ],
    ids=["fixed", "white noise", "found"],
)
def test_a_gaussian_process_changes_as_if_it_were_refitted(process, n_classes, labels):
    y = np.minimum(Y, n_classes - 1)
    rows = np.vstack([X[::12], X[LABELED[:2]]])  # the process knows two of them
    strategy = fitted(EMOC(process, labels=labels), y=y)
    expected = refitted(strategy.estimator_, rows, y[LABELED], labels)
    np.testing.assert_allclose(strategy.score(rows), expected, rtol=1e-8, atol=1e-10)


def test_a_gaussian_process_is_streamed_opened_and_found_by_a_search(monkeypatch):
    expected = fitted(EMOC(PROCESS)).score(X)
    pipeline = fitted(EMOC(make_pipeline(StandardScaler(with_std=False, with_mean=False), PROCESS)))
    np.testing.assert_array_equal(pipeline.score(X), expected)
    searched = fitted(EMOC(GridSearchCV(PROCESS, {"alpha": [0.1]}, cv=2)))
    np.testing.assert_array_equal(searched.score(X), expected)
    monkeypatch.setattr("skal.capabilities._changes._BLOCK_ROWS", 7)
    np.testing.assert_allclose(fitted(EMOC(PROCESS)).score(X), expected, rtol=1e-12)


@pytest.mark.parametrize("names", [np.array(["a", "b", "c"]), np.array([7, -3, 40])])
def test_a_gaussian_process_chooses_for_another_model(names):
    learner = ActiveLearner(LogisticRegression(max_iter=1000), EMOC(PROCESS), n_rounds=3, random_state=0)
    learner.fit(X, names[Y])
    assert learner.score(X, names[Y]) > 0.9
    assert learner.strategy_.estimator_.alpha_.shape[1] == 3
    assert (learner.labeled_iter_ > 0).sum() == 30
    wrapped = ActiveLearner(LogisticRegression(), Subsample(EMOC(PROCESS), size=50), n_rounds=1)
    assert (wrapped.fit(X, names[Y]).labeled_iter_ > 0).sum() == 10


@pytest.mark.parametrize(
    ("strategy", "error", "said"),
    [
        (EMOC(GaussianProcessRegressor(normalize_y=True)), ValueError, "normalize_y=False"),
        (EMOC(GaussianProcessRegressor(alpha=np.full(30, 0.1))), ValueError, "one number above 0 as alpha"),
        (EMOC(GaussianProcessRegressor(alpha=0)), ValueError, "one number above 0 as alpha"),
        (EMOC(FrozenEstimator(PROCESS)), TypeError, "unfitted, not frozen"),
        (EMOC(PROCESS, embedding=StandardScaler()), ValueError, "put a transformer before it"),
        (EMOC(GaussianProcessRegressor), TypeError, "as an object"),
        (EMOC(SGDClassifier()), TypeError, "needs a model with predict_proba"),
        (EMOC(NET, n_reference=0), ValueError, "n_reference"),
        (EMOC(NET, output="probability"), ValueError, "output"),
        (EMOC(NET, labels="most"), ValueError, "labels"),
        (EMOC(NET, layers="first"), ValueError, "layers"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_training(strategy, error, said):
    with pytest.raises(error, match=said):
        strategy.fit(X, Y)
    assert not hasattr(strategy, "estimator_")


# The strategy as it is exported is under test with the others; these have models of their own.
CONTRACTS = {
    "process": (EMOC(PROCESS), LogisticRegression(), None),
    "all weights": (
        EMOC(NET, layers="all", labels="max"),
        NET,
        # The others fit and score dozens of times.
        {"selects_distinct_rows", "scores_each_row", "scores_follow_a_permutation", "changes_nothing"},
    ),
}
CASES = [
    pytest.param(check, id=f"{model}-{name}")
    for model, (strategy, estimator, only) in CONTRACTS.items()
    for name, check in query_strategy_checks(strategy, estimator)
    if only is None or name in only
]


@pytest.mark.parametrize("check", CASES)
def test_contract(check):
    check()


class WithoutBias(torch.nn.Module):
    def __init__(self, in_shape, n_classes):
        super().__init__()
        self.body = torch.nn.Sequential(torch.nn.Linear(*in_shape, 6), torch.nn.ReLU())
        self.head = torch.nn.Linear(6, n_classes, bias=False)

    def forward(self, X):
        return self.head(self.body(X))


@pytest.mark.parametrize(("output", "labels"), FORMS)
def test_a_last_layer_without_bias_has_gradients_of_its_weights_alone(output, labels):
    net = NetClassifier(WithoutBias, dtype="float64", max_epochs=2, random_state=0, device="cpu")
    strategy = fitted(EMOC(net, output=output, labels=labels))
    module = strategy.estimator_.module_.eval()
    expected = by_autograd(module, module.head, X[:40], output, labels)
    np.testing.assert_allclose(strategy.score(X[:40]), expected, rtol=1e-6)
    linear = EMOC(LogisticRegression(fit_intercept=False), output="logit", n_reference=999, random_state=0)
    linear.fit(X[LABELED], Y[LABELED])
    proba = linear.estimator_.predict_proba(X)
    by_hand = 2 * (1 - (proba**2).sum(axis=1)) * np.abs(X @ X.T).mean(axis=1)
    np.testing.assert_allclose(linear.score(X), by_hand, rtol=1e-9)


def test_scores_follow_their_rows_where_references_are_a_part_of_them():
    for model in (LogisticRegression(), GaussianProcessRegressor(RBF())):
        strategy = EMOC(model, n_reference=20, random_state=0).fit(X[LABELED], Y[LABELED])
        order = np.random.RandomState(1).permutation(len(X))
        np.testing.assert_allclose(strategy.score(X[order]), strategy.score(X)[order], rtol=1e-6)
