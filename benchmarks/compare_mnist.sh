#!/bin/sh
# Random, LeastConfidence, Margin and Entropy on MNIST: 10 seeds, 20 to 220 labels, NetClassifier with a
# two-layer CNN. Interrupted, it resumes. Needs mnist.npz in the folder that SKAL_DATA names, or a network.
#
# Budget, from one-round trials on one thread of a two-core machine (seconds; the mean over 20 to 220 labels):
#   fits               4 strategies x 10 seeds x 21 rounds x 1.2 s =  1,010 s
#   scorings (10,000)  4 strategies x 10 seeds x 21 rounds x 1.0 s =    840 s
#   selections         3 strategies x 10 seeds x 20 rounds x 2.0 s =  1,200 s   (from a pool of 20,000)
#   together 3,050 s, on two cores about 26 minutes.
# The pool is a fixed random 20,000 of the 60,000 images, which the picture says: of all, selections alone
# would take 3,600 s. That run is: drop --pool-size.
set -eu
cd "$(dirname "$0")/.."
out=${OUT:-benchmarks/results/mnist_compare}
"${SKAL:-skal}" compare --data mnist --pool-size 20000 \
    --strategy "Random()" --strategy "LeastConfidence()" --strategy "Margin()" --strategy "Entropy()" \
    --model cnn --epochs 50 --seeds 10 --n-initial 20 --batch-size 10 --rounds 20 \
    --jobs "${JOBS:-2}" --out "$out" "$@"
