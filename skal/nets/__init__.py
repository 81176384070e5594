"""Neural nets as scikit-learn classifiers."""

from skal.nets.classifier import NetClassifier
from skal.nets.modules import SmallCNN, SmallMLP

__all__ = ["NetClassifier", "SmallCNN", "SmallMLP"]
