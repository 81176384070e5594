"""What models say of pixels: in parts of one size, bounded, and checked."""

import numpy as np
import pytest
from segmenter import PixelClassifier, different_sizes, same_size
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from skal._rows import as_objects
from skal.capabilities import draw_blocks, predict_proba, proba_blocks, sample_proba
from skal.capabilities._blocks import image_blocks
from skal.testing import Stub

X, Y = same_size(12)
SIZES, MASKS = different_sizes(12)
MODEL = PixelClassifier(random_state=0).fit(X, Y)


class Answers(PixelClassifier):
    """Answers with what it was given."""

    def __init__(self, answer=None):
        self.answer = answer
        self.classes_ = np.array([0, 1])

    def predict_proba(self, X):
        return self.answer

    def sample_proba(self, X, n_draws=None):
        return self.answer


def test_an_array_comes_in_slices_and_as_it_is_where_it_fits(monkeypatch):
    ((rows, images),) = image_blocks(X, 2)
    assert rows == slice(0, 12)
    assert images is X
    monkeypatch.setattr("skal.capabilities._blocks.BLOCK_VALUES", 5 * 8 * 8 * 2)
    assert [rows for rows, _ in image_blocks(X, 2)] == [slice(0, 5), slice(5, 10), slice(10, 12)]
    assert [rows for rows, _ in image_blocks(X[:, None], 10)] == [slice(i, i + 1) for i in range(12)]
    assert len(list(image_blocks(X, 10**9))) == 12  # one image at least


@pytest.mark.parametrize("container", [list, tuple, as_objects])
def test_images_of_different_sizes_come_by_size(container, monkeypatch):
    monkeypatch.setattr("skal.capabilities._blocks.BLOCK_VALUES", 3 * 70 * 2)
    seen = []
    for rows, images in image_blocks(container(SIZES), 2):
        assert images.dtype != object
        assert 1 <= len(rows) <= 3
        for row, image in zip(rows, images, strict=True):
            np.testing.assert_array_equal(image, SIZES[row])
        seen += rows.tolist()
    assert sorted(seen) == list(range(12))


@pytest.mark.parametrize("size", [1, 700, 10**6])
@pytest.mark.parametrize("images", [X, SIZES], ids=["array", "sizes"])
def test_blocks_are_the_answers_whatever_their_size(images, size, monkeypatch):
    monkeypatch.setattr("skal.capabilities._blocks.BLOCK_VALUES", size)
    proba, draws = predict_proba(MODEL, images), sample_proba(MODEL, images, 2)
    for rows, part in proba_blocks(MODEL, images):
        for row, of_row in zip(np.arange(12)[rows], part, strict=True):
            np.testing.assert_array_equal(of_row, proba[row])
    for rows, part in draw_blocks(MODEL, images, 2, seed=0):
        for position, row in enumerate(np.arange(12)[rows]):
            of_row = draws[:, row] if images is X else draws[row]
            np.testing.assert_array_equal(part[:, position], of_row)


def test_a_large_pool_is_never_held_at_once():
    """3 draws of 2 classes at 4 million pixels are 190 MB; no part has more than 40 MB."""

    class Uniform(Answers):
        def sample_proba(self, X, n_draws=None):
            return np.full((n_draws, *X.shape, 2), 0.5)

        def predict_proba(self, X):
            return np.full((*X.shape, 2), 0.5)

    pool = np.broadcast_to(np.float32(0), (60, 256, 256))
    parts = [draws.nbytes for _, draws in draw_blocks(Uniform(), pool, 3, seed=0)]
    assert 30e6 < max(parts) <= 40e6
    assert max(proba.nbytes for _, proba in proba_blocks(Uniform(), pool)) <= 40e6


def test_what_nobody_has_opened_is_asked_by_position():
    paths = [f"{row}.png" for row in range(40)]
    images, masks = different_sizes(40)

    def opened(names):
        return [images[int(name.removesuffix(".png"))] for name in names]

    model = make_pipeline(FunctionTransformer(opened), PixelClassifier()).fit(paths, masks)
    whole, seen = model.predict_proba(paths), []
    for rows, proba in proba_blocks(model, paths):
        for row, of_row in zip(rows, proba, strict=True):
            np.testing.assert_array_equal(of_row, whole[row])
        seen += rows.tolist()
    assert sorted(seen) == list(range(40))


def test_models_of_rows_answer_at_once():
    table = np.random.RandomState(0).normal(size=(9, 2))
    model = Stub().fit(table, np.arange(9) % 3)
    ((rows, proba),) = proba_blocks(model, table)
    assert rows == slice(0, 9)
    np.testing.assert_array_equal(proba, model.predict_proba(table))


HALF = np.full((12, 8, 8, 2), 0.5)


@pytest.mark.parametrize(
    ("images", "answer", "said"),
    [
        (X, HALF[:, 0], r"shape \(12, 8, 2\) for 12 images; expected \(12, 8, 8, 2\)"),
        (X, HALF[:, :4], r"expected \(12, 8, 8, 2\)"),
        (X, HALF[:7], r"expected \(12, 8, 8, 2\)"),
        (X, HALF[..., :1] * 2, r"expected \(12, 8, 8, 2\)"),
        (X, HALF * np.nan, "not finite"),
        (X, HALF * 3, "sum to 1 in each pixel"),
        (SIZES, [np.full((*image.shape, 2), 0.5) for image in SIZES[:5]], "5 answers for 12 images"),
        (SIZES, [HALF[0]] * 12, r"shape \(1, 8, 8, 2\) for 1 images; expected \(1, 6, 9, 2\)"),
        (SIZES, [np.full((*image.shape, 2), 0.7) for image in SIZES], "sum to 1 in each pixel"),
    ],
)
def test_answers_are_checked(images, answer, said):
    with pytest.raises(ValueError, match=f"Answers.predict_proba returned .*{said}"):
        predict_proba(Answers(answer), images)
    if isinstance(answer, np.ndarray) and "expected" in said:
        with pytest.raises(
            ValueError, match=r"Answers.sample_proba returned .*expected \(n_draws, 12, 8, 8, 2\)"
        ):
            sample_proba(Answers(np.stack([answer] * 3)), images)


def test_pixels_of_a_model_that_does_not_say_so():
    class Silent(Answers):
        labels_pixels = False

    with pytest.raises(ValueError, match=r"expected \(12, 2\); a model that labels pixels says so"):
        predict_proba(Silent(HALF), X)


def test_a_pipeline_may_change_the_size_of_images():
    smaller = make_pipeline(FunctionTransformer(lambda X: X[:, ::2, ::2]), Answers(HALF[:, :4, :4]))
    assert predict_proba(smaller, X).shape == (12, 4, 4, 2)
    channels_last = np.stack([X] * 3, axis=-1)
    assert predict_proba(Answers(HALF), channels_last).shape == (12, 8, 8, 2)
