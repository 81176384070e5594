"""What the page of the recipes says of each paper: its formula, the classes that implement it, its claim."""

from dataclasses import dataclass

__all__ = ["PAPERS", "Paper"]


@dataclass(frozen=True)
class Paper:
    """What a page says of a paper."""

    title: str
    cite: str
    formula: str
    """In plain characters."""
    says: str
    """What the formula's letters are."""
    classes: tuple[str, ...]
    """Public names that implement it."""
    claim: str


PAPERS = {
    "dbal": Paper(
        "Deep Bayesian active learning",
        "Y. Gal, R. Islam and Z. Ghahramani, Deep Bayesian active learning with image data, ICML 2017",
        "BALD(x) = H[ 1/T Σₜ p(y|x,wₜ) ] − 1/T Σₜ H[ p(y|x,wₜ) ]",
        "Each draw wₜ of the weights is a dropout mask; H is the entropy. High where the draws are sure, and"
        " contradict each other.",
        ("strategies.BALD", "NetClassifier"),
        "Far fewer labels than random rows need for 5 % error on MNIST, with variation ratio, BALD or "
        "entropy; and better than the same net without draws.",
    ),
    "ensembles": Paper(
        "The power of ensembles",
        "W. H. Beluch, T. Genewein, A. Nürnberger and J. M. Köhler, The power of ensembles for active "
        "learning in image classification, CVPR 2018",
        "V(x) = 1 − max꜀ #{ members that vote for c } / N",
        "Each of the N members is a net with weights and batches of its own.",
        ("strategies.VariationRatio", "EnsembleClassifier"),
        "Better than dropout draws, core-sets and one net's entropy: 90 % on CIFAR-10 with about 12,200 "
        "labels.",
    ),
    "core_set": Paper(
        "Core-sets",
        "O. Sener and S. Savarese, Active learning for convolutional neural networks: a core-set approach, "
        "ICLR 2018",
        "minₛ maxᵢ minⱼ∈ₛ∪ₗ ‖z(xᵢ) − z(xⱼ)‖",
        "z is what the last layer of the net sees; L the labelled rows and s those to be chosen. The greedy "
        "answer takes the farthest row, again and again.",
        ("strategies.CoreSet", "selection.k_center", "selection.robust_k_center"),
        "Better than other methods by a large margin. Others found it worse than random rows.",
    ),
    "dal": Paper(
        "Discriminative active learning",
        "D. Gissin and S. Shalev-Shwartz, Discriminative active learning, arXiv:1907.06347, 2019",
        "argmaxₓ P(unlabelled | z(x))",
        "P is a classifier that tells labelled from unlabelled rows by their embedding z, trained anew for "
        "each part of the batch.",
        ("strategies.DiscriminativeAL",),
        "On par with the best in large batches, in which nothing was clearly better than uncertainty.",
    ),
    "learning_loss": Paper(
        "Learning loss",
        "D. Yoo and I. S. Kweon, Learning loss for active learning, CVPR 2019",
        "L = CE + 1/B Σ max(0, 1 − sign(lᵢ − lⱼ) · (l̂ᵢ − l̂ⱼ))",
        "l̂ is predicted by a small module that taps the net's layers, and learns to rank the true losses l "
        "in pairs. The rows with the largest l̂ are labelled.",
        ("LossPredictionClassifier", "strategies.LearningLoss"),
        "0.91 on CIFAR-10 with 10,000 labels, where random rows reach 0.88, entropy 0.906 and core-sets "
        "0.90.",
    ),
    "ceal": Paper(
        "Cost-effective active learning",
        "K. Wang, D. Zhang, Y. Li, R. Zhang and L. Lin, Cost-effective active learning for deep image "
        "classification, TCSVT 2017",
        "ŷ(x) = argmax꜀ p꜀(x), if H[p(x)] < δ₀ − t·dr",
        "In round t the unsure rows are labelled by people, and the sure ones, of an entropy below a "
        "threshold that falls, by the net: for this round only.",
        ("PseudoLabelClassifier", "strategies.Entropy"),
        "91.5 % on the faces of CACD with 63 % of the labels.",
    ),
    "emoc": Paper(
        "Expected model output change",
        "A. Freytag, E. Rodner and J. Denzler, ECCV 2014; C. Käding, E. Rodner, A. Freytag and J. Denzler, "
        "Active and continuous exploration with deep neural networks and expected model output changes, "
        "arXiv:1612.06129, 2016",
        "EMOC(x) = Σ꜀ p꜀(x) · meanₓ' ‖ ∇f(x')ᵀ ∇L(x, c) ‖₁",
        "How far one step of gradient descent on x would move the outputs f of all other rows x', whatever "
        "its label c turns out to be.",
        ("strategies.EMOC", "acquisition.emoc"),
        "Better than the heuristics of its time where new classes turn up all the while.",
    ),
    "suggestive_annotation": Paper(
        "Suggestive annotation",
        "L. Yang, Y. Zhang, J. Chen, S. Zhang and D. Chen, Suggestive annotation: a deep active learning "
        "framework for biomedical image segmentation, MICCAI 2017",
        "maxₛ⊂ₖ Σₓ maxᵢ∈ₛ cos(z(xᵢ), z(x))",
        "K are the rows on which members trained on bootstrap samples vary most; the batch s among them is "
        "to stand for all rows x.",
        ("strategies.SuggestiveAnnotation", "SegmentationNet", "selection.facility_location"),
        "As good as the best in segmentation with half of the annotated images. Here it classifies digits.",
    ),
    "bgadl": Paper(
        "Bayesian generative active deep learning",
        "T. Tran, T.-T. Do, I. Reid and G. Carneiro, Bayesian generative active deep learning, ICML 2019",
        "x* = argmax BALD(x),  x' = g(e(x*), y*)",
        "The encoder e and the generator g of a VAE-ACGAN make a sibling x' of each chosen row x*, which "
        "inherits its label y*; the net learns from both.",
        ("GenerativeAugmentationClassifier", "strategies.BALD"),
        "Better than active learning or data augmentation alone, on MNIST, CIFAR-10, CIFAR-100 and SVHN.",
    ),
}
