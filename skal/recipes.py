"""Nine papers, each as an unfitted `ActiveLearner` with its settings.

``scale="demo"`` fits digits and two cores: `NetClassifier`'s small nets, 20 labels to start with and 10 a
round. ``scale="paper"`` has the nets and numbers of the paper, as far as these are known, for a GPU; what
differs is said in each. Either is a place to start from: ``ceal().set_params(estimator__threshold=0.1)``.

>>> from skal import recipes
>>> recipes.dbal().strategy
BALD(n_draws=20)
>>> len(recipes.RECIPES)
9
"""

from torch.optim import SGD, RMSprop

from skal.ensemble import EnsembleClassifier
from skal.learner import ActiveLearner
from skal.nets import (
    GenerativeAugmentationClassifier,
    LossPredictionClassifier,
    NetClassifier,
    SegmentationNet,
)
from skal.nets.papers import VGG16, KerasCNN, ResNet18
from skal.pseudo_label import PseudoLabelClassifier
from skal.strategies import (
    BALD,
    EMOC,
    CoreSet,
    DiscriminativeAL,
    Entropy,
    LearningLoss,
    Subsample,
    SuggestiveAnnotation,
    VariationRatio,
)

__all__ = [
    "RECIPES",
    "bgadl",
    "ceal",
    "core_set",
    "dal",
    "dbal",
    "emoc",
    "ensembles",
    "learning_loss",
    "suggestive_annotation",
]


def ceal(scale="demo", random_state=None):
    """Cost-effective active learning: labels for unsure rows, pseudo-labels for sure ones.

    K. Wang, D. Zhang, Y. Li, R. Zhang and L. Lin, TCSVT 2017. Their net, AlexNet, came pretrained on
    ImageNet, and they began with a tenth of their images; bring such a net as ``estimator__estimator``.
    """
    net = _net(scale, ResNet18, max_epochs=10, lr=0.001)
    model = PseudoLabelClassifier(net, threshold=0.05, decay=0.0033)
    return _learner(scale, model, Entropy(), random_state, n_initial=4500, batch_size=1000, n_rounds=45)


def emoc(scale="demo", random_state=None):
    """Expected model output change: the rows whose label would change the predictions most.

    C. Käding, E. Rodner, A. Freytag and J. Denzler, arXiv:1612.06129, 2016. Net and numbers of rows are
    not theirs, which are not known here.
    """
    strategy = EMOC() if scale == "demo" else EMOC(layers="all", labels="full", n_reference=500)
    net = _net(scale, ResNet18, max_epochs=50)
    return _learner(scale, net, strategy, random_state, n_initial=1000, batch_size=100, n_rounds=20)


def suggestive_annotation(scale="demo", random_state=None):
    """Suggestive annotation: of the images that bootstrap members dispute, those that stand for all.

    L. Yang, Y. Zhang, J. Chen, S. Zhang and D. Chen, MICCAI 2017. The paper's scale segments: y is a mask
    for each image. Their nets are deeper than `SegmentationNet`'s own.
    """
    net = _net(scale) if scale == "demo" else SegmentationNet()
    model, strategy = EnsembleClassifier(net, 4, bootstrap=True), SuggestiveAnnotation(n_candidates=16)
    return _learner(scale, model, strategy, random_state, n_initial=8, batch_size=8, n_rounds=9)


def dbal(scale="demo", random_state=None):
    """Deep Bayesian active learning: the rows on which draws of dropout disagree.

    Y. Gal, R. Islam and Z. Ghahramani, ICML 2017: MNIST, weight decay chosen on 100 more labels.
    """
    net = _net(scale, KerasCNN, mc_dropout=100, weight_decay_scale=3.5, batch_size=128, lr=0.001)
    strategy = BALD(n_draws=20) if scale == "demo" else Subsample(BALD(n_draws=100), size=2000)
    net.set_params(mc_dropout=20 if scale == "demo" else 100)
    return _learner(scale, net, strategy, random_state, initial="stratified", n_initial=20, n_rounds=98)


def core_set(scale="demo", random_state=None):
    """Core-sets: the rows that cover all others within the smallest radius.

    O. Sener and S. Savarese, ICLR 2018: CIFAR-10, trained from scratch.
    """
    net = _net(scale, VGG16, optimizer=RMSprop, lr=0.001, max_epochs=100)
    strategy = CoreSet() if scale == "demo" else CoreSet(method="robust", outliers=1e-4)
    return _learner(scale, net, strategy, random_state, n_initial=5000, batch_size=5000, n_rounds=5)


def ensembles(scale="demo", random_state=None):
    """The power of ensembles: the rows on which nets from five starts vote apart.

    W. H. Beluch, T. Genewein, A. Nürnberger and J. M. Köhler, CVPR 2018: CIFAR-10 with their smaller net.
    Numbers of rows and epochs are not theirs, which are not known here.
    """
    model = EnsembleClassifier(_net(scale, KerasCNN, module__depth=2, max_epochs=100), n_members=5)
    strategy = VariationRatio(kind="vote")
    return _learner(scale, model, strategy, random_state, n_initial=200, batch_size=400, n_rounds=30)


def learning_loss(scale="demo", random_state=None):
    """Learning loss: the rows on which a net expects to lose most.

    D. Yoo and I. S. Kweon, CVPR 2019: CIFAR-10. They flip and crop images in training, and lower the rate
    tenfold for the last 40 epochs.
    """
    of_paper = {"optimizer": SGD, "optimizer__momentum": 0.9, "optimizer__weight_decay": 5e-4, "lr": 0.1}
    net = _net(scale, ResNet18, LossPredictionClassifier, max_epochs=200, batch_size=128, **of_paper)
    strategy = LearningLoss(subset=10_000)
    return _learner(scale, net, strategy, random_state, n_initial=1000, batch_size=1000, n_rounds=9)


def dal(scale="demo", random_state=None):
    """Discriminative active learning: the rows that can be told from the labelled ones.

    D. Gissin and S. Shalev-Shwartz, arXiv:1907.06347, 2019: CIFAR-10. They stop training on a fifth of
    the labels, set aside.
    """
    net, strategy = _net(scale, VGG16, max_epochs=400, batch_size=32), DiscriminativeAL(n_batches=20)
    strategy.set_params(n_batches=5 if scale == "demo" else 20)
    return _learner(scale, net, strategy, random_state, n_initial=5000, batch_size=5000, n_rounds=5)


def bgadl(scale="demo", random_state=None):
    """Bayesian generative active deep learning: chosen rows bring generated siblings along.

    T. Tran, T.-T. Do, I. Reid and G. Carneiro, ICML 2019: MNIST.
    """
    classifier, strategy = GenerativeAugmentationClassifier, BALD(n_draws=20)
    model = _net(scale, ResNet18, classifier, module__dropout=0.5, max_epochs=50, batch_size=100)
    strategy = strategy if scale == "demo" else Subsample(strategy, size=2000)
    return _learner(scale, model, strategy, random_state, n_initial=100, batch_size=100, n_rounds=100)


def _net(scale, module=None, classifier=NetClassifier, **of_paper):
    return classifier(n_threads=1) if scale == "demo" else classifier(module, **of_paper)


def _learner(scale, model, strategy, random_state, **of_paper):
    if scale not in ("demo", "paper"):
        raise ValueError(f"A recipe has no scale={scale!r}; there are 'demo' and 'paper'.")
    rows = {"n_initial": 20, "batch_size": 10, "n_rounds": 8} if scale == "demo" else of_paper
    return ActiveLearner(model, strategy, random_state=random_state, **rows)


#: All of them by name, in the order of the page that ``skal compare --recipe all`` writes.
RECIPES = {
    recipe.__name__: recipe
    for recipe in (
        dbal,
        ensembles,
        core_set,
        dal,
        learning_loss,
        ceal,
        emoc,
        suggestive_annotation,
        bgadl,
    )
}
