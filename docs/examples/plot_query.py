"""
Labelling without an oracle
===========================

Most people have no y to play with: they have a pool, and somebody who labels. Then a learner is fitted on
the labels there are, and says which rows to label next.
"""

# %%
# The mark of a row without a label is -1 in an integer y. Thirty digits have a label so far.
import numpy as np
from sklearn.datasets import load_digits

from skal import ActiveLearner, BatchDisplay, NetClassifier
from skal.strategies import Margin

X, truth = load_digits(return_X_y=True)
X = X.reshape(-1, 8, 8) / 16
y = np.full(len(X), -1)
y[:30] = truth[:30]

# %%
# `n_rounds=0` fits on all known labels and queries nothing; `query` returns rows of X, never one that has
# a label.
learner = ActiveLearner(NetClassifier(n_threads=1), Margin(), n_rounds=0, random_state=0).fit(X, y)
rows = learner.query(X, n=20)
display = BatchDisplay.from_images(X, rows).plot()

# %%
# Label them, and go on. Every answer goes back into y; the learner is fitted afresh.
for _ in range(5):
    y[rows] = truth[rows]  # somebody looks at the images
    learner.fit(X, y)
    print(f"{np.count_nonzero(y >= 0)} labels: accuracy {learner.score(X, truth):.3f} on the whole pool")
    rows = learner.query(X, n=20)
