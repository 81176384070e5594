import numpy as np
import pandas as pd
import pytest
from test_summary import comparison, curves

from skal.evaluation import Comparison


def test_a_curve_is_what_went_in():
    scores = curves()
    n_labels, back = comparison(Random=scores).curve("Random")
    np.testing.assert_array_equal(n_labels, [20, 30, 40, 50, 60])
    np.testing.assert_array_equal(back, scores)


def test_seeds_with_other_numbers_of_labels_are_read_off_at_the_same_places():
    uneven = comparison(A=np.array([[0.0, 0.4]]))
    longer = Comparison(
        [*uneven.rows, *(row._replace(seed=1, n_labeled=row.n_labeled + 5) for row in uneven.rows)]
    )
    n_labels, scores = longer.curve("A")
    np.testing.assert_array_equal(n_labels, [25, 30])
    np.testing.assert_allclose(scores, [[0.2, 0.4], [0.0, 0.2]])


def test_a_seed_counts_only_if_all_learners_have_it():
    whole = comparison(A=curves(3), B=curves(3))
    part = Comparison([row for row in whole.rows if (row.learner, row.seed) != ("B", 1)])
    assert part.n_seeds == 2
    assert part.curve("A")[1].shape == (2, 5)
    with pytest.raises(ValueError, match="no seed"):
        Comparison([row for row in whole.rows if row.learner == "A"], learners=["A", "B"])


def test_rows_make_a_frame_and_a_csv(tmp_path):
    original = comparison(A=curves(2), B=curves(2))
    frame = pd.DataFrame(original.rows)
    assert frame.groupby(["learner", "seed"]).size().tolist() == [5] * 4
    original.to_csv(tmp_path / "rows.csv")
    assert Comparison.from_csv(tmp_path / "rows.csv").rows == original.rows
    assert pd.read_csv(tmp_path / "rows.csv").score.tolist() == frame.score.tolist()


def test_first_queried_leaves_the_initial_rows_out():
    np.testing.assert_array_equal(comparison(A=curves(2)).first_queried("A", n=3), [1, 2, 3])


def test_an_unknown_learner_is_named():
    with pytest.raises(ValueError, match="no learner 'C' here; there are A, B"):
        comparison(A=curves(2), B=curves(2)).curve("C")
