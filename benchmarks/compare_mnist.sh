#!/bin/sh
# Random, Margin and Entropy on MNIST: 10 seeds, 20 to 220 labels, a two-layer CNN, all 60,000 images as the pool.
# Interrupted, it resumes. Needs mnist.npz in the folder that SKAL_DATA names, or a network.
#
# Budget, from one-round trials on one thread of a two-core machine (seconds; the mean over 20 to 220 labels):
#   fits                3 strategies x 10 seeds x 21 rounds x 1.2 s =    760 s
#   scorings (10,000)   3 strategies x 10 seeds x 21 rounds x 1.0 s =    630 s
#   selections (60,000) 2 strategies x 10 seeds x 20 rounds x 6.0 s =  2,400 s
#   together 3,790 s, on two free cores about 32 minutes.
set -eu
cd "$(dirname "$0")/.."
OMP_NUM_THREADS=1 "${SKAL:-.venv/bin/skal}" compare --data mnist \
    --strategy "Random()" --strategy "Margin()" --strategy "Entropy()" \
    --model cnn --epochs 50 --seeds 10 --n-initial 20 --batch-size 10 --rounds 20 \
    --jobs "${JOBS:-2}" --out "${OUT:-benchmarks/results/mnist}" "$@"
