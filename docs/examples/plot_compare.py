"""
Which strategy needs fewer labels?
==================================

Three strategies and a small CNN on scikit-learn's digits. Runs are paired: under one seed, every
strategy starts from the same split, the same rows and the same weights, so that differences are not
drowned by the luck of a start.
"""

# %%
# A learner is a model, a strategy and the settings of the loop. For nets, `n_threads=1` makes the bits
# independent of the machine's number of cores.
from sklearn.datasets import load_digits

from skal import ActiveLearner, LearningCurveDisplay, NetClassifier, compare
from skal.strategies import Entropy, Margin, Random

X, y = load_digits(return_X_y=True)
X = X.reshape(-1, 8, 8) / 16

net = NetClassifier(n_threads=1)
learners = {
    name: ActiveLearner(net, strategy, n_initial=20, batch_size=20, n_rounds=6)
    for name, strategy in {"Random": Random(), "Margin": Margin(), "Entropy": Entropy()}.items()
}
comparison = compare(learners, X, y, n_seeds=3, random_state=0, progress=False)

# %%
# Mean and 95 % interval over the seeds. With three seeds the intervals are wide: a pilot, no claim.
display = LearningCurveDisplay.from_comparison(comparison).plot()

# %%
# The same in numbers, with the paired difference from Random. "better" is written only where the
# interval of the difference, corrected for the number of strategies, excludes 0.
print(comparison.table())
