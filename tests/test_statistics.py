import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from skal._statistics import between, default_levels, first_reached, mean_interval, smallest_detectable
from skal.metrics import area_under_curve


@pytest.mark.parametrize("n", [2, 3, 10, 50])
@pytest.mark.parametrize("n_comparisons", [1, 4])
def test_interval_is_that_of_scipys_t_test(n, n_comparisons):
    values = np.random.RandomState(n).normal(0.3, 2, n)
    expected = stats.ttest_1samp(values, 0).confidence_interval(1 - 0.05 / n_comparisons)
    np.testing.assert_allclose(mean_interval(values, 0.95, n_comparisons), (expected.low, expected.high))


def test_intervals_are_taken_along_the_first_axis():
    values = np.random.RandomState(0).normal(size=(6, 4))
    low, high = mean_interval(values)
    for column in range(4):
        np.testing.assert_allclose((low[column], high[column]), mean_interval(values[:, column]))


def test_one_value_has_no_interval():
    assert np.isnan(mean_interval([0.5])).all()
    assert np.isnan(smallest_detectable([0.5]))


def test_corrected_intervals_cover_together():
    rng = np.random.RandomState(0)
    covered = 0
    for _ in range(2000):
        low, high = mean_interval(rng.normal(size=(10, 5)), 0.95, n_comparisons=5)
        covered += ((low <= 0) & (high >= 0)).all()
    assert 0.935 < covered / 2000 < 0.97


@pytest.mark.parametrize(("n", "n_comparisons"), [(3, 1), (10, 3), (50, 5)])
def test_smallest_detectable_difference_is_detected_in_four_of_five_runs(n, n_comparisons):
    rng = np.random.RandomState(n)
    standard = rng.normal(size=n)
    standard = (standard - standard.mean()) / standard.std(ddof=1)  # a sample of spread exactly 1
    shift = smallest_detectable(standard, 0.95, n_comparisons)
    values = rng.normal(shift, 1, size=(n, 20000))
    low, high = mean_interval(values, 0.95, n_comparisons)
    assert np.mean((low > 0) | (high < 0)) == pytest.approx(0.8, abs=0.015)


def test_smallest_detectable_agrees_with_the_noncentral_t_distribution():
    differences = np.random.RandomState(0).normal(size=20)
    shift = smallest_detectable(differences) / (differences.std(ddof=1) / np.sqrt(20))
    critical = stats.t.ppf(0.975, 19)
    power = stats.nct.sf(critical, 19, shift) + stats.nct.cdf(-critical, 19, shift)
    assert power == pytest.approx(0.8, abs=1e-4)


def test_smallest_detectable_difference_is_found_for_any_number_of_seeds_and_comparisons():
    for n in (2, 3, 5, 200):
        for n_comparisons in (1, 30):
            values = np.random.RandomState(n).normal(size=n)
            assert 0 < smallest_detectable(values, 0.95, n_comparisons) < np.inf
            assert smallest_detectable(10 * values) == pytest.approx(10 * smallest_detectable(values))


def test_part_of_a_curve_keeps_its_area():
    x, y = [20, 30, 45, 60], [0.1, 0.5, 0.4, 0.9]
    assert area_under_curve(*between(x, y, 20, 60)) == pytest.approx(area_under_curve(x, y))
    parts = [area_under_curve(*between(x, y, *ends)) * (ends[1] - ends[0]) for ends in ((20, 33), (33, 60))]
    assert sum(parts) == pytest.approx(area_under_curve(x, y) * 40)
    assert area_under_curve(*between(x, y, 45, 45)) == 0.4


def test_first_reached():
    assert first_reached([20, 30, 40], [0.5, 0.8, 0.7], 0.7) == 30
    assert first_reached([20, 30, 40], [0.5, 0.8, 0.7], 0.5) == 20
    assert first_reached([20, 30, 40], [0.5, 0.8, 0.7], 0.9) == np.inf


@given(st.floats(-1, 1), st.floats(1e-3, 1))
def test_default_levels_lie_on_the_curve(start, rise):
    levels = default_levels(start, start + rise)
    assert len(levels) == 3
    assert list(levels) == sorted(levels)
    assert all(start - 1e-9 < level <= start + rise + 1e-9 for level in levels)
    np.testing.assert_allclose(np.diff(levels), levels[1] - levels[0])


def test_a_curve_that_does_not_rise_has_no_levels():
    assert default_levels(0.9, 0.9) == default_levels(0.9, 0.8) == ()
