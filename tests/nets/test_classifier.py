"""NetClassifier as a scikit-learn classifier."""

import copy
import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn import config_context
from sklearn.base import clone
from sklearn.datasets import make_blobs
from sklearn.experimental import enable_halving_search_cv  # noqa: F401
from sklearn.metrics import accuracy_score
from sklearn.model_selection import GridSearchCV, HalvingGridSearchCV, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, parametrize_with_checks

from skal.nets import NetClassifier, SmallMLP

X, codes = make_blobs(90, centers=3, random_state=0)
X = X.astype(np.float32)
names = np.array(["ash", "birch", "oak"])[codes]


class NoDropout(SmallMLP):
    def __init__(self, in_shape, n_classes, hidden=16):
        super().__init__(in_shape, n_classes, hidden, dropout=0.0)


def small(**params):
    return NetClassifier(**{"module": NoDropout, "max_epochs": 3, "lr": 0.01, "random_state": 0} | params)


def expected_failures(net):
    if net.dtype == "float64":
        return {}
    why = "batches and dropout masks of repeated rows differ from those of weighted rows"
    return {"check_sample_weight_equivalence_on_dense_data": why}


@parametrize_with_checks(
    [
        NetClassifier(n_threads=1),
        NetClassifier(NoDropout, dtype="float64", batch_size=-1, lr=0.01, n_threads=1),
    ],
    expected_failed_checks=expected_failures,
)
def test_scikit_learns_checks(estimator, check):
    check(estimator)


@pytest.mark.parametrize(
    "y",
    [
        names,
        names.astype(object),
        np.array([-1, 3, 10])[codes],
        codes > 0,
        codes * 1.0,
        names.tolist(),
        torch.from_numpy(codes),
    ],
    ids=["str", "object", "gaps", "bool", "float", "list", "tensor"],
)
def test_any_labels_come_back(y):
    net = small(max_epochs=20).fit(X, y)
    assert_array_equal(net.classes_, np.unique(np.asarray(y)))
    assert set(net.predict(X)) <= set(np.asarray(y))
    assert net.score(X, np.asarray(y)) > 0.8


def test_labels_of_mixed_types_and_unknown_labels_are_refused():
    with pytest.raises(ValueError, match="can't be sorted"):
        small().fit(X, np.array([None, "oak", "ash"], dtype=object)[codes])
    net = small(warm_start=True).fit(X[codes < 2], names[codes < 2])
    with pytest.raises(ValueError, match=r"does not know: \['oak'\].*classes="):
        net.fit(X, names)


def test_classes_fixes_classes_and_columns_for_labels_never_seen():
    vocabulary = ["oak", "ash", "birch", "yew"]
    net = small(classes=vocabulary, warm_start=True).fit(X[codes == 0], names[codes == 0])
    assert_array_equal(net.classes_, sorted(vocabulary))
    assert net.predict_proba(X).shape == (90, 4)
    before = copy.deepcopy(net.module_.state_dict())
    net.fit(X, names)
    assert len(net.history) == 6
    assert any((before[key] != value).any() for key, value in net.module_.state_dict().items())


def test_partial_fit_takes_classes_and_goes_on():
    net = small().partial_fit(X[codes == 1], names[codes == 1], classes=np.unique(names))
    net.partial_fit(X, names)
    assert net.predict_proba(X).shape == (90, 3)
    assert len(net.history) == 6


def test_one_class_is_enough():
    net = small().fit(X, np.full(90, "ash"))
    assert_array_equal(net.predict_proba(X), np.ones((90, 1)))
    assert (net.predict(X) == "ash").all()


@pytest.mark.parametrize("shape", [(8, 8), (1, 8, 8), (3, 9, 7), (64, 64), (8, 8, 3), (2, 3)])
def test_images_of_many_shapes_find_a_net(shape):
    images = np.random.RandomState(0).rand(12, *shape)
    net = NetClassifier(max_epochs=1, random_state=0).fit(images, np.arange(12) % 3)
    assert net.in_shape_ == shape
    assert net.predict_proba(images).shape == (12, 3)


def test_flat_rows_with_an_image_shape_are_images():
    images = np.random.RandomState(0).rand(12, 8, 8)
    y = np.arange(12) % 3
    flat = NetClassifier(max_epochs=1, random_state=0, image_shape=(8, 8)).fit(images.reshape(12, 64), y)
    as_they_are = NetClassifier(max_epochs=1, random_state=0).fit(images, y)
    assert_array_equal(flat.predict_proba(images.reshape(12, 64)), as_they_are.predict_proba(images))


def test_wrong_shapes_are_refused_with_advice():
    y = np.arange(12) % 2
    images = np.zeros((12, 28, 28))
    with pytest.raises(ValueError, match="Reshape your data"):
        small().fit(np.zeros(12), y)
    with pytest.raises(ValueError, match="pass a module"):
        NetClassifier().fit(np.zeros((12, 2, 2, 2, 2)), y)
    with pytest.raises(ValueError, match="takes 784 values"):
        NetClassifier(image_shape=(28, 28)).fit(np.zeros((12, 100)), y)
    net = NetClassifier(max_epochs=0, random_state=0).fit(images, y)
    with pytest.raises(
        ValueError, match=r"fitted on rows of shape \(28, 28\), and X has rows of shape \(32, 32\)"
    ):
        net.predict(np.zeros((3, 32, 32)))
    with pytest.raises(ValueError, match=r"X\[None\]"):
        net.predict(images[0])
    with pytest.raises(ValueError, match="chooses its module by the shape of X"):
        NetClassifier().initialize()


def test_uint8_images_are_scaled_and_other_numbers_kept():
    images = np.random.RandomState(0).randint(256, size=(20, 8, 8)).astype(np.uint8)
    y = np.arange(20) % 2
    net = NetClassifier(max_epochs=2, random_state=0).fit(images, y)
    assert_allclose(net.predict_proba(images), net.predict_proba(images.astype(np.float32) / 255), atol=1e-6)
    counts = np.random.RandomState(0).randint(5, size=(20, 4)).astype(np.uint8)
    net = small().fit(counts, y)
    assert_array_equal(net.predict_proba(counts), net.predict_proba(counts.astype(np.float64)))


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.float16, np.float64, bool, ">f4", np.longdouble])
def test_any_number_type_and_memory_order_goes(dtype):
    rows = (X[::-1] > 0).astype(dtype)
    rows.flags.writeable = False
    net = small().fit(rows[:, ::-1], codes)
    assert net.predict_proba(np.asfortranarray(rows)[:, ::-1]).shape == (90, 3)


def test_an_instance_is_the_starting_weights_and_stays_as_it_is():
    module = SmallMLP((2,), 3)
    before = copy.deepcopy(module.state_dict())
    net = small(module=module).fit(X, codes)
    again = net.predict_proba(X)
    assert_array_equal(net.fit(X, codes).predict_proba(X), again)
    assert all((before[key] == value).all() for key, value in module.state_dict().items())
    assert net.module_ is not module
    start = small(module=module, max_epochs=0).fit(X, codes)
    assert all((before[key] == value.cpu()).all() for key, value in start.module_.state_dict().items())


def test_a_module_of_probabilities_goes_with_nll_loss():
    def probabilities(in_shape, n_classes):
        return torch.nn.Sequential(torch.nn.Linear(*in_shape, n_classes), torch.nn.Softmax(dim=-1))

    proba = small(module=probabilities, criterion=torch.nn.NLLLoss).fit(X, codes).predict_proba(X)
    assert_allclose(proba.sum(axis=1), 1, atol=1e-15)


def test_what_is_no_distribution_is_refused():
    net = small(criterion=torch.nn.MultiMarginLoss).fit(X, codes)
    with pytest.raises(ValueError, match="predict_nonlinearity"):
        net.predict_proba(X)
    with pytest.raises(ValueError, match="not finite"):
        small(lr=1e30, optimizer=torch.optim.SGD).fit(X * 1e10, codes).predict_proba(X)
    with pytest.raises(ValueError, match=r"3 classes, and its module returns 7"):
        small(module=torch.nn.Linear(2, 7)).fit(X, codes)


def test_probabilities_do_not_hang_on_neighbours():
    net = small().fit(X, codes)
    whole = net.predict_proba(np.tile(X, (3, 1)))[:90]
    for rows in ([0], [5, 3], range(9), range(70)):
        assert_allclose(net.predict_proba(X[rows]), whole[rows], atol=1e-7, rtol=1e-7)


def test_weights_act_as_repetitions():
    weight = np.random.RandomState(0).randint(3, size=90)
    full = {"dtype": "float64", "batch_size": -1, "max_epochs": 20}
    weighted = small(**full).fit(X, codes, sample_weight=weight)
    repeated = small(**full).fit(np.repeat(X, weight, axis=0), np.repeat(codes, weight))
    assert_allclose(weighted.predict_proba(X), repeated.predict_proba(X), atol=1e-9)
    assert_allclose(weighted.history[:, "train_loss"], repeated.history[:, "train_loss"])


def test_class_weight_acts_as_sample_weight():
    by_class = small(class_weight={"ash": 3, "oak": 0.5}).fit(X, names)
    by_row = small().fit(X, names, sample_weight=np.array([3, 1, 0.5])[codes])
    assert_array_equal(by_class.predict_proba(X), by_row.predict_proba(X))
    skewed = (codes > 0).astype(int)
    balanced = small(class_weight="balanced").fit(X, skewed)
    by_count = small().fit(X, skewed, sample_weight=np.array([2.0, 1.0])[skewed])
    assert_allclose(balanced.predict_proba(X), by_count.predict_proba(X), atol=1e-6)


def test_bad_weights_are_refused():
    with pytest.raises(ValueError, match=r"[Nn]egative"):
        small().fit(X, codes, sample_weight=-np.ones(90))
    with pytest.raises(ValueError, match="zero"):
        small().fit(X, codes, sample_weight=np.zeros(90))
    with pytest.raises(ValueError, match="shape"):
        small().fit(X, codes, sample_weight=np.ones(5))


def test_metadata_routing_brings_weights_through_a_search():
    weight = np.random.RandomState(0).rand(90)
    with config_context(enable_metadata_routing=True):
        net = small().set_fit_request(sample_weight=True).set_score_request(sample_weight=False)
        search = GridSearchCV(net, {"lr": [0.01]}, cv=2).fit(X, codes, sample_weight=weight)
    expected = small(lr=0.01).fit(X, codes, sample_weight=weight)
    assert_array_equal(search.predict_proba(X), expected.predict_proba(X))


def test_a_search_over_module_optimizer_and_numpy_numbers(tmp_path):
    grid = {
        "netclassifier__lr": np.logspace(-3, -2, 2),
        "netclassifier__module__hidden": [4, 8],
        "netclassifier__optimizer__weight_decay": np.array([0.1]),
    }
    search = GridSearchCV(make_pipeline(StandardScaler(), small()), grid, cv=2).fit(X, names)
    best = search.best_estimator_[-1]
    best.save_params(f_params=tmp_path / "p.pt", f_optimizer=tmp_path / "o.pt")
    best.load_params(
        f_params=tmp_path / "p.pt", f_optimizer=tmp_path / "o.pt"
    )  # weights_only=True is the default
    assert best.get_params()["device"] == "auto"
    assert type(best.optimizer_.param_groups[0]["lr"]) is float


def test_two_jobs_give_the_same_numbers_as_one():
    one, two = (
        cross_validate(small(n_threads=1, module=None), X, names, cv=2, n_jobs=n, return_estimator=True)
        for n in (1, 2)
    )
    for a, b in zip(one["estimator"], two["estimator"], strict=True):
        assert_array_equal(a.predict_proba(X), b.predict_proba(X))


def test_halving_over_epochs():
    search = HalvingGridSearchCV(
        small(), {"lr": [1e-4, 1e-2]}, resource="max_epochs", min_resources=1, max_resources=4, cv=2, factor=2
    ).fit(X, codes)
    assert search.best_estimator_.max_epochs == 2


def test_clone_copy_and_pickle_predict_the_same():
    net = small(module=None, callbacks=[]).fit(X, names)
    assert (
        repr(clone(net)) == repr(net) == "NetClassifier(callbacks=[], lr=0.01, max_epochs=3, random_state=0)"
    )
    for other in (copy.deepcopy(net), pickle.loads(pickle.dumps(net)), clone(net).fit(X, names)):
        assert_array_equal(other.predict_proba(X), net.predict_proba(X))
        other.partial_fit(X, names)
    assert pickle.loads(pickle.dumps(net)).get_params()["device"] == "auto"


def test_a_failed_fit_leaves_a_fitted_net_as_it_was():
    net = small().fit(X, names)
    before = net.predict_proba(X)
    with pytest.raises(ValueError, match="NaN"):
        net.fit(np.full_like(X, np.nan), names)
    assert_array_equal(net.predict_proba(X), before)


def test_wrong_parameters_are_refused_before_training():
    for wrong in (
        {"dtype": "int8"},
        {"batch_size": 0},
        {"n_threads": 0},
        {"amp": "float8"},
        {"max_epochs": 1.5},
    ):
        with pytest.raises(ValueError, match=f"'{next(iter(wrong))}' parameter of NetClassifier"):
            small(**wrong).fit(X, codes)
    with pytest.raises(ValueError, match="dtype='float32'"):
        small(amp=True, dtype="float64").fit(X, codes)
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="needs a GPU"):
            small(device="cuda").fit(X, codes)


def test_score_is_accuracy_with_weights():
    net = small().fit(X, names)
    weight = np.random.RandomState(0).rand(90)
    assert net.score(X, names, weight) == accuracy_score(names, net.predict(X), sample_weight=weight)


@pytest.mark.parametrize(
    ("params", "words"),
    [({"device": "gpu"}, "'auto', 'cpu' or 'cuda'"), ({"module": "cnn"}, "neither a torch module"),
     ({"class_weight": "bal"}, "of NetClassifier must be")],
)  # fmt: skip
def test_parameters_are_refused_before_the_data_are_looked_at(params, words):
    with pytest.raises(ValueError, match=words):
        NetClassifier(**params).fit(np.zeros((4, 2)), [0, 1, 0, 1])


class DoubleLinear(torch.nn.Linear):
    """Weights in float64, as the user of it wants them."""

    def __init__(self, in_shape, n_classes):
        super().__init__(*in_shape, n_classes, dtype=torch.float64)


@pytest.mark.parametrize("module", [DoubleLinear, DoubleLinear((4,), 3)])
def test_a_module_in_float64_stays_in_float64(module):
    rng = np.random.RandomState(0)
    X, y = rng.normal(size=(30, 4)), np.arange(30) % 3
    net = NetClassifier(module, max_epochs=3, batch_size=-1, random_state=0).fit(X, y)
    assert net.module_.weight.dtype is torch.float64
    as_float32 = clone(net).set_params(dtype="float32").fit(X, y)
    assert as_float32.module_.weight.dtype is torch.float32
    assert NetClassifier(max_epochs=1).fit(X, y).module_.output.weight.dtype is torch.float32
    # A refit with another module does not inherit the number type of the last one.
    net.set_params(module=torch.nn.Linear(4, 3)).fit(X, y)
    assert net.module_.weight.dtype is torch.float32


def test_check_estimator_of_a_float64_module_on_all_rows_at_once():
    check_estimator(NetClassifier(DoubleLinear, batch_size=-1, lr=0.05, n_threads=1), on_skip=None)
