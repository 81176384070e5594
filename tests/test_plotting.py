import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.naive_bayes import GaussianNB
from test_summary import comparison, curves

from skal import ActiveLearner, BatchDisplay, LearningCurveDisplay
from skal._statistics import mean_interval
from skal.plotting import can_draw, png

X, y = load_digits(return_X_y=True)
PNG = b"\x89PNG"


@pytest.fixture(scope="module")
def learner():
    return ActiveLearner(GaussianNB(), n_rounds=2, random_state=0).fit(X[:200], y[:200])


def test_curves_are_means_with_their_intervals():
    scores = curves()
    display = LearningCurveDisplay.from_comparison(comparison(Random=scores), confidence=0.9).plot()
    drawn = display.ax_.lines[0]
    np.testing.assert_array_equal(drawn.get_xdata(), [20, 30, 40, 50, 60])
    np.testing.assert_allclose(drawn.get_ydata(), scores.mean(axis=0))
    low, high = mean_interval(scores, 0.9)
    band = display.ax_.collections[0].get_paths()[0].vertices[:, 1]
    assert band.min() == pytest.approx(low.min())
    assert band.max() == pytest.approx(high.max())
    assert "90 % interval" in display.ax_.get_legend().get_title().get_text()


def test_one_seed_has_no_band():
    display = LearningCurveDisplay.from_comparison(comparison(Random=curves(1))).plot()
    assert len(display.ax_.collections) == 0
    assert "interval" not in display.ax_.get_legend().get_title().get_text()


def test_the_legend_is_in_the_order_of_the_ends():
    ends = {"Low": 0.5, "High": 0.9, "Middle": 0.7}
    display = LearningCurveDisplay(
        {name: ([1, 2], [0.1, end], None, None) for name, end in ends.items()}
    ).plot()
    names = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert names == ["High", "Middle", "Low"]


def test_many_curves_stay_apart():
    display = LearningCurveDisplay({str(i): ([1, 2], [i, i], None, None) for i in range(20)}).plot()
    looks = {(line.get_color(), line.get_linestyle()) for line in display.ax_.lines}
    assert len(looks) == 20


def test_a_learners_curve_is_its_staged_score(learner):
    display = LearningCurveDisplay.from_learner(learner, X[200:400], y[200:400]).plot()
    np.testing.assert_array_equal(
        display.ax_.lines[0].get_ydata(), list(learner.staged_score(X[200:400], y[200:400]))
    )
    assert display.ax_.get_legend().get_texts()[0].get_text() == "Margin"


def test_a_batch_shows_what_was_asked_for(learner):
    display = BatchDisplay.from_learner(learner, X[:200], y[:200], n=13, image_shape=(8, 8)).plot()
    rows = np.concatenate([stage["rows"] for stage in learner.history_[1:]])[:13]
    assert display.titles == [str(label) for label in y[rows]]
    for image, row in zip(display.ax_.images, rows, strict=True):
        np.testing.assert_array_equal(image.get_array(), X[row].reshape(8, 8))


@pytest.mark.parametrize("shape", [(8, 6), (8, 6, 1), (1, 8, 6), (8, 6, 3), (3, 8, 6)])
@pytest.mark.parametrize("dtype", [np.uint8, np.float64])
def test_images_of_all_layouts(shape, dtype):
    images = (np.random.RandomState(0).uniform(0, 255, (4, *shape))).astype(dtype)
    assert can_draw(shape)
    display = BatchDisplay.from_images(images, [3, 1])
    assert display.images.shape[:3] == (2, 8, 6)
    assert display.titles == ["3", "1"]
    assert png(display).startswith(PNG)


def test_what_is_no_image_is_refused():
    assert not can_draw((64,))
    assert not can_draw((5, 8, 8))
    with pytest.raises(ValueError, match="pass image_shape="):
        BatchDisplay.from_images(X, [0])


def test_no_image_and_many_images_are_drawn():
    for n in (0, 1, 57):
        assert png(BatchDisplay.from_images(X, np.arange(n), image_shape=(8, 8))).startswith(PNG)


def test_a_display_without_axes_opens_one_figure_of_pyplot():
    display = LearningCurveDisplay({"A": ([1, 2], [0, 1], None, None)}).plot()
    assert plt.get_fignums() == [display.figure_.number]
    plt.close(display.figure_)


def test_pictures_for_files_leave_matplotlib_as_it_was():
    settings, backend = dict(matplotlib.rcParams), matplotlib.get_backend()
    png(LearningCurveDisplay({"A": ([1, 2], [0, 1], None, None)}), title="two rounds")
    png(BatchDisplay.from_images(X, [0], image_shape=(8, 8)))
    assert plt.get_fignums() == []
    assert dict(matplotlib.rcParams) == settings
    assert matplotlib.get_backend() == backend


def test_displays_draw_into_given_axes():
    ax = matplotlib.figure.Figure().subplots()
    assert LearningCurveDisplay({"A": ([1, 2], [0, 1], None, None)}).plot(ax).ax_ is ax
    assert BatchDisplay.from_images(X, [0], image_shape=(8, 8)).plot(ax).figure_ is ax.figure


def test_siblings_stand_below_their_sources_in_the_same_greys():
    siblings = 16 - X[[5, 17, 8]]
    display = BatchDisplay.from_images(X, [5, 17, 8], image_shape=(8, 8), siblings=siblings).plot(n_columns=2)
    drawn = display.ax_.images
    assert len(drawn) == 6
    for source, sibling, row in zip(drawn[::2], drawn[1::2], [5, 17, 8], strict=True):
        np.testing.assert_array_equal(source.get_array(), X[row].reshape(8, 8))
        np.testing.assert_array_equal(sibling.get_array(), 16 - X[row].reshape(8, 8))
        assert source.get_clim() == sibling.get_clim()
        left, right, bottom, top = source.get_extent()
        assert sibling.get_extent()[:2] == [left, right]
        assert sibling.get_extent()[3] > bottom > top
    assert display.ax_.get_ylim()[0] > drawn[-1].get_extent()[2]
    alone = BatchDisplay.from_images(X, [5, 17, 8], image_shape=(8, 8))
    assert alone.siblings is None
    assert display._size()[1] > alone._size()[1]
    with pytest.raises(ValueError, match=r"a sibling for each of the rows, in all of shape \(3, 64\)"):
        BatchDisplay.from_images(X, [5, 17, 8], siblings=siblings[:2])
