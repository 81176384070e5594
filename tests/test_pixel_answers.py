"""Answers for pixels, of images of one size and of many."""

import numpy as np
from numpy.testing import assert_array_equal

from skal._pixel_answers import each, member_pixel_proba, stacked_answers
from skal._rows import as_objects

even, mixed = np.ones((2, 3, 3)), as_objects([np.ones((2, 3)), np.ones((4, 1))])


class Voter:
    classes_ = np.array([0, 2])

    def predict(self, X):
        return each(lambda image: (2 * image).astype(int), X)


class Sure(Voter):
    def predict_proba(self, X):
        return each(lambda image: np.stack([0 * image, image], axis=-1), X)


def test_a_function_reaches_each_image():
    assert_array_equal(each(np.negative, even), -even)
    assert [own.shape for own in each(lambda image: image[1:], mixed)] == [(1, 3), (3, 1)]


def test_answers_are_stacked_first():
    assert stacked_answers([even, even, even]).shape == (3, 2, 3, 3)
    assert [own.shape for own in stacked_answers([mixed, mixed])] == [(2, 2, 3), (2, 4, 1)]


def test_members_answer_in_all_columns_or_vote():
    for member in (Voter(), Sure()):
        proba = member_pixel_proba(member, even, np.array([0, 1, 2]))
        assert proba.shape == (2, 3, 3, 3)
        assert (proba[..., 2] == 1).all()
        assert (proba[..., :2] == 0).all()
        assert member_pixel_proba(member, mixed, np.array([0, 2]))[1].shape == (4, 1, 2)
