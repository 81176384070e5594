"""Images of cell nuclei that are drawn, with their masks: a pool in which it matters what is labelled."""

from functools import lru_cache

import numpy as np
from scipy.ndimage import gaussian_filter

from skal._seeds import derive, draw_seed

__all__ = ["make_nuclei"]

# One image in ten is of a rare kind.
_RARE = ("crowded", "tiny", "dim", "striped")
_RARE_SHARE = 0.1


def make_nuclei(n_samples, size=64, random_state=None):
    """Drawn images of cell nuclei, and their masks.

    Ellipses of varied size and direction, with blurred borders, on an uneven ground, with the noise of a
    camera. One image in ten is of a rare kind: crowded, with tiny nuclei, with nuclei hardly brighter than
    the ground, or with a striped ground. A model that has seen none of a kind fails on it.

    Parameters
    ----------
    n_samples : int
        How many images.
    size : int >= 16, default=64
        Height and width, in pixels.
    random_state : int, RandomState or None, default=None
        Fixes all images: of an int, image i is the same whatever `n_samples` is.

    Returns
    -------
    images : ndarray of float32 of shape (n_samples, size, size)
        In [0, 1].
    masks : ndarray of int64 of shape (n_samples, size, size)
        1 where there is a nucleus, else 0.

    Examples
    --------
    >>> images, masks = make_nuclei(3, random_state=0)
    >>> images.shape, images.dtype.name, bool(0 <= images.min() and images.max() <= 1)
    ((3, 64, 64), 'float32', True)
    >>> set(masks.ravel().tolist())
    {0, 1}
    """
    if n_samples < 0 or size < 16:
        raise ValueError(
            f"make_nuclei draws 0 or more images of at least 16 pixels a side, and got n_samples={n_samples} "
            f"and size={size}."
        )
    seed = draw_seed(random_state)
    images = np.empty((n_samples, size, size), dtype=np.float32)
    masks = np.empty((n_samples, size, size), dtype=np.int64)
    for i in range(n_samples):
        images[i], masks[i] = _image(size, np.random.RandomState(derive(seed, i)))
    return images, masks


def _image(size, rng):
    kind = rng.choice(_RARE) if rng.uniform() < _RARE_SHARE else "usual"
    brightness, mask = _nuclei(kind, size, rng)
    ground = rng.uniform(0.08, 0.25) + rng.uniform(0.05, 0.25) * _smooth(size, 3, rng)
    if kind == "striped":
        ground = ground + 0.2 * _stripes(size, rng)
    light = 0.65 + 0.35 * _smooth(size, 2, rng)
    blurred = gaussian_filter(ground + brightness, size / 64 * rng.uniform(0.6, 1.2)) * light
    # The noise of the camera, and that of light, which grows with it.
    noise = rng.normal(size=mask.shape) * np.sqrt(0.0008 + rng.uniform(0.002, 0.008) * blurred)
    return np.clip(blurred + noise, 0, 1), mask


def _nuclei(kind, size, rng):
    """How much brighter than the ground each pixel is, and where the nuclei are; -> two (size, size)."""
    low, high = {"crowded": (18, 28), "tiny": (10, 24)}.get(kind, (4, 10))
    smallest, largest = {"crowded": (4.0, 6.5), "tiny": (1.3, 2.4)}.get(kind, (4.0, 8.0))
    contrast = 0.1 if kind == "dim" else rng.uniform(0.25, 0.55)
    brightness, mask = np.zeros((size, size)), np.zeros((size, size), dtype=np.int64)
    for _ in range(rng.randint(low, high + 1)):
        middle = rng.uniform(-0.02, 1.02, 2) * size
        radius = rng.uniform(smallest, largest) * size / 64
        window, distance = _ellipse(middle, radius, rng.uniform(1, 1.7), rng.uniform(0, np.pi), size)
        inside = distance <= 1
        own = contrast * rng.uniform(0.75, 1.15) * (1 - 0.25 * distance)
        brightness[window] = np.maximum(brightness[window], np.where(inside, own, 0))
        mask[window] |= inside
    return brightness * (0.75 + 0.5 * _smooth(size, 12, rng)), mask


def _ellipse(middle, radius, stretch, angle, size):
    """A window around an ellipse, and in it the squared distance from the middle, 1 at the border."""
    reach = radius * np.sqrt(stretch) + 1
    start = np.clip(np.floor(middle - reach), 0, size).astype(int)
    stop = np.clip(np.ceil(middle + reach), 0, size).astype(int)
    down, right = np.ogrid[start[0] : stop[0], start[1] : stop[1]]
    down, right = down - middle[0], right - middle[1]
    along = right * np.cos(angle) + down * np.sin(angle)
    across = down * np.cos(angle) - right * np.sin(angle)
    window = slice(start[0], stop[0]), slice(start[1], stop[1])
    return window, (along**2 / stretch + across**2 * stretch) / radius**2


def _smooth(size, n_points, rng):
    """A smooth random surface in [0, 1], between n_points x n_points random heights; -> (size, size)."""
    weights = _weights(size, n_points)
    return weights @ rng.uniform(size=(n_points, n_points)) @ weights.T


@lru_cache(maxsize=32)
def _weights(size, n_points):
    """What each height counts at each pixel of a line: a bell around its place; -> (size, n_points)."""
    distance = np.linspace(0, n_points - 1, size)[:, np.newaxis] - np.arange(n_points)
    bells = np.exp(-2 * distance**2)
    return bells / bells.sum(axis=1, keepdims=True)


def _stripes(size, rng):
    down, right = np.ogrid[:size, :size]
    angle, wave, shift = rng.uniform(0, np.pi), size / 64 * rng.uniform(5, 9), rng.uniform(0, 2 * np.pi)
    return 0.5 + 0.5 * np.sin(2 * np.pi * (right * np.cos(angle) + down * np.sin(angle)) / wave + shift)
