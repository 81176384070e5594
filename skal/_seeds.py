"""Integer seeds: where all randomness of skal comes from."""

import zlib

import numpy as np
from sklearn.utils import check_random_state


def draw_seed(random_state):
    """One seed in [0, 2**31 - 1) from a scikit-learn ``random_state``.

    An int always gives the same seed and a RandomState is advanced by one draw, as everywhere in
    scikit-learn. None takes fresh entropy from the operating system, so that the caller's global
    state is as before.
    """
    if random_state is None:
        random_state = np.random.RandomState(np.random.MT19937(np.random.SeedSequence()))
    return int(check_random_state(random_state).randint(2**31 - 1))


def derive(seed, *place):
    """The seed that belongs to a place (ints and names, such as a round and a purpose) under `seed`."""
    key = [zlib.crc32(part.encode()) if isinstance(part, str) else int(part) for part in place]
    return int(np.random.SeedSequence(seed, spawn_key=key).generate_state(1)[0] >> 1)


def seed_open_states(estimator, seed):
    """Set each ``random_state`` of an estimator, nested ones too, that its user left at None.

    Changes `estimator`, so pass a clone. What the user has set stays as it is.
    """
    return _seed(estimator, seed, [name for name, state in _states(estimator) if state is None])


def seed_every_state(estimator, seed):
    """Set each ``random_state`` of an estimator, nested ones too, whatever its user has set.

    Changes `estimator`, so pass a clone. For members of an ensemble, which a common seed would make equal.
    """
    return _seed(estimator, seed, [name for name, _ in _states(estimator)])


def _states(estimator):
    params = estimator.get_params(deep=True).items()
    return [(name, state) for name, state in params if f"__{name}".endswith("__random_state")]


def _seed(estimator, seed, names):
    estimator.set_params(**{name: derive(seed, name) for name in names})
    return estimator
