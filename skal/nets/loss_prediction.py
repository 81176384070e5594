"""LossPredictionClassifier: a net that learns, beside its task, which rows it has a large loss on."""

from collections.abc import Mapping
from copy import deepcopy
from numbers import Integral, Real

import numpy as np
import torch
from skorch.dataset import unpack_data

from skal._block_wise import block_wise
from skal._compat import Interval, InvalidParameterError
from skal.nets._signature import with_those_of
from skal.nets.batches import unweighted
from skal.nets.classifier import NetClassifier
from skal.nets.intake import at_the_net, check_rows, is_foreign
from skal.nets.loss_module import LossModule, pair_loss
from skal.nets.seeding import isolated
from skal.nets.taps import check_taps, find_taps, read, tapped
from skal.nets.targets import per_row

_ROWS = 3  # by which the module is looked at before it is trained


class LossPredictionClassifier(NetClassifier):
    """A net that also predicts its own loss: `NetClassifier` with learning loss (Yoo & Kweon 2019).

    Some hidden layers of the module, the *taps*, are watched in its forward pass. What they return is
    averaged over positions (global average pooling) and brought to a common width by a linear layer and a
    ReLU each, and a linear layer makes one number of it all: the predicted loss. It is trained with the
    module, by pairs of rows of a batch, to say which of the two has the larger loss, not how large it is::

        mean criterion + loss_weight * mean over pairs of max(0, margin - sign(l_i - l_j) (p_i - p_j))

    The module itself is used as it is, and is run once in each step.

    Parameters
    ----------
    module : class, callable, torch.nn.Module or None, default=None
        As in `NetClassifier`.
    taps : sequence of str or None, default=None
        The names of the layers to watch, as in ``module.named_modules()``: ``("layer1", "layer2")``. None
        finds them, by the rule of `skal.nets.taps.find_taps`: the last layer at each resolution of the
        images, dropout and pooling left aside, then each hidden linear layer with its activation. The name
        ``""`` is the answer of the module, taken where there are no hidden layers, and never trained by this.
    margin : float > 0, default=1.0
        How far apart the predictions of two rows have to be.
    loss_weight : float >= 0, default=1.0
        Weight of the loss of pairs beside the criterion.
    detach_after : float in [0, 1], default=0.6
        Share of the epochs of a fit after which the loss of pairs no longer trains the module, only what
        reads the taps. With 0 the module is that of a `NetClassifier`, bit for bit; 1 never stops.
    **kwargs
        All parameters of `NetClassifier`, and ``loss_module__hidden`` (128), the width to which taps are
        brought.

    Attributes
    ----------
    taps_ : tuple of str
        The names of the layers that are watched.
    loss_module_ : LossModule
        What predicts the loss from them; ``save_params(f_loss_module=...)`` saves it.
    history : skorch.history.History
        Has ``pair_loss`` beside ``train_loss``, which is that of the criterion alone.
    module_, classes_, seed_, n_features_in_, in_shape_
        As in `NetClassifier`.

    Notes
    -----
    Rows are paired in the order in which a batch comes, the first half with the second; the last of an odd
    number is left out, and rows of equal loss are not compared. The criterion of each row is its target, with
    no gradient and no weight; weights of rows count in the mean over pairs, where they are multiplied.

    The weights of the loss module go to the optimizer as ``loss_module.taps.0.weight`` and so on, so that
    ``optimizer__param_groups=[("loss_module.*", {"lr": 0.01})]`` sets a learning rate of their own.

    References
    ----------
    D. Yoo and I. S. Kweon, "Learning loss for active learning", CVPR 2019.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skal.nets import LossPredictionClassifier
    >>> digits = load_digits()
    >>> net = LossPredictionClassifier(max_epochs=5, random_state=0)
    >>> net = net.fit(digits.images[:1000] / 16, digits.target[:1000])
    >>> net.taps_
    ('features.1', 'features.4', 'features.8')
    >>> net.predict_loss(digits.images[1000:] / 16).shape
    (797,)
    """

    _parameter_constraints = {
        **NetClassifier._parameter_constraints,
        "taps": [tuple, list, None],
        "margin": [Interval(Real, 0, None, closed="neither")],
        "loss_weight": [Interval(Real, 0, None, closed="left")],
        "detach_after": [Interval(Real, 0, 1, closed="both")],
    }

    def __init__(self, module=None, *, taps=None, margin=1.0, loss_weight=1.0, detach_after=0.6, **kwargs):
        super().__init__(module, **kwargs)
        self.taps = taps
        self.margin = margin
        self.loss_weight = loss_weight
        self.detach_after = detach_after

    __init__.__signature__ = with_those_of(NetClassifier.__init__, __init__)

    @block_wise(door=at_the_net)
    def predict_loss(self, X):
        """The loss expected on each row, in units that only order the rows; (n, ...) -> (n,) float64.

        In evaluation mode: the same for the same net and rows, and, to rounding, for a row whatever its
        neighbours.
        """
        self.check_is_fitted()
        X = X if is_foreign(X) else check_rows(self, X, reset=False)
        predicted = []
        with self._isolated("predict"), torch.inference_mode(), tapped(self.module_, self.taps_) as seen:
            # The class's own: while skorch's scoring callbacks run, the net's runs no module.
            for output in type(self).forward_iter(self, X, device=self.device):
                n_rows = len(output[0] if isinstance(output, tuple) else output)
                predicted.append(self.loss_module_(read(seen, self.taps_))[:n_rows].cpu())
        return torch.cat(predicted).double().numpy()

    # -- building ----------------------------------------------------------------------------------

    def initialize_module(self):
        """Build the module, find the taps, and build what reads them."""
        super().initialize_module()
        self.taps_, channels = self._look_at_module()
        self.loss_module_ = LossModule(channels, **self.get_params_for("loss_module"))
        if self.dtype is not None:
            self.loss_module_.to(self._torch_dtype())
        return self

    def initialize_criterion(self):
        """Build the criterion, which has to tell the loss of each row."""
        super().initialize_criterion()
        if getattr(self.criterion_, "reduction", None) not in ("mean", "sum", "none"):
            raise TypeError(
                f"{type(self).__name__} needs a criterion with `reduction`, for the loss of each row, which "
                f"{self.criterion_} lacks: take one of torch.nn's losses"
            )
        return self

    def get_all_learnable_params(self):
        """Names and weights of module and criterion, and of the loss module with its name before theirs."""
        own = {id(weight) for weight in self.loss_module_.parameters()}
        for name, weight in super().get_all_learnable_params():
            yield (f"loss_module.{name}" if id(weight) in own else name), weight

    def _check_parameters(self):
        super()._check_parameters()
        if self.taps is not None and len(self.taps) == 0:
            raise InvalidParameterError(
                f"taps={self.taps!r} leaves the loss module nothing to read: name layers, or pass None."
            )
        hidden = vars(self).get("loss_module__hidden", 1)
        if not isinstance(hidden, Integral) or hidden < 1:
            raise InvalidParameterError(
                f"loss_module__hidden={hidden!r} is no width: pass an int of 1 or more."
            )
        if self.compile:
            raise ValueError(
                "compile=True makes one piece of the module, and its hidden layers can't be tapped"
            )
        if self.batch_size == 1:
            raise ValueError("batch_size=1 leaves no pairs of rows, by which predicted losses are trained")

    def _check_training_set(self, X, y, sample_weight, classes, reset):
        rows, codes = super()._check_training_set(X, y, sample_weight, classes, reset)
        if reset or "example_" not in vars(self):
            self.example_ = self._example_of(rows)
        return rows, codes

    def _example_of(self, rows):
        """Ones in the shape and number type of a row, as a batch of the net's iterator has it."""
        with isolated(0, "cpu"):  # a Dataset may draw when it is read
            batch = next(iter(self.get_iterator(self.get_dataset(rows), training=False)))
        return _ones(unweighted(unpack_data(batch)[0])[0], n_rows=1)

    def _look_at_module(self):
        """Names and channels of the taps, from one pass of a few rows through a copy of the module."""
        if "example_" not in vars(self):
            raise ValueError(
                f"{self} finds out what its taps return by running the module on rows: call fit first, with "
                "max_epochs=0 if nothing is to be trained"
            )
        module = deepcopy(self.module_).to(self._place()).eval()

        def forward():
            x = self._as_input(_ones(self.example_, _ROWS))
            return module(**x) if isinstance(x, Mapping) else module(x)

        taps = find_taps(module, forward, _ROWS) if self.taps is None else tuple(self.taps)
        return taps, check_taps(module, taps, forward, _ROWS)

    # -- training ----------------------------------------------------------------------------------

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Note the first epoch from which on the loss of pairs does not train the module."""
        super().on_train_begin(net, X=X, y=y, **kwargs)
        self.detached_from_ = len(self.history) + round(self.detach_after * self.max_epochs)

    def train_step_single(self, batch, **fit_params):
        """Both losses and their gradients for one batch, from one forward pass."""
        self._set_training(True)
        Xi, yi = unpack_data(batch)
        with tapped(self.module_, self.taps_) as seen:
            y_pred = self.infer(Xi, **fit_params)
        loss = self.get_loss(y_pred, yi, X=Xi, training=True)
        pairs = self._pair_loss(read(seen, self.taps_), y_pred, yi, Xi)
        self.scaler_.scale(loss + self.loss_weight * pairs).backward()
        self.history.record_batch("pair_loss", pairs.detach())
        return {"loss": loss, "y_pred": y_pred}

    def _pair_loss(self, features, y_pred, y_true, X):
        _, weight = unweighted(X)
        # This epoch is in the history already. The answer is for the criterion alone to train.
        if len(self.history) > self.detached_from_ or "" in self.taps_:
            features = [part.detach() for part in features]
        with torch.no_grad(), per_row(self.criterion_):
            losses = super().get_loss(y_pred, y_true, training=True)
        return pair_loss(self.loss_module_(features), losses, self.margin, weight)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """One epoch, and the mean loss of its pairs."""
        super().run_single_epoch(iterator, training, prefix, step_fn, **fit_params)
        if not training:
            return
        batches = self.history[-1]["batches"]
        losses = torch.stack([batch["pair_loss"] for batch in batches]).tolist()  # a GPU waits once
        for batch, loss in zip(batches, losses, strict=True):
            batch["pair_loss"] = loss
        self.history.record("pair_loss", float(np.mean(losses)))


def _ones(inputs, n_rows):
    """Ones in the shape and number type of a row, so many rows of them; of each tensor in a batch."""
    if isinstance(inputs, Mapping):
        return {name: _ones(part, n_rows) for name, part in inputs.items()}
    if isinstance(inputs, tuple | list):
        return type(inputs)(_ones(part, n_rows) for part in inputs)
    return torch.ones((n_rows, *inputs.shape[1:]), dtype=inputs.dtype)
