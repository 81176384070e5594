"""GenerativeAugmentationClassifier: a net that is trained on images and on siblings that it makes of them."""

from numbers import Integral, Real

import numpy as np
import torch
from skorch.dataset import unpack_data

from skal._compat import Interval, StrOptions
from skal._seeds import derive, draw_seed
from skal.nets import generative_losses as losses
from skal.nets._generative import GenerativeNet
from skal.nets._signature import with_those_of
from skal.nets.classifier import NetClassifier
from skal.nets.image_frame import like
from skal.nets.intake import check_labels, check_rows
from skal.nets.seeding import modes_kept
from skal.nets.targets import encode


class GenerativeAugmentationClassifier(GenerativeNet):
    """A net that is also trained on images that it generates (BGADL, Tran et al. 2019). Experimental.

    Beside the classifier c, an encoder e, a class-conditional generator g and a discriminator d are trained
    on the labelled images: a VAE-ACGAN. Each image x with label y has a *sibling* ``x' = g(e(x), y)``, which
    inherits its label, and there are *samples* of each class, ``g(z, y)`` with z from N(0, I). The classifier
    learns from all three. As the model of an `ActiveLearner`, with `BALD` for instance, whose draws are
    dropout masks of the classifier, the images that are queried in one round have siblings in the next:
    "generate where you query". It works with every strategy.

    *Experimental*: with a few hundred labels, the generator knows no more than these show, and whether the
    classifier gains from it hangs on the data; the authors' figures need 50 times the computing, and their
    published code does not do what the paper says. What it does, and its parameters, may change.

    Parameters
    ----------
    module : class, callable, torch.nn.Module or None, default=None
        The classifier, as in `NetClassifier`; with dropout, where a strategy asks for draws.
    n_latent : int >= 32, default=64
        Dimensions of the latent distributions. With fewer, siblings are of the class and no more.
    generated_weight : float >= 0, default=1.0
        Weight in the classifier's loss of siblings, and of samples, beside 1 for images. 0 generates nothing:
        the classifier is then that of a `NetClassifier`, bit for bit ("no generator", an ablation; with
        ``strategy=Random()`` and a generator, "no active selection" is the other).
    reconstruction_weight : float > 0, default=1.5
        Weight of the reconstruction in the generator's loss.
    kl_weight : float >= 0, default=0.75
        Weight of the divergence beside the reconstruction in the encoder's loss. The larger, the better the
        samples, and the further siblings are from their sources.
    adversarial_weight : float >= 0, default=0.1
        Weight of the discriminator in the generator's loss.
    warmup_steps : int >= 0, default=500
        Steps in which encoder and generator alone are trained, on the reconstruction, before the first epoch
        of a new net. Without them the classifier learns from noise for many epochs.
    generative_lr : float > 0, default=0.002
        Learning rate of encoder, generator and discriminator (Adam).
    epsilon : float > 0, default=0.2
        A sibling is close if its `distance` is below: the root of the mean squared difference from the source
        over all pixels, with images in [0, 1].
    encoder, generator, discriminator : class, callable, torch.nn.Module or None, default=None
        The parts, built as `module` is; None takes those of `skal.nets.generative_modules`. Parameters are
        ``encoder__<name>`` and so on; ``in_shape``, (c, h, w), ``n_latent`` and ``n_classes`` are filled in.
        They take and return images (b, c, h, w) in [0, 1], and what is said of the default parts.
    **kwargs
        All parameters of `NetClassifier`. Rows have to be images, in memory: (n, h, w), (n, c, h, w),
        (n, h, w, c), or flat rows with `image_shape`; of 1 or 3 channels and 8 to 64 pixels a side.

    Attributes
    ----------
    encoder_, generator_, discriminator_ : torch.nn.Module
        The trained parts.
    warmup_ : list of dict
        ``encoder_loss``, ``generator_loss`` and ``distance`` in each pass over the images of the warm-up.
    history : skorch.history.History
        Has, beside ``train_loss`` (of images), ``generated_loss`` (of siblings plus samples; both are the
        classifier's), ``encoder_loss``, ``generator_loss``, ``discriminator_loss`` and the mean ``distance``.
    al_facts_ : dict
        Of the rows that were queried last, or of all rows outside of a loop: ``n_generated``, how many
        siblings there are of them; ``generated_distance``, their mean distance; ``generated_within``, the
        share with a distance below `epsilon`. An `ActiveLearner` writes them into its ``history_``.
    module_, classes_, seed_, n_features_in_, in_shape_
        As in `NetClassifier`.

    Notes
    -----
    The losses, means over the rows of a batch::

        encoder        reconstruction + kl_weight * divergence
        generator      reconstruction_weight * reconstruction + cross-entropy of c(sample) with y
                       + adversarial_weight * cross-entropy of d(sample) with "real"
        discriminator  cross-entropy of d(x) with "real", of d(sample) and d(sibling) with "generated"
        classifier     criterion of c(x) + generated_weight * (that of c(sample) + that of c(sibling))

    They have the authors' form, and other weights. The reconstruction is the mean squared difference in units
    of the variance of the images around their mean, so that weights mean the same for all images. What the
    authors take would be ``kl_weight=1 / v, reconstruction_weight=0.75 * v, adversarial_weight=1``, with v
    this variance for images in [0, 1]. With few labels this trains a generator that forgets the source, for
    the divergence outweighs the reconstruction by far: on 100 digits, siblings of different sources are then
    0.01 apart, and 0.19 with the weights here. In a step all parts see the same generated images, where the
    authors update one after the other, and the warm-up is ours.

    In each step of each fit *every* labelled row has a sibling, as the authors train it: those of rows that
    were just queried are new in the fit that follows. Siblings are drawn anew in each step, and not stored.

    The model is that of the last epoch; nothing is chosen by scores.

    References
    ----------
    T. Tran, T.-T. Do, I. Reid, G. Carneiro, "Bayesian generative active deep learning", ICML 2019,
    arXiv:1904.11643.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skal import GenerativeAugmentationClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> net = GenerativeAugmentationClassifier(image_shape=(8, 8), warmup_steps=100, max_epochs=5)
    >>> net = net.set_params(random_state=0).fit(X[:200], y[:200])
    >>> siblings = net.augment(X[:10], y[:10])
    >>> siblings.shape
    (10, 64)
    >>> net.al_facts_["n_generated"]
    200
    """

    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        "dtype": [StrOptions({"auto", "float32", "float64"})],
        "n_latent": [Interval(Integral, 32, None, closed="left")],
        "generated_weight": [Interval(Real, 0, None, closed="left")],
        "reconstruction_weight": [Interval(Real, 0, None, closed="neither")],
        "kl_weight": [Interval(Real, 0, None, closed="left")],
        "adversarial_weight": [Interval(Real, 0, None, closed="left")],
        "warmup_steps": [Interval(Integral, 0, None, closed="left")],
        "generative_lr": [Interval(Real, 0, None, closed="neither")],
        "epsilon": [Interval(Real, 0, None, closed="neither")],
    }

    def __init__(
        self,
        module=None,
        *,
        n_latent=64,
        generated_weight=1.0,
        reconstruction_weight=1.5,
        kl_weight=0.75,
        adversarial_weight=0.1,
        warmup_steps=500,
        generative_lr=0.002,
        epsilon=0.2,
        encoder=None,
        generator=None,
        discriminator=None,
        **kwargs,
    ):
        super().__init__(module, **kwargs)
        self.n_latent = n_latent
        self.generated_weight = generated_weight
        self.reconstruction_weight = reconstruction_weight
        self.kl_weight = kl_weight
        self.adversarial_weight = adversarial_weight
        self.warmup_steps = warmup_steps
        self.generative_lr = generative_lr
        self.epsilon = epsilon
        self.encoder = encoder
        self.generator = generator
        self.discriminator = discriminator

    __init__.__signature__ = with_those_of(NetClassifier.__init__, __init__)

    def fit(self, X, y=None, sample_weight=None, *, al_queried=None, **fit_params):
        """Train on the images of X and what is generated from them; a new net unless `warm_start`.

        Parameters
        ----------
        X : array-like of shape (n, h, w), (n, c, h, w), (n, h, w, c) or, with `image_shape`, (n, m)
            Images.
        y : array-like of shape (n,)
            Their labels.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row, its sibling and its sample in all losses, 0 or more.
        al_queried : array-like of int or None, default=None
            The rows of X that `al_facts_` tell of; None is all. An `ActiveLearner` says which are new.
        **fit_params
            As in `NetClassifier.fit`.

        Returns
        -------
        self : GenerativeAugmentationClassifier
            The fitted net.
        """
        super().fit(X, y, sample_weight, **fit_params)
        self._note_facts(X, y, al_queried)
        return self

    def augment(self, X, y, *, random_state=None):
        """A sibling of each image, ``x' = g(e(x), y)``, in the scale and shape of X; -> as X.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Images as in `fit`, not only those it has seen.
        y : array-like of shape (n,)
            The labels that siblings get; known to the net.
        random_state : int, RandomState or None, default=None
            Fixes the draws of the latent distributions. None takes them from `seed_`.

        Returns
        -------
        ndarray of the shape and number type of X

        Raises
        ------
        ValueError
            If the net generates nothing, or does not know a label.
        """
        seed = self._generating_seed(random_state)
        X = check_rows(self, X, reset=False)
        codes = encode(check_labels(self, X, y), self.classes_)
        made = [siblings for _, siblings in self._siblings(X, codes, seed)]
        return like(self.frame_.restored(torch.cat(made)).numpy(), X)

    def generate(self, y, *, random_state=None):
        """Samples of classes, ``g(z, y)`` with z from N(0, I); (n,) -> (n, ...).

        Parameters
        ----------
        y : array-like of shape (n,)
            Labels that the net knows.
        random_state : int, RandomState or None, default=None
            Fixes the samples. None takes them from `seed_`.

        Returns
        -------
        ndarray of shape (n, ...)
            In the scale of the images of `fit`, uint8 ones in [0, 1].

        Raises
        ------
        ValueError
            If the net generates nothing, or does not know a label.
        """
        seed = self._generating_seed(random_state)
        codes = torch.from_numpy(encode(np.asarray(y), self.classes_)).to(self._place())
        with self._isolated("generate", seed=seed), torch.no_grad(), modes_kept(self.generator_):
            self.generator_.eval()
            images = self.generator_(self._noise(len(codes)), codes)
        return self.frame_.restored(images.cpu()).numpy()

    # -- generated images --------------------------------------------------------------------------

    def _generating_seed(self, random_state):
        self.check_is_fitted()
        if "generator_" not in vars(self):
            raise ValueError(f"{self} generates nothing: it was fitted with generated_weight=0")
        return self.seed_ if random_state is None else draw_seed(random_state)

    def _siblings(self, X, codes, seed):
        """Images and their siblings, in [0, 1], batch by batch in the order of X."""
        parts = self.encoder_, self.generator_
        made, rows = [], self.get_dataset(X)
        with self._isolated("augment", seed=derive(seed, "augment")), torch.no_grad(), modes_kept(*parts):
            for part in parts:
                part.eval()
            for batch in self.get_iterator(rows, training=False):
                images = self.frame_.unit(self._as_input(unpack_data(batch)[0]))
                own = torch.from_numpy(codes[: len(images)]).to(images.device)
                latent = losses.reparametrized(self.encoder_(images), self._noise(len(images)))
                made.append((images.cpu(), self.generator_(latent, own).cpu()))
                codes = codes[len(images) :]
        return made

    def _note_facts(self, X, y, rows):
        self.al_facts_ = {"n_generated": 0, "generated_distance": np.nan, "generated_within": np.nan}
        if not self._generates():
            return
        X, y = check_rows(self, X, reset=False), np.asarray(y)
        rows = np.arange(len(X)) if rows is None else np.asarray(rows, dtype=int)
        if len(rows) == 0:
            return
        made = self._siblings(X[rows], encode(y[rows], self.classes_), self.seed_)
        distance = torch.cat([losses.distance(siblings, images) for images, siblings in made]).numpy()
        self.al_facts_ = {
            "n_generated": len(rows),
            "generated_distance": float(distance.mean()),
            "generated_within": float((distance < self.epsilon).mean()),
        }
