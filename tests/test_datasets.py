from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest

from skal import datasets

X, y = np.arange(24.0).reshape(6, 2, 2), np.array([0, 1, 0, 1, 0, 1])


def saved(tmp_path, **arrays):
    np.savez(tmp_path / "mine.npz", **arrays)
    return tmp_path / "mine.npz"


def test_digits_are_images_up_to_one():
    digits = datasets.load("digits")
    assert digits.X.shape == (1797, 8, 8)
    assert (digits.X.min(), digits.X.max()) == (0, 1)
    assert digits.X_test is None


def test_a_file_is_read_as_it_is(tmp_path):
    data = datasets.load(saved(tmp_path, X=X, y=y, X_test=X[:2], y_test=y[:2]))
    assert data.name == "mine"
    np.testing.assert_array_equal(data.X, X)
    np.testing.assert_array_equal(data.y_test, y[:2])


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"X": X}, "no array 'y'.*it holds X"),
        ({"x": X, "y": y}, "no array 'X'.*it holds x, y"),
        ({"X": X, "y": y[:3]}, "one label for each of the 6 rows"),
        ({"X": X, "y": y, "X_test": X}, "both of X_test and y_test"),
        ({"X": X, "y": y, "X_test": X, "y_test": y[:1]}, "one label for each of the 6 rows of X_test"),
        ({"X": y, "y": y}, "table or images"),
        ({"X": X, "y": y.astype(object)}, "reads no Python objects"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(tmp_path, arrays, said):
    with pytest.raises(ValueError, match=said):
        datasets.load(saved(tmp_path, **arrays))


def test_a_file_that_is_none_is_refused(tmp_path):
    (tmp_path / "text.npz").write_text("no zip")
    (tmp_path / "cut.npz").write_bytes(saved(tmp_path, X=X, y=y).read_bytes()[:-40])
    for name in ("text.npz", "cut.npz", "missing.npz"):
        with pytest.raises(ValueError, match=name):
            datasets.load(tmp_path / name)


def test_rows_without_labels_are_refused_with_advice(tmp_path):
    np.save(tmp_path / "X.npy", X)
    with pytest.raises(
        ValueError, match=r"X\.npy holds no labels beside its rows; save both as an \.npz file"
    ):
        datasets.load(tmp_path / "X.npy")


def test_an_unknown_name_gets_the_nearest():
    with pytest.raises(ValueError, match="nearest name is 'mnist'"):
        datasets.load("mnits")


@pytest.mark.parametrize(
    ("images", "scale"),
    [
        (np.full((1, 2, 2), 16.0), 16),
        (np.full((1, 2, 2), 200), 200),
        (np.full((1, 2, 2), 0.5), 1),
        (np.full((1, 2, 2), 255, dtype=np.uint8), 1),
        (np.full((1, 2, 2), 16, dtype=np.uint8), 16),
        (np.full((5, 2), 16.0), 1),
    ],
)
def test_images_are_scaled_unless_they_need_not_be(images, scale):
    X, divided_by = datasets.scaled(images)
    assert divided_by == scale
    np.testing.assert_allclose(X * scale, images)
    assert (X is images) == (scale == 1)


def fake_mnist():
    rng = np.random.RandomState(0)
    return {
        "X_train": rng.randint(256, size=(5, 28, 28)).astype(np.uint8),
        "y_train": np.arange(5, dtype=np.uint8),
        "X_test": np.zeros((2, 28, 28), dtype=np.uint8),
        "y_test": np.zeros(2, dtype=np.uint8),
    }


def test_mnist_comes_from_the_folder_of_skal_data(tmp_path, monkeypatch):
    np.savez(tmp_path / "mnist.npz", **fake_mnist())
    monkeypatch.setenv("SKAL_DATA", str(tmp_path))
    np.testing.assert_array_equal(datasets.load("mnist").X, fake_mnist()["X_train"])
    monkeypatch.setenv("SKAL_DATA", str(tmp_path / "elsewhere"))
    with pytest.raises(ValueError, match=r"no mnist\.npz"):
        datasets.load("mnist")


def test_mnist_is_downloaded_once(tmp_path, monkeypatch):
    monkeypatch.delenv("SKAL_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    calls = []

    def fetch(name, **_):
        calls.append(name)
        return SimpleNamespace(data=np.ones((60002, 784)), target=np.array(["7"] * 60002, dtype=object))

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    for _ in range(2):
        mnist = datasets.load("mnist")
        assert mnist.X.shape == (60000, 28, 28)
        assert mnist.X.dtype == np.uint8
        assert (mnist.y_test == 7).all()
    assert calls == ["mnist_784"]


def test_without_a_network_there_is_advice(tmp_path, monkeypatch):
    monkeypatch.delenv("SKAL_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))

    def fetch(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch)
    with pytest.raises(OSError, match=r"no route to host.*SKAL_DATA"):
        datasets.load("mnist")
    assert list(tmp_path.rglob("*.npz")) == []


def test_a_small_file_that_claims_to_be_huge_is_refused_by_a_limit_that_can_be_raised(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "_NO_BOMB", 2**16)
    path = tmp_path / "bomb.npz"
    np.savez_compressed(path, X=np.zeros((1000, 100)), y=np.arange(1000) % 3)
    with pytest.raises(ValueError, match=r"holds X\.npy, 0\.0 GiB, \d+ times its size there, and is refused"):
        datasets.load(path)
    assert datasets.load(path, max_expansion=10_000).X.shape == (1000, 100)
    np.savez(path, X=np.zeros((1000, 100)), y=np.arange(1000) % 3)
    assert datasets.load(path).X.shape == (1000, 100)
