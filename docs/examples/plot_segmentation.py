"""
Which images to draw masks for
==============================

A model that labels pixels takes a mask for each image as its label, and drawing masks is dear. Suggestive
annotation asks for the images that members of an ensemble dispute, and of these for the ones that stand for
all others.
"""

# %%
# Images of cells are made up here, with their masks; your own come from ``skal.datasets.load_mask_folder``.
# Members are trained on bootstrap samples of the few images that have a mask.

from skal import ActiveLearner, BatchDisplay, EnsembleClassifier, SegmentationNet
from skal.datasets import make_nuclei
from skal.strategies import SuggestiveAnnotation

images, masks = make_nuclei(160, size=32, random_state=0)
ensemble = EnsembleClassifier(SegmentationNet(max_epochs=15), n_members=3, bootstrap=True)
learner = ActiveLearner(
    ensemble, SuggestiveAnnotation(), n_initial=8, batch_size=8, n_rounds=2, random_state=0
).fit(images[:100], masks[:100])

# %%
# The images that it asked for, in that order, with the masks that it was given:

BatchDisplay.from_learner(learner, images[:100], masks[:100]).plot(n_columns=8)

# %%
# Its Dice on other images after each round, and what it makes of some of them:

print([round(score, 3) for score in learner.staged_score(images[100:], masks[100:])])
predicted = learner.predict(images[100:])
BatchDisplay.from_images(images[100:], range(8), masks=predicted).plot(n_columns=8)
