"""Changes by a label in closed form equal the steps that they stand for."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from scipy.special import softmax
from scipy.stats import norm

from skal import _changes
from skal.acquisition import emoc, expected_gradient_length, gaussian_process_emoc

FORMS = [(output, labels) for output in ("proba", "logit") for labels in ("full", "max")]


def linear_model(n=9, n_references=7, m=3, k=4, seed=0, scale=2.0):
    """Weights with a bias, and points and probabilities of rows and of references."""
    rng = np.random.RandomState(seed)
    weights = rng.normal(size=(m + 1, k))
    points, references = rng.normal(size=(n, m)), rng.normal(size=(n_references, m))
    return weights * scale, points, references


def with_bias(points):
    return np.hstack([points, np.ones((len(points), 1))])


def outputs(weights, points, output):
    logits = with_bias(points) @ weights
    return logits if output == "logit" else softmax(logits, axis=1)


def by_steps(weights, points, references, output, labels, size=1e-7):
    """The definition: a small step on each row and label, and what it has changed, in steps of size 1."""
    scores = np.empty(len(points))
    for i, h in enumerate(with_bias(points)):
        p = softmax(h @ weights)
        expected = p if labels == "full" else np.eye(len(p))[p.argmax()]
        changes = []
        for label in np.eye(len(p)):
            step = size * np.outer(h, label - p)
            moved = outputs(weights + step, references, output) - outputs(weights, references, output)
            changes.append(np.abs(moved).sum(axis=1).mean() / size)
        scores[i] = expected @ changes
    return scores


@pytest.mark.parametrize("k", [2, 4])
@pytest.mark.parametrize(("output", "labels"), FORMS)
def test_emoc_is_what_a_small_step_of_the_last_layer_changes(output, labels, k):
    weights, points, references = linear_model(k=k)
    proba, of = (outputs(weights, rows, "proba") for rows in (points, references))
    expected = by_steps(weights, points, references, output, labels)
    np.testing.assert_allclose(
        emoc(proba, points, of, references, output=output, labels=labels), expected, rtol=1e-5, atol=1e-7
    )


@pytest.mark.parametrize(("output", "labels"), FORMS)
def test_emoc_equals_its_definition(output, labels):
    weights, points, references = linear_model(scale=5.0)
    proba, of = (outputs(weights, rows, "proba") for rows in (points, references))
    expected = np.zeros(len(points))
    for i, p in enumerate(proba):
        expects = p if labels == "full" else np.eye(len(p))[p.argmax()]
        for x, q in zip(references, of, strict=True):
            jacobian = np.eye(len(q)) if output == "logit" else np.diag(q) - np.outer(q, q)
            lengths = [np.abs(jacobian @ (p - label)).sum() for label in np.eye(len(p))]
            expected[i] += abs(points[i] @ x + 1) * (expects @ lengths) / len(references)
    scores = emoc(proba, points, of, references, output=output, labels=labels)
    np.testing.assert_allclose(scores, expected, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(("output", "labels"), FORMS)
def test_sparse_points_are_the_same_points_and_float32_is_computed_in_double_precision(output, labels):
    weights, points, references = linear_model(seed=1)
    points, references = (np.where(rows > 0, rows, 0).astype(np.float32) for rows in (points, references))
    proba, of = (outputs(weights, rows, "proba") for rows in (points, references))
    kept = {"output": output, "labels": labels}
    expected = emoc(proba, points.astype(np.float64), of, references.astype(np.float64), **kept)
    np.testing.assert_array_equal(emoc(proba, points, of, references, **kept), expected)
    csr = emoc(proba, sparse.csr_matrix(points), of, sparse.csr_matrix(references), **kept)
    np.testing.assert_allclose(csr, expected, rtol=1e-12)


@pytest.mark.parametrize(("output", "labels"), FORMS)
def test_blocks_change_nothing(output, labels, monkeypatch):
    weights, points, references = linear_model(n=23)
    proba, of = (outputs(weights, rows, "proba") for rows in (points, references))
    expected = emoc(proba, points, of, references, output=output, labels=labels)
    monkeypatch.setattr(_changes, "_PAIRS", 70)
    monkeypatch.setattr(_changes, "_CACHED_VALUES", 12)
    np.testing.assert_allclose(
        emoc(proba, points, of, references, output=output, labels=labels), expected, rtol=1e-12
    )


@pytest.mark.parametrize(("output", "labels"), FORMS)
@given(seed=st.integers(0, 1000), scale=st.sampled_from([0.0, 1.0, 30.0, 1000.0]))
@settings(max_examples=25, deadline=None)
def test_scores_are_finite_and_hang_on_no_order(output, labels, seed, scale):
    weights, points, references = linear_model(seed=seed, scale=scale)
    proba, of = (outputs(weights, rows, "proba") for rows in (points, references))
    scores = emoc(proba, points, of, references, output=output, labels=labels)
    assert np.isfinite(scores).all()
    assert (scores >= 0).all()
    rng = np.random.RandomState(seed)
    classes, order = rng.permutation(proba.shape[1]), rng.permutation(len(references))
    if scale > 0:  # else all labels are the likeliest
        permuted = emoc(
            proba[:, classes],
            points,
            of[order][:, classes],
            references[order],
            output=output,
            labels=labels,
        )
        np.testing.assert_allclose(permuted, scores, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(("output", "labels"), FORMS)
def test_certain_rows_are_exactly_zero_and_so_is_what_moves_certain_probabilities_only(output, labels):
    weights, points, references = linear_model(n=4)
    open_rows = outputs(weights, references, "proba")
    kept = {"output": output, "labels": labels}
    np.testing.assert_array_equal(emoc(np.eye(4), points, open_rows, references, **kept), 0)
    certain = emoc(open_rows[:4], points, np.eye(4)[np.arange(7) % 4], references, **kept)
    assert (certain < 1e-12).all() if output == "proba" else (certain > 0).all()


@pytest.mark.parametrize(("output", "labels"), FORMS)
def test_a_class_that_the_model_has_never_seen_changes_nothing(output, labels):
    weights, points, references = linear_model()
    proba, of = (outputs(weights, rows, "proba") for rows in (points, references))
    wider, of_wider = (np.insert(p, 1, 0, axis=1) for p in (proba, of))
    kept = {"output": output, "labels": labels}
    np.testing.assert_allclose(
        emoc(wider, points, of_wider, references, **kept), emoc(proba, points, of, references, **kept)
    )


def test_of_logits_it_is_gini_times_the_mean_kernel():
    weights, points, references = linear_model()
    proba, of = (outputs(weights, rows, "proba") for rows in (points, references))
    kernel = np.abs(points @ references.T + 1).mean(axis=1)
    scores = emoc(proba, points, of, references, output="logit")
    np.testing.assert_allclose(scores, 2 * (1 - (proba**2).sum(axis=1)) * kernel)
    scores = emoc(proba, points, of, references, output="logit", labels="max")
    np.testing.assert_allclose(scores, 2 * (1 - proba.max(axis=1)) * kernel)


@pytest.mark.parametrize("labels", ["full", "max"])
@pytest.mark.parametrize("k", [1, 3])
def test_a_gaussian_process_by_the_definition(k, labels):
    rng = np.random.RandomState(0)
    mean, variance, covariance = (
        rng.uniform(-1, 1, (5, k)),
        rng.uniform(0.1, 2, 5),
        rng.normal(size=(5, 4)),
    )
    targets = np.array([[-1.0], [1.0]]) if k == 1 else 2 * np.eye(k) - 1
    for i in range(5):
        ratio = mean[i] / np.sqrt(variance[i])
        proba = norm.cdf([-ratio[0], ratio[0]]) if k == 1 else norm.cdf(ratio) / norm.cdf(ratio).sum()
        if labels == "max":
            proba = np.eye(len(proba))[proba.argmax()]
        moved = np.abs((targets - mean[i])[:, :, np.newaxis] / variance[i] * covariance[i]).sum(axis=1)
        scores = gaussian_process_emoc(mean, variance, covariance, labels=labels)
        np.testing.assert_allclose(scores[i], proba @ moved.mean(axis=1))


def test_a_gaussian_process_that_is_nearly_sure_has_finite_scores():
    mean, variance = np.array([[-0.9, -0.8, -0.7]]), np.array([1e-10])
    assert np.isfinite(gaussian_process_emoc(mean, variance, np.array([[1e-10, 0.0]]))).all()


@pytest.mark.parametrize("as_points", [np.asarray, sparse.csr_matrix, lambda Z: Z.astype(np.float32)])
def test_expected_gradient_length_is_that_of_the_gradients(as_points):
    weights, points, _ = linear_model()
    proba = outputs(weights, points, "proba")
    expected = [
        sum(p[y] * np.linalg.norm(np.outer(h, p - label)) for y, label in enumerate(np.eye(len(p))))
        for p, h in zip(proba, with_bias(points), strict=True)
    ]
    np.testing.assert_allclose(expected_gradient_length(proba, as_points(points)), expected, rtol=1e-6)
    np.testing.assert_array_equal(expected_gradient_length(np.eye(4), points[:4]), 0)


def test_nothing_is_written_to():
    weights, points, references = linear_model()
    proba, of = (outputs(weights, rows, "proba") for rows in (points, references))
    arrays = [proba, points, of, references]
    for array in arrays:
        array.flags.writeable = False
    for output, labels in FORMS:
        emoc(*arrays, output=output, labels=labels)
    expected_gradient_length(proba, points)


@pytest.mark.parametrize("wrong", [{"output": "x"}, {"labels": "x"}])
def test_unknown_forms_are_refused(wrong):
    proba, points = np.full((3, 2), 0.5), np.ones((3, 1))
    with pytest.raises(ValueError, match=r"emoc has no .*='x'; there are"):
        emoc(proba, points, proba, points, **wrong)
