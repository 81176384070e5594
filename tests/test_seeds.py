"""Where randomness comes from."""

import pickle
import random

import numpy as np
from sklearn.ensemble import BaggingClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from skal._seeds import derive, draw_seed, seed_open_states


def global_state():
    return pickle.dumps((np.random.get_state(), random.getstate()))


def test_an_int_gives_one_seed_and_other_ints_others():
    assert draw_seed(3) == draw_seed(3)
    assert len({draw_seed(i) for i in range(200)}) == 200


def test_a_random_state_is_advanced():
    state = np.random.RandomState(0)
    first, second = draw_seed(state), draw_seed(state)
    assert first != second
    assert first == draw_seed(np.random.RandomState(0))


def test_none_is_fresh_and_leaves_the_global_states():
    before = global_state()
    assert draw_seed(None) != draw_seed(None)
    derive(1, "a")
    assert global_state() == before


def test_seeds_are_plain_ints_that_scikit_learn_takes():
    for seed in (draw_seed(0), derive(0), derive(2**31 - 2, 10**6, "model")):
        assert type(seed) is int
        assert 0 <= seed < 2**32
        np.random.RandomState(seed)


def test_every_place_has_its_own_seed():
    places = [(), (0,), (1,), (0, 0), (0, 1), ("a",), ("b",), (0, "a"), (1, "a"), ("a", 0)]
    seeds = {derive(root, *place) for root in range(20) for place in places}
    assert len(seeds) == 20 * len(places)
    assert derive(5, 1, "a") == derive(5, 1, "a")


def test_open_states_are_set_deep_and_given_ones_stay():
    model = make_pipeline(
        StandardScaler(), BaggingClassifier(RandomForestClassifier(random_state=4), random_state=None)
    )
    params = seed_open_states(model, 9).get_params()
    assert params["baggingclassifier__estimator__random_state"] == 4
    assert isinstance(params["baggingclassifier__random_state"], int)
    again = seed_open_states(BaggingClassifier(LogisticRegression()), 9).get_params()
    assert again["random_state"] != again["estimator__random_state"]


def test_a_state_that_is_none_for_another_reason_is_no_seed():
    assert seed_open_states(StandardScaler(), 0).get_params() == StandardScaler().get_params()
