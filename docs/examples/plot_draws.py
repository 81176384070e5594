"""
Unsure, or contradicted
=======================

A net can be unsure of an image in two ways. Either each draw of its dropout masks is unsure: the image is
ambiguous, and a label teaches little. Or each draw is sure, and the draws contradict each other: the net
knows too little, and a label decides which of the draws is right. Entropy asks for both; BALD asks for the
second.
"""

# %%
# A net that has seen 100 digits, and 20 draws of it for all the others:

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits

from skal import NetClassifier
from skal.acquisition import mutual_information, predictive_entropy

X, y = load_digits(return_X_y=True)
X = X.reshape(-1, 8, 8) / 16
net = NetClassifier(max_epochs=30, random_state=0).fit(X[:100], y[:100])
draws = net.sample_proba(X[100:], n_draws=20)
print(draws.shape)

# %%
# Entropy of the mean, and the part of it that the draws disagree on. Every point is an image; below the
# diagonal lies what is ambiguous under each draw.

entropy, information = predictive_entropy(draws), mutual_information(draws)
contradicted = information.argmax()
similar = np.flatnonzero(np.abs(entropy - entropy[contradicted]) < 0.15)
ambiguous = similar[information[similar].argmin()]

fig, ax = plt.subplots(figsize=(5, 4))
ax.scatter(entropy, information, s=6, color="0.6")
for row, name, color in [(contradicted, "contradicted", "C3"), (ambiguous, "ambiguous", "C0")]:
    ax.scatter(entropy[row], information[row], color=color)
    ax.annotate(f"  {name}", (entropy[row], information[row]), color=color, va="center")
ax.set(xlim=(-0.05, 2.4), xlabel="entropy of the mean (nats)", ylabel="mutual information: BALD (nats)")
fig.tight_layout()

# %%
# Two images of about the same entropy. Each line on the right is one draw: on the first image sure draws vote
# for different digits, on the second one most of them spread their bets alike.

fig, axes = plt.subplots(2, 2, figsize=(8, 4), width_ratios=[1, 3])
for (image, lines), row, color in zip(axes, [contradicted, ambiguous], ["C3", "C0"], strict=True):
    image.imshow(X[100 + row], cmap="gray_r")
    image.set(xticks=[], yticks=[], title=f"a {y[100 + row]}")
    lines.plot(draws[:, row].T, color=color, alpha=0.4)
    lines.set(xticks=range(10), ylim=(0, 1), ylabel="probability")
    lines.set_title(f"entropy {entropy[row]:.2f}, BALD {information[row]:.2f}")
axes[1, 1].set_xlabel("class")
fig.tight_layout()
