import inspect

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits

from skal import ActiveLearner, SegmentationNet, datasets, recipes
from skal._papers import PAPERS
from skal.cli import main
from skal.recipes import RECIPES

# What makes a run short, by the names of parameters.
SHORT = {
    "max_epochs": 1,
    "warmup_steps": 2,
    "n_draws": 3,
    "n_members": 2,
    "n_reference": 3,
    "mc_dropout": 3,
    "n_batches": 2,
}


def shortened(learner, **params):
    """The learner with few epochs, draws and members; paper or demo, all is otherwise as it was."""
    short = {
        name: SHORT[name.rpartition("__")[2]]
        for name, value in learner.get_params().items()
        if name.rpartition("__")[2] in SHORT and value is not None
    }
    return learner.set_params(**short, **params)


def test_there_are_nine_and_a_page_knows_them():
    assert len(RECIPES) == 9
    assert set(RECIPES) == set(PAPERS)
    for paper in PAPERS.values():
        assert paper.formula
        assert paper.claim


@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_short_and_cites_its_paper(name):
    recipe = RECIPES[name]
    assert recipe is getattr(recipes, name)
    assert len(inspect.getsource(recipe).splitlines()) <= 15
    assert any(str(year) in recipe.__doc__ for year in range(2014, 2020))


@pytest.mark.parametrize("scale", ["demo", "paper"])
@pytest.mark.parametrize("name", RECIPES)
def test_a_recipe_is_an_unfitted_learner(name, scale):
    learner = RECIPES[name](scale=scale, random_state=3)
    assert isinstance(learner, ActiveLearner)
    assert learner.random_state == 3
    assert not hasattr(learner, "estimator_")
    assert repr(clone(learner)) == repr(learner)
    assert learner is not RECIPES[name](scale=scale)


@pytest.mark.parametrize("name", RECIPES)
def test_an_unknown_scale_is_refused(name):
    with pytest.raises(ValueError, match="no scale='huge'; there are 'demo' and 'paper'"):
        RECIPES[name](scale="huge")


@pytest.mark.parametrize("name", RECIPES)
def test_a_demo_runs_on_digits(name):
    X, y = load_digits(return_X_y=True)
    X, y = X.reshape(-1, 8, 8)[:80].astype(np.float32) / 16, y[:80]
    learner = shortened(RECIPES[name](random_state=0), n_rounds=1).fit(X, y)
    assert (learner.labeled_iter_ >= 0).sum() == 30
    assert 0 <= learner.score(X, y) <= 1


@pytest.mark.parametrize("name", [name for name in RECIPES if name != "suggestive_annotation"])
def test_the_settings_of_a_paper_run_on_images_of_its_size(name):
    rng = np.random.RandomState(0)
    X, y = rng.uniform(size=(24, 32, 32)).astype(np.float32), np.arange(24) % 2
    learner = shortened(RECIPES[name]("paper", 0), n_initial=12, batch_size=4, n_rounds=1).fit(X, y)
    assert (learner.labeled_iter_ >= 0).sum() == 16


def test_the_paper_on_segmentation_runs_on_masks():
    images, masks = datasets.make_nuclei(24, size=16, random_state=0)
    learner = shortened(recipes.suggestive_annotation("paper", 0), n_rounds=1).fit(images, masks)
    assert isinstance(learner.estimator.estimator, SegmentationNet)
    assert (learner.labeled_iter_ >= 0).sum() == 16


def test_the_command_writes_a_page(tmp_path, capsys):
    command = ["compare", "--recipe", "core_set", "--recipe", "dal", "--seeds", "2", "--rounds", "1"]
    assert main([*command, "--pool-size", "200", "--jobs", "1", "--out", str(tmp_path)]) == 0
    assert "recipes.html  (the papers, one by one)" in capsys.readouterr().out
    page = (tmp_path / "recipes.html").read_text()
    for word in ("Core-sets", "Sener", "skal.strategies.CoreSet", "The paper claims", "2 seeds; a pilot"):
        assert word in page
    assert page.count("<img") == 2
    assert "Learning loss" not in page


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--recipe", "coreset"], "no recipe 'coreset'; the nearest is 'core_set'"),
        (["--recipe", "all", "--strategy", "Margin()"], "leave --strategy and --model out"),
    ],
)
def test_mistakes_are_told_from_results(options, said, tmp_path, capsys):
    assert main(["compare", *options, "--out", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err
