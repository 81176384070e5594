"""SegmentationNet: a torch module that labels each pixel of an image, as a scikit-learn classifier."""

from functools import partial
from numbers import Integral

import numpy as np
import torch
from sklearn.utils.metaestimators import available_if
from skorch.dataset import Dataset
from skorch.utils import data_from_dataset, to_tensor

from skal._compat import StrOptions, check_sample_weight
from skal._images import (
    by_size,
    check_pairs,
    compact,
    encode_masks,
    has_pixels,
    mask_values,
    read_images,
    read_masks,
)
from skal._overlap import score_masks
from skal._seeds import derive, draw_seed
from skal.labels import vocabulary
from skal.nets import draws, embedding
from skal.nets._net import MIN_ROWS
from skal.nets._signature import with_those_of
from skal.nets.batches import Rows, as_input, in_memory, is_arrays, take, unweighted, weighted
from skal.nets.classifier import NetClassifier
from skal.nets.intake import is_foreign
from skal.nets.modules import SmallUNet
from skal.nets.padded import ImageBatches, image_batches
from skal.nets.pixel_loss import pixel_loss, pixel_weights
from skal.nets.targets import as_distribution, per_row

# Pixels in a batch of prediction; and those up to which a batch of few images is filled up.
_PIXELS = {"cpu": 2**16, "cuda": 2**21}
_FEW_PIXELS = 2**14


class SegmentationNet(NetClassifier):
    """A torch module that labels each pixel of an image, as a scikit-learn classifier.

    As `NetClassifier`, with a mask for each image in place of a label: all that is said there of seeds,
    devices and number types holds here. Images are an array, (n, h, w) or (n, c, h, w), or, where their
    sizes differ, a list or 1-d object array of arrays; masks are whole numbers of shape (n, h, w), or a list
    or object array of such, where None stands for an image without a mask. A pixel whose label is
    `ignore_index` has no influence on anything; an image without a labelled pixel is left out of training and
    scores.

    Parameters
    ----------
    module : class, callable, torch.nn.Module or None, default=None
        Gets images (b, c, h, w), with c = 1 for images without channels, and returns logits (b, n_classes, h,
        w). A class is initialised from the seed at each fit; where it has parameters `in_channels`,
        `n_classes` or `in_shape` (that of the largest image, (c, h, w)), they are filled in. An instance is
        the starting weights. None takes `skal.nets.SmallUNet`.
    ignore_index : int, default=-1
        What stands in masks for a pixel without a label.
    scoring : {"dice", "iou", "accuracy"} or callable, default="dice"
        What `score` returns: `skal.metrics.dice_score` or `skal.metrics.iou_score`, the mean over classes, or
        the share of pixels that are right. A function ``(y_true, y_pred, ignore_index=...) -> float`` gets
        masks; one that looks at class 1 alone is ``functools.partial(dice_score, labels=[1])``.
    classes : array-like, default=None
        All labels that may ever come, without `ignore_index`. None takes those in the masks.
    class_weight : dict, "balanced" or None, default=None
        Weight of the pixels of each class in the loss; labels that a dict leaves out have weight 1.
    criterion : class, default=torch.nn.CrossEntropyLoss
        The loss of pixels: it gets logits (m, n_classes) and codes (m,) of the labelled pixels of a batch,
        and has a parameter `reduction`, as torch's losses have.
    batch_size : int >= 1 or -1, default=4
        Images in a step of training: few, so that few labelled images make enough steps. Those of different
        sizes are padded with ignored pixels to the largest. Prediction takes ``iterator_valid__batch_size``,
        or as many as make 65,536 pixels on a CPU if it is not set, and never pads.
    train_split : callable or None, default=None
        Sets images apart for ``valid_loss``, such as ``skorch.dataset.ValidSplit(5)``.
    **kwargs
        All other parameters of `NetClassifier`, but for `image_shape`.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels of pixels, sorted, without `ignore_index`.
    in_shape_ : tuple of int
        (channels, height, width) of the largest image of the fit.
    history, module_, seed_
        As in `NetClassifier`.

    Notes
    -----
    Each labelled pixel counts the same in a fit, whatever image and batch it is in, times `sample_weight` of
    its image and the weight of its class: the loss of a batch is the weighted sum over its labelled pixels,
    divided by the number of its images and by the mean of that sum's weights for an image of the training
    set. Where all images have as many labelled pixels, this is the mean over pixels.

    Images of different sizes are predicted size by size, so that to rounding an answer is the same
    whatever its neighbours.

    Examples
    --------
    >>> import numpy as np
    >>> from skal import SegmentationNet
    >>> rng = np.random.RandomState(0)
    >>> masks = np.zeros((40, 16, 16), dtype=int)
    >>> for mask, (row, column) in zip(masks, rng.randint(10, size=(40, 2))):
    ...     mask[row : row + 6, column : column + 6] = 1
    >>> images = masks + 0.5 * rng.normal(size=masks.shape)
    >>> net = SegmentationNet(max_epochs=10, random_state=0).fit(images[:30], masks[:30])
    >>> net.predict_proba(images[30:]).shape
    (10, 16, 16, 2)
    >>> net.score(images[30:], masks[30:]) > 0.8
    True
    """

    labels_pixels = True
    image_shape = None  # of flat rows, which have no masks

    _parameter_constraints = {
        **{
            name: kind for name, kind in NetClassifier._parameter_constraints.items() if name != "image_shape"
        },
        "ignore_index": [Integral],
        "scoring": [StrOptions({"dice", "iou", "accuracy"}), callable],
    }
    _batches = staticmethod(image_batches)
    _draws_choose_rows = False
    _stand_in = SmallUNet

    def __init__(self, module=None, *, ignore_index=-1, scoring="dice", batch_size=4, **kwargs):
        if "image_shape" in kwargs:
            raise TypeError("SegmentationNet has no parameter image_shape: X is images already")
        super().__init__(module, batch_size=batch_size, **kwargs)
        vars(self).pop("image_shape")
        self.ignore_index = ignore_index
        self.scoring = scoring

    __init__.__signature__ = with_those_of(NetClassifier.__init__, __init__)

    def fit(self, X, y=None, sample_weight=None, **fit_params):
        """Train on images and their masks; a new net unless `warm_start`.

        Parameters
        ----------
        X : array-like of shape (n, h, w) or (n, c, h, w), or a list or object array of images
            Images without a labelled pixel are left out.
        y : array-like of int of shape (n, h, w), or a list or object array of masks
        sample_weight : array-like of shape (n,), default=None
            Weight of the pixels of each image in the loss, 0 or more.
        **fit_params
            Passed to ``module.forward`` and `train_split`, as in skorch.

        Returns
        -------
        self : SegmentationNet
            The fitted net.

        Raises
        ------
        ValueError
            If images and masks don't pair up, masks are no whole numbers, or no pixel has a label.
        """
        return super().fit(X, y, sample_weight, **fit_params)

    def predict_proba(self, X):
        """Probability of each class at each pixel; -> (n, h, w, n_classes) float64.

        For images of different sizes a 1-d object array of (h_i, w_i, n_classes). Always the same for the
        same net and images, and, to rounding, for an image whatever its neighbours. With `mc_dropout`, the
        mean over draws of dropout masks.
        """
        return self._by_size(X, self._proba)

    def predict(self, X):
        """The most probable label of each pixel; -> (n, h, w), or an object array of (h_i, w_i)."""
        return self._by_size(X, self._labels)

    @available_if(draws.can_drop)
    def sample_proba(self, X, n_draws=None, *, random_state=None, consistent=True):
        """Class probabilities under draws of dropout masks; -> (n_draws, n, h, w, n_classes) float64.

        For images of different sizes a 1-d object array of (n_draws, h_i, w_i, n_classes). What comes before
        the first dropout is computed once for all draws.

        Parameters
        ----------
        X : array-like of shape (n, h, w) or (n, c, h, w), or a list or object array of images
        n_draws : int >= 1 or None, default=None
            How many masks; None is 20.
        random_state : int, RandomState or None, default=None
            Fixes the masks. None takes them from `seed_`, so that a fitted net repeats its answers.
        consistent : bool, default=True
            Share each draw's masks over the images: an image's draws then hang on no other image. Else each
            has masks of its own, known by its number among those of its size.

        Returns
        -------
        ndarray of shape (n_draws, n, h, w, n_classes)

        Raises
        ------
        TypeError
            If the module has no active dropout, or randomness that can't be told from it.
        """
        self.check_is_fitted()
        seed = derive(self.seed_, "draws") if random_state is None else draw_seed(random_state)

        def sampled(images):
            own = seed if consistent else derive(seed, *images.shape[-2:])
            drawn = draws.sample_proba(self, images, n_draws, own, consistent)
            drawn = drawn.reshape(*drawn.shape[:2], *images.shape[-2:], -1)
            for draw in drawn:  # one at a time: all at once need twice the memory
                draw[...] = as_distribution(draw, self)
            return drawn

        return self._by_size(X, sampled, axis=1)

    def embed(self, X, layer=None):
        """The mean over positions of the map with which the encoder ends; -> (n, channels).

        In evaluation mode: the same for the same net and images, and, to rounding, for an image whatever its
        neighbours.

        Parameters
        ----------
        X : array-like of shape (n, h, w) or (n, c, h, w), or a list or object array of images
        layer : str or None, default=None
            The name of a layer, as in ``net.module_.named_modules()``. None takes the one whose map is
            smallest, and widest where several are; see `skal.nets.taps.find_encoder`.

        Returns
        -------
        ndarray of shape (n, channels)
            In the net's number type.

        Raises
        ------
        ValueError
            If the module has no such layer, or none that returns maps.
        """
        self.check_is_fitted()
        images = self._images(X)
        example = torch.zeros(2, *self.in_shape_, device=self.device)
        parts = [(rows, embedding.spatial_means(self, own, layer, example)) for rows, own in by_size(images)]
        Z = np.empty((len(images), parts[0][1].shape[1]), dtype=parts[0][1].dtype)
        for rows, means in parts:
            Z[rows] = means
        return Z

    def proba_and_embedding(self, X, layer=None):
        """The answers of `predict_proba` and of `embed`, one after the other."""
        return self.predict_proba(X), self.embed(X, layer)

    def score(self, X, y, sample_weight=None):
        """How well predicted masks agree with true ones, by `scoring`; over all labelled pixels together.

        Parameters
        ----------
        X : array-like of shape (n, h, w) or (n, c, h, w), or a list or object array of images
        y : array-like of int of shape (n, h, w), or a list or object array of masks
            Pixels of `ignore_index`, and images without a mask, are left out.
        sample_weight : array-like of shape (n,) or None, default=None
            How much the pixels of each image count.

        Returns
        -------
        float
        """
        self.check_is_fitted()
        images, masks, labelled = self._pairs(X, y)
        weight = None if sample_weight is None else np.asarray(sample_weight)[labelled]
        return score_masks(self.scoring, masks, self.predict(images), self.ignore_index, weight)

    # -- prediction --------------------------------------------------------------------------------

    def _by_size(self, X, function, axis=0):
        """What a function makes of images of one size at a time; its answers have the images on `axis`."""
        self.check_is_fitted()
        images = self._images(X)
        if images.dtype != object:
            return function(images)
        answers = np.empty(len(images), dtype=object)
        for rows, own in by_size(images):
            for row, answer in zip(rows, np.moveaxis(function(own), axis, 0), strict=True):
                answers[row] = answer
        return answers

    def _proba(self, images):
        if self.mc_dropout is None:
            return self._finished(images, lambda proba: proba)
        flat = draws.mean_proba(self, images, self.mc_dropout, derive(self.seed_, "draws"))
        return as_distribution(flat.reshape(len(flat), *images.shape[-2:], -1), self)

    def _labels(self, images):
        if self.mc_dropout is None:  # batch by batch, so that no array holds the probabilities of all
            codes = self._finished(images, _most_probable)
        else:
            codes = _most_probable(self._proba(images))
        # While skorch's scoring callbacks run, they replace forward_iter and compare with codes.
        return codes if "forward_iter" in vars(self) else self.classes_[codes]

    def _finished(self, images, function):
        """What a function makes of the probabilities of each batch, in one array."""
        as_proba, result, start = self._get_predict_nonlinearity(), None, 0
        with self._isolated("predict"), torch.inference_mode():
            for output in self.forward_iter(images, device=self.device):
                part = function(as_distribution(as_proba(output.cpu().double()).numpy(), self))
                if result is None:
                    result = np.empty((len(images), *part.shape[1:]), dtype=part.dtype)
                result[start : start + len(part)] = part
                start += len(part)
        return result

    def infer(self, x, **fit_params):
        """The module's output for one batch, classes last: (b, h, w, n_classes)."""
        output = super().infer(x, **fit_params)
        output = output[0] if isinstance(output, tuple) else output
        size = tuple(unweighted(x)[0].shape[-2:])
        shape = tuple(getattr(output, "shape", ()))
        if len(shape) != 4 or shape[2:] != size:
            raise ValueError(
                f"{self} needs a module that returns logits (b, n_classes, {size[0]}, {size[1]}) for images "
                f"of {size[0]}x{size[1]} pixels, and its module returns {shape or type(output).__name__}"
            )
        return output.permute(0, 2, 3, 1)

    def _as_input(self, x):
        images, _ = unweighted(x)
        images = as_input(to_tensor(images, device=self.device), None, self._torch_dtype())
        return images.unsqueeze(1) if images.ndim == 3 else images

    def _inference_rows(self, dataset):
        rows, _ = in_memory(dataset)
        if rows is None:
            return super()._inference_rows(dataset)
        images = unweighted(rows.X)[0]
        images = images if images.dtype == object else images[:1]
        n_pixels = max(image.shape[-2] * image.shape[-1] for image in images)
        rows = _PIXELS["cuda" if self._place().type == "cuda" else "cpu"] // n_pixels
        return int(np.clip(rows, 1, super()._inference_rows(dataset)))

    def _fewest_rows(self, X):
        n_pixels = X.shape[-2] * X.shape[-1]
        return MIN_ROWS if MIN_ROWS * n_pixels <= _FEW_PIXELS else 1

    # -- data --------------------------------------------------------------------------------------

    def get_dataset(self, X, y=None):
        """The dataset of images and the codes of their masks."""
        if self.dataset is not Dataset or not is_arrays(X):
            return super().get_dataset(X, y)
        return Rows(X, y)

    def get_iterator(self, dataset, training=False):
        """Batches of a dataset; see `NetClassifier`."""
        batches = super().get_iterator(dataset, training)
        rows, _ = in_memory(dataset)
        mixed = rows is not None and unweighted(rows.X)[0].dtype == object
        if mixed and not isinstance(batches, ImageBatches):
            raise ValueError(
                f"{self} pads images of different sizes in batches of its own: leave iterator_train and "
                "iterator_valid and their parameters alone, but for batch_size and shuffle"
            )
        return batches

    def _images(self, X, reset=False):
        """Images as the net takes them; unless `reset`, with as many channels as at `fit`."""
        who = type(self).__name__
        if is_foreign(X):
            rows, index = in_memory(X)
            if rows is None:
                raise ValueError(
                    f"{who} takes images in memory, an array or a list of them, and got a {type(X).__name__}"
                )
            images = unweighted(rows.X)[0]
            return compact(images if index is None else take(images, index))
        images = read_images(X, who)
        if not reset and _n_channels(images) != self.in_shape_[0]:
            raise ValueError(
                f"{self} was fitted on images with {self.in_shape_[0]} channels, and X has images of shape "
                f"{images[0].shape}: one image goes in as X[None]"
            )
        return images

    def _pairs(self, X, y, reset=False):
        """Images and masks, without those that have no labelled pixel; and which ones are left."""
        who = type(self).__name__
        images, masks = self._images(X, reset), read_masks(y, who)
        check_pairs(images, masks, who)
        labelled = has_pixels(masks, self.ignore_index)
        if not labelled.any():
            raise ValueError(
                f"{who} needs labels, and none of the {len(masks)} masks in y has a pixel that is not "
                f"ignore_index={self.ignore_index}"
            )
        if not labelled.all():
            images, masks = images[labelled], masks[labelled]
        images, masks = compact(images), compact(masks)
        return images, masks, labelled

    def _check_training_set(self, X, y, sample_weight, classes, reset):
        reset = reset or "classes_inferred_" not in vars(self)
        images, masks, labelled = self._pairs(X, y, reset)
        known = self._vocabulary(masks, classes) if reset else self.classes_inferred_
        codes = encode_masks(masks, known, self.ignore_index)
        sample_weight = check_sample_weight(sample_weight, labelled)[labelled]
        pixel_weight, self.class_weights_ = pixel_weights(codes, known, sample_weight, self.class_weight)
        if reset:
            heights, widths = zip(*(image.shape[-2:] for image in images), strict=True)
            self.in_shape_ = (_n_channels(images), max(heights), max(widths))
            self.classes_inferred_ = known
        return weighted(images, pixel_weight), codes

    def _vocabulary(self, masks, classes):
        if classes is None:
            return mask_values(masks, self.ignore_index)
        known = vocabulary(classes)
        if self.ignore_index in known:
            raise ValueError(
                f"classes={known.tolist()} names ignore_index={self.ignore_index}, which stands for pixels "
                "without a label: leave it out, or set another ignore_index"
            )
        return known

    def _with_codes(self, valid):
        try:
            images, masks, _ = self._pairs(*data_from_dataset(valid))
        except AttributeError as error:
            raise ValueError(
                f"{type(self).__name__} takes a validation set with X and y in memory, and got a "
                f"{type(valid).__name__}"
            ) from error
        return Rows(images, encode_masks(masks, self.classes_, self.ignore_index))

    # -- training ----------------------------------------------------------------------------------

    @property
    def _default_callbacks(self):
        # Accuracy on a validation set is one of labels, not of masks.
        return [(name, callback) for name, callback in super()._default_callbacks if name != "valid_acc"]

    def initialize_criterion(self):
        """Build the criterion, which has to tell the loss of each pixel."""
        super().initialize_criterion()
        if getattr(self.criterion_, "reduction", None) not in ("mean", "sum", "none"):
            raise TypeError(
                f"{type(self).__name__} needs a criterion with `reduction`, for the loss of each pixel, "
                f"which {self.criterion_} lacks: take one of torch.nn's losses"
            )
        return self

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Loss of a batch: the weighted mean of the criterion over pixels that have a label."""
        _, weight = unweighted(X)
        class_weight = None if self.class_weights_ is None else torch.from_numpy(self.class_weights_)
        criterion = partial(super().get_loss, training=training)
        with per_row(self.criterion_):
            return pixel_loss(criterion, y_pred, to_tensor(y_true, self.device), weight, class_weight)

    def _default_module(self):
        return SmallUNet

    def _learned(self):
        in_shape = vars(self).get("in_shape_")
        return super()._learned() | {"in_channels": None if in_shape is None else in_shape[0]}

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        return tags


def _n_channels(images):
    return images[0].shape[0] if images[0].ndim == 3 else 1


def _most_probable(proba):
    return proba.argmax(axis=-1)
