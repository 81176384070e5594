"""
The loop by hand, and what a strategy sees
==========================================

A strategy is an estimator of its own: `fit` on the labelled rows, `score` any rows, `select` the next. Two
dimensions show what uncertainty sampling does.
"""

# %%
# Three classes in the plane, ten labels, and a logistic regression.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_blobs
from sklearn.linear_model import LogisticRegression

from skal.strategies import Entropy, LeastConfidence, Margin

X, y = make_blobs(600, centers=[[0, 0], [3, 0], [1.5, 2.6]], cluster_std=0.9, random_state=0)
labeled = np.arange(10)
unlabeled = np.arange(10, 600)

# %%
# The background is the score, the circles are the next 15 rows. Least confidence and entropy look for
# the centre, where all three classes meet; margin follows each border between two.
grid = np.stack(np.meshgrid(np.linspace(-3, 6, 120), np.linspace(-3, 6, 120)), axis=-1)
figure, axes = plt.subplots(1, 3, figsize=(12, 4), layout="constrained", sharey=True)
for ax, strategy in zip(axes, [LeastConfidence, Margin, Entropy], strict=True):
    strategy = strategy(LogisticRegression(), random_state=0).fit(X[labeled], y[labeled])
    picked = unlabeled[strategy.select(X[unlabeled], n=15)]
    score = strategy.score(grid.reshape(-1, 2)).reshape(120, 120)
    ax.contourf(grid[..., 0], grid[..., 1], score, levels=20, cmap="Blues")
    ax.scatter(*X[unlabeled].T, s=4, color="0.6")
    ax.scatter(*X[labeled].T, s=30, c=y[labeled], cmap="Set1", marker="s", edgecolor="white")
    ax.scatter(*X[picked].T, s=60, facecolor="none", edgecolor="black", linewidth=1.5)
    ax.set_title(type(strategy).__name__)
