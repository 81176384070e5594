"""What users pass as rows and labels."""

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy import sparse

from skal.nets import NetClassifier
from skal.nets.intake import known_labels, row_shape

X = np.random.RandomState(0).rand(12, 4)
y = np.arange(12) % 2


@pytest.mark.parametrize("container", [pd.DataFrame, torch.from_numpy, np.ndarray.tolist, np.asfortranarray])
def test_containers_of_the_same_rows_are_the_same(container):
    columns = container(X)
    if isinstance(columns, pd.DataFrame):
        columns.columns = list("abcd")
    net = NetClassifier(max_epochs=1, random_state=0).fit(columns, y)
    expected = NetClassifier(max_epochs=1, random_state=0).fit(X, y).predict_proba(X)
    assert_array_equal(net.predict_proba(columns), expected)


@pytest.mark.parametrize("container", [sparse.csr_matrix, sparse.dok_matrix, sparse.coo_array])
def test_sparse_rows_are_refused_by_name(container):
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        NetClassifier().fit(container(X), y)


def test_labels_that_do_not_fit_are_refused():
    for wrong, why in (
        (None, "requires y"),
        (y[:5], "inconsistent"),
        (X, "1d array"),
        (X[:, 0], "continuous"),
    ):
        with pytest.raises(ValueError, match=why):
            NetClassifier().fit(X, wrong)


def test_a_dataset_shows_its_labels_or_not():
    pairs = torch.utils.data.TensorDataset(torch.from_numpy(X), torch.from_numpy(y))
    assert_array_equal(known_labels(pairs), y)
    assert_array_equal(known_labels(torch.utils.data.Subset(pairs, [3, 2])), y[[3, 2]])
    assert row_shape(pairs, None) == (4,)


def test_the_row_that_is_not_finite_is_named():
    images = np.zeros((9, 4, 4))
    images[6, 1, 2] = np.nan
    for X in (images, images.reshape(9, 16), {"X": images}):
        with pytest.raises(ValueError, match=r"Row 6 is not finite\. Input"):
            NetClassifier(max_epochs=1).fit(X, np.arange(9) % 3)


def test_a_dataset_without_labels_is_predicted():
    rows = torch.rand(70, 5)

    class Alone(torch.utils.data.Dataset):
        def __len__(self):
            return 70

        def __getitem__(self, row):
            return rows[row]

    net = NetClassifier(max_epochs=1, module__hidden=8, random_state=0).fit(rows, np.arange(70) % 3)
    for X in (Alone(), torch.utils.data.TensorDataset(rows), torch.utils.data.Subset(Alone(), range(70))):
        assert_array_equal(net.predict_proba(X), net.predict_proba(rows))
        assert_array_equal(net.embed(X), net.embed(rows))
        assert_array_equal(net.sample_proba(X, 3, random_state=0), net.sample_proba(rows, 3, random_state=0))


def test_the_row_of_another_shape_is_named():
    rows = [np.zeros((4, 4)) for _ in range(9)]
    rows[5] = np.zeros((4, 3))
    with pytest.raises(ValueError, match=r"row 5 has the shape \(4, 3\), and row 0 has \(4, 4\)"):
        NetClassifier(max_epochs=1).fit(rows, np.arange(9) % 3)


@pytest.mark.parametrize("with_labels", [True, False])
def test_a_dataset_that_is_only_read_at_once_is_predicted(with_labels):
    rows = torch.rand(30, 5)

    class AtOnce(torch.utils.data.Dataset):
        def __len__(self):
            return 30

        def __getitems__(self, numbers):
            return [(rows[number], 0) if with_labels else rows[number] for number in numbers]

    net = NetClassifier(max_epochs=1, module__hidden=8, random_state=0).fit(rows, np.arange(30) % 3)
    assert_array_equal(net.predict_proba(AtOnce()), net.predict_proba(rows))
