"""Neural nets as scikit-learn classifiers."""

from skal.nets.classifier import NetClassifier
from skal.nets.generative import GenerativeAugmentationClassifier
from skal.nets.loss_prediction import LossPredictionClassifier
from skal.nets.modules import SmallCNN, SmallFCN, SmallMLP, SmallUNet
from skal.nets.segmentation import SegmentationNet

__all__ = [
    "GenerativeAugmentationClassifier",
    "LossPredictionClassifier",
    "NetClassifier",
    "SegmentationNet",
    "SmallCNN",
    "SmallFCN",
    "SmallMLP",
    "SmallUNet",
]
