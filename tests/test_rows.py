"""X as a sequence of rows."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse
from sklearn.base import BaseEstimator

from skal import as_pool
from skal._rows import as_objects, check_rows, digest, n_rows, row_keys, take
from skal.strategies import Random

TABLE = np.arange(12.0).reshape(4, 3)
CONTAINERS = {
    "array": TABLE,
    "lists": TABLE.tolist(),
    "frame": pd.DataFrame(TABLE, columns=["a", "b", "c"], index=[9, 8, 7, 6]),
    "csr": sparse.csr_array(TABLE),
    "csc": sparse.csc_matrix(TABLE),
    "texts": ["one", "two", "three", "four"],
    "text array": np.array(["one", "two", "three", "four"]),
    "text series": pd.Series(["one", "two", "three", "four"], index=[3, 2, 1, 0]),
    "images": np.arange(4 * 2 * 2, dtype=np.uint8).reshape(4, 2, 2),
    "ragged": [np.zeros((i + 1, 2)) for i in range(4)],
    "mixed frame": pd.DataFrame({"n": [1, 2, 3, 4], "s": list("abcd")}, index=list("wxyz")),
}


class Owner(BaseEstimator):
    pass


def same(a, b):
    if sparse.issparse(a):
        a, b = a.toarray(), b.toarray()
    if isinstance(a, list):
        return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))
    return np.array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("name", CONTAINERS)
def test_rows_are_counted_and_taken_by_position(name):
    X = check_rows(Owner(), CONTAINERS[name], allow_nan=False, reset=True)
    assert n_rows(X) == 4
    rows = np.array([3, 0])
    taken = take(X, rows)
    assert n_rows(taken) == 2
    for place, row in enumerate(rows):
        assert same(take(taken, np.array([place])), take(X, np.array([row])))
    assert n_rows(take(X, np.arange(0))) == 0


@pytest.mark.parametrize("name", ["array", "lists", "frame", "csr", "csc", "mixed frame"])
def test_the_width_of_tables_is_kept_and_checked(name):
    owner = Owner()
    X = CONTAINERS[name]
    check_rows(owner, X, allow_nan=False, reset=True)
    width = 2 if name == "mixed frame" else 3
    assert owner.n_features_in_ == width
    assert hasattr(owner, "feature_names_in_") == ("frame" in name)
    wrong = pd.DataFrame(np.zeros((4, 5)), columns=list("vwxyz")) if "frame" in name else np.zeros((4, 5))
    with pytest.raises(ValueError, match="feature"):
        check_rows(owner, wrong, allow_nan=False, reset=False)


@pytest.mark.parametrize("name", ["texts", "text array", "text series", "images", "ragged"])
def test_what_is_no_table_passes_untouched(name):
    owner = Owner()
    assert check_rows(owner, CONTAINERS[name], allow_nan=False, reset=True) is CONTAINERS[name]
    assert not hasattr(owner, "n_features_in_")


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", [np.array, sparse.csr_array])
def test_only_nan_is_let_through_and_only_on_request(kind, bad):
    X = TABLE.copy()
    X[1, 1] = bad
    with pytest.raises(ValueError, match=r"Row 1 is not finite\. Input X contains (NaN|inf)"):
        check_rows(Owner(), kind(X), allow_nan=False, reset=True)
    if np.isnan(bad):
        check_rows(Owner(), kind(X), allow_nan=True, reset=True)
    else:
        with pytest.raises(ValueError, match="inf"):
            check_rows(Owner(), kind(X), allow_nan=True, reset=True)


@pytest.mark.parametrize("X", [[1, 2, 3], np.arange(3), np.array(5), 7])
def test_numbers_in_one_dimension_are_refused(X):
    with pytest.raises((ValueError, TypeError)):
        check_rows(Owner(), X, allow_nan=False, reset=True)


@pytest.mark.parametrize("X", [[], np.empty((0, 3)), np.empty((0, 2, 2))], ids=["list", "table", "images"])
def test_no_rows_are_refused_where_one_is_needed(X):
    with pytest.raises(ValueError):
        check_rows(Owner(), X, allow_nan=False, reset=True)


def test_narrow_integers_are_not_widened():
    X = TABLE.astype(np.uint8)
    assert check_rows(Owner(), X, allow_nan=False, reset=True).dtype == np.uint8


def test_rows_have_one_digest_in_all_containers():
    X = np.random.RandomState(0).normal(size=(5, 3))
    same = [X, X.astype(np.float32), X.tolist(), pd.DataFrame(X), np.asfortranarray(X)]
    assert len({digest(rows) for rows in same}) == 1
    assert digest(X) != digest(X + 1)
    assert digest(["a", "b"]) == digest(np.array(["a", "b"])) != digest(["a", "c"])
    assert digest(sparse.csr_matrix(X)) == digest(sparse.coo_matrix(X))


def test_matrices_without_rows_are_taken_by_row():
    X = sparse.coo_matrix(np.eye(4))
    np.testing.assert_array_equal(take(X, [2, 0]).toarray(), np.eye(4)[[2, 0]])


def test_a_frame_of_numbers_is_checked_like_an_array():
    frame = pd.DataFrame({"a": [1.0, np.nan], "b": ["x", "y"]})
    with pytest.raises(ValueError, match=r"Row 1 is not finite\. Input X contains NaN"):
        check_rows(Random(), frame, allow_nan=False, reset=True)
    assert check_rows(Random(), frame, allow_nan=True, reset=True) is frame


def test_images_of_different_sizes_have_a_digest_of_all_their_pixels():
    images = [np.random.RandomState(i).uniform(size=(40 + i, 50)) for i in range(3)]
    other = [image.copy() for image in images]
    other[1][20, 25] += 1  # in the middle, which a printed array leaves out
    assert digest(images) == digest(as_objects(images)) == digest([np.asfortranarray(i) for i in images])
    assert digest(images) != digest(other)
    assert digest(as_objects(images)) != digest(as_objects(other))


def test_keys_hang_on_content_and_seed_and_not_on_place_or_container():
    X = np.random.RandomState(0).normal(size=(300, 4)).astype(np.float32) * (np.arange(1200) % 3 > 0).reshape(
        300, 4
    )
    keys, order = row_keys(X, 0), np.random.RandomState(1).permutation(300)
    assert len(set(keys.tolist())) == 300
    for same in (X.astype(np.float64), sparse.csr_array(X), pd.DataFrame(X), as_pool(X), torch.from_numpy(X)):
        np.testing.assert_array_equal(row_keys(same, 0), keys)
    np.testing.assert_array_equal(row_keys(X[order], 0), keys[order])
    assert (row_keys(X, 1) != keys).all()
    assert abs(np.argsort(np.argsort(keys))[:150].mean() - 149.5) < 20  # no place is likelier
    for rows in (["a", "b", "a"], as_objects([X[:2], X[:3], X[:2]])):
        one, two, again = row_keys(rows, 0)
        assert one == again != two


def test_rows_of_several_parts_are_refused():
    with pytest.raises(TypeError, match="Random takes rows, and got a dict of u, v; only a net"):
        check_rows(Random(), {"u": TABLE, "v": TABLE}, allow_nan=False, reset=True)
