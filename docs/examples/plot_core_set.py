"""
Core-set: leaving no row far from a label
=========================================

The core-set approach (Sener & Savarese 2018) looks at no prediction. It labels rows so that balls around
them cover all others, and makes the radius of these balls, the cover radius, as small as it can: it bounds
how far the mean loss over all rows can lie above that over the labelled ones, if these are fitted perfectly
and the loss changes slowly from a row to its neighbours.
"""

# %%
# Points in the plane: two dense groups, a sparse one, and a few that lie apart. Twelve labels each, chosen at
# random and by `CoreSet`, which starts without any: at the row closest to the mean, then always at the row
# that is farthest from those chosen.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_blobs

from skal.selection import cover_radius
from skal.strategies import CoreSet, Random

X, _ = make_blobs(
    [150, 150, 60, 10],
    centers=[[0, 0], [5, 1], [2, 5], [3, 2]],
    cluster_std=[0.7, 0.7, 1.1, 2.2],
    random_state=0,
)
nothing = X[:0]
strategies = {"Random": Random(random_state=0), "CoreSet": CoreSet(random_state=0)}
chosen = {name: strategy.fit(nothing).select(X, n=12) for name, strategy in strategies.items()}

# %%
# The delta-cover, Figure 1 of the paper: discs of the cover radius around the labelled rows (squares) contain
# every row, and one row, the cross, lies on the edge of one. The dense groups get many of the labels of
# `Random`, and its discs have to be large enough for the rows that lie apart.
figure, axes = plt.subplots(1, 2, figsize=(11, 5.5), layout="constrained", sharex=True, sharey=True)
for ax, (name, rows) in zip(axes, chosen.items(), strict=True):
    centers = X[rows]
    radius = cover_radius(X, centers)
    for center in centers:
        ax.add_patch(plt.Circle(center, radius, facecolor="#0072B2", alpha=0.05, linewidth=0))
        ax.add_patch(plt.Circle(center, radius, fill=False, edgecolor="#0072B2", alpha=0.5))
    farthest = np.linalg.norm(X[:, None] - centers, axis=2).min(axis=1).argmax()
    ax.scatter(*X.T, s=8, color="0.45")
    ax.scatter(*centers.T, s=40, color="#D55E00", marker="s", edgecolor="white")
    ax.scatter(*X[farthest], s=90, color="black", marker="x")
    ax.set(title=f"{name}: cover radius {radius:.2f}", aspect="equal", xticks=[], yticks=[])

# %%
# What each further label is worth: with `CoreSet` the radius falls from label to label, and is at most twice
# the smallest that so many labels can reach; with `Random`, ten draws of it, it waits until a row that lies
# apart is drawn.
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
n_labels = np.arange(1, 61)
for strategy, color, seeds in [(Random, "#999999", range(10)), (CoreSet, "#0072B2", [0])]:
    for seed in seeds:
        order = strategy(random_state=seed).fit(nothing).select(X, n=60)
        radii = [cover_radius(X, X[order[:n]]) for n in n_labels]
        label = strategy.__name__ if seed == 0 else None
        ax.plot(n_labels, radii, color=color, linewidth=1 if len(seeds) > 1 else 2, label=label)
ax.set(xlabel="labels", ylabel="cover radius", ylim=(0, None))
ax.legend(frameon=False)
