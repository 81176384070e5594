import numpy as np
import pytest

from skal._runs import Stage
from skal._summary import Summary
from skal.evaluation import Comparison
from skal.metrics import area_under_curve


def comparison(**scores):
    """From arrays (n_seeds, n_stages), or pairs of them and numbers of labels."""
    rows = []
    for name, of_learner in scores.items():
        n_labels, values = of_learner if isinstance(of_learner, tuple) else (None, of_learner)
        for seed, curve in enumerate(values):
            x = 20 + 10 * np.arange(len(curve)) if n_labels is None else n_labels
            rows += [
                Stage(name, seed, i, int(x[i]), float(curve[i]), 0.1, 0.1, (i,), "accuracy")
                for i in range(len(curve))
            ]
    return Comparison(rows)


def curves(n_seeds=10, n_stages=5, seed=0):
    return np.random.RandomState(seed).uniform(0.4, 0.9, (n_seeds, n_stages))


def test_a_learner_is_exactly_as_good_as_itself():
    same = comparison(Random=curves(), Copy=curves()).summary()["Copy"]
    assert same.difference == 0.0
    assert same.difference_interval == (0.0, 0.0)
    assert same.verdict == "no difference shown"


def test_a_shift_beyond_the_noise_is_better_and_its_mirror_worse():
    noise = np.random.RandomState(1).normal(0, 0.01, (10, 1))
    summary = comparison(Random=curves(), Up=curves() + 0.05 + noise, Down=curves() - 0.05 + noise).summary()
    assert [learner.verdict for learner in summary.learners] == ["baseline", "better", "worse"]
    low, high = summary["Up"].difference_interval
    assert low < 0.05 + noise.mean() < high
    assert summary["Up"].difference == pytest.approx(0.05 + noise.mean())


def test_areas_are_those_of_the_metric():
    scores = curves()
    summary = comparison(Random=scores).summary()
    areas = [area_under_curve(20 + 10 * np.arange(5), curve) for curve in scores]
    assert summary["Random"].area == pytest.approx(np.mean(areas))


def test_few_seeds_are_a_pilot_and_one_has_no_interval():
    nine = comparison(Random=curves(9), Up=curves(9) + 0.05).summary()
    assert nine.is_pilot
    assert nine["Up"].verdict == "pilot, no claim"
    assert nine["Up"].difference_interval[0] == pytest.approx(0.05)
    one = comparison(Random=curves(1), Up=curves(1) + 0.05).summary()
    assert np.isnan(one["Up"].difference_interval).all()
    assert one["Up"].verdict == "pilot, no claim"


def test_more_learners_widen_the_intervals():
    two = comparison(Random=curves(), A=curves(seed=1)).summary()["A"].difference_interval
    three = comparison(Random=curves(), A=curves(seed=1), B=curves(seed=2)).summary()["A"].difference_interval
    assert three[0] < two[0] < two[1] < three[1]


def test_labels_needed_count_seeds_that_never_get_there():
    scores = np.array([[0.1, 0.6, 0.7], [0.1, 0.2, 0.6], [0.1, 0.2, 0.3]])
    learner = comparison(Random=scores).summary(levels=[0.5, 0.65, 0.05])["Random"]
    assert learner.labels_needed == (40, np.inf, 20)
    assert learner.n_reached == (2, 1, 3)


def test_curves_at_other_places_are_compared_where_both_have_values():
    line = np.linspace(0, 1, 9) * np.ones((10, 1))  # 20 to 100 labels, by 10
    sparse = (np.array([20, 60, 100, 140]), np.array([0.0, 0.5, 1.0, 1.0]) * np.ones((10, 1)))
    summary = comparison(Random=line, Sparse=sparse).summary()
    assert summary.label_range == (20, 100)
    assert summary.ranges_differ
    assert summary["Sparse"].difference == pytest.approx(0)


def test_curves_that_share_nothing_are_not_compared():
    late = (np.array([200, 300]), curves(10, 2))
    summary = comparison(Random=curves(), Late=late).summary()
    assert summary.label_range is None
    assert summary["Late"].verdict == "not comparable"


def test_the_baseline_is_random_or_the_first_or_asked_for():
    assert comparison(A=curves(), Random=curves()).summary().baseline == "Random"
    assert comparison(A=curves(), B=curves()).summary().baseline == "A"
    assert comparison(A=curves(), B=curves()).summary(baseline="B").baseline == "B"
    with pytest.raises(ValueError, match="none of the learners, which are A, B"):
        comparison(A=curves(), B=curves()).summary(baseline="C")


def test_default_levels_lie_between_the_worst_start_and_the_best_end():
    summary = comparison(Random=np.linspace(0.5, 0.93, 5) * np.ones((10, 1))).summary()
    assert isinstance(summary, Summary)
    assert summary.levels == (0.7, 0.8, 0.9)
