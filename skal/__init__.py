"""Active learning for people who train neural networks and think in scikit-learn."""

__version__ = "0.1.0"
