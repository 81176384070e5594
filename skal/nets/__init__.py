"""Neural nets as scikit-learn classifiers."""

from skal.nets.classifier import NetClassifier
from skal.nets.generative import GenerativeAugmentationClassifier
from skal.nets.loss_prediction import LossPredictionClassifier
from skal.nets.modules import SmallCNN, SmallMLP

__all__ = [
    "GenerativeAugmentationClassifier",
    "LossPredictionClassifier",
    "NetClassifier",
    "SmallCNN",
    "SmallMLP",
]
