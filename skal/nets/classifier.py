"""Any torch module as a scikit-learn classifier."""

from inspect import signature
from numbers import Integral, Real

import torch
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.utils.metaestimators import available_if
from skorch.dataset import Dataset
from torch.utils.data import DataLoader

from skal._block_wise import block_wise
from skal._compat import Interval, InvalidParameterError, StrOptions, fit_routing
from skal._seeds import derive, draw_seed
from skal.labels import vocabulary
from skal.nets import draws, embedding
from skal.nets._net import SkorchNet
from skal.nets.batches import root, unweighted
from skal.nets.intake import at_the_net, check_rows, is_foreign, training_set, with_codes
from skal.nets.modules import built, default_module
from skal.nets.targets import as_distribution, check_width, per_row
from skal.nets.transforms import Transformed, transformed_shape


class NetClassifier(SkorchNet):
    """A torch module as a scikit-learn classifier, and still a skorch net.

    Takes any labels, and arrays of any number type as they are: batches are cast, never the whole.
    ``uint8`` images (rows of two or more dimensions) are scaled to [0, 1]; all else keeps its values.
    Everything random follows from `random_state`, and no call leaves a trace in the random states of
    numpy, torch and Python. On one device and at one number of threads, equal seeds give equal bits; on a
    GPU cuDNN is held to algorithms that do so, and the exceptions are modules with operations whose
    gradients torch adds in any order there, such as bilinear interpolation.

    Parameters
    ----------
    module : class, callable, torch.nn.Module or None, default=None
        A class is initialised from the seed at each fit, with the parameters ``module__<name>``; where it has
        parameters `n_classes` and `in_shape` (shape of one row), they are filled in. An instance is
        the starting weights: each fit trains a copy of it. It returns logits, (b, n_classes), unless
        `criterion` says otherwise. None takes `SmallCNN` for images and `SmallMLP` for flat rows.
    classes : array-like, default=None
        All labels that may ever come. They become `classes_`, and `predict_proba` has a column for
        each, seen or not. None takes the labels of y.
    class_weight : dict, "balanced" or None, default=None
        Weight of each label in the loss; labels that a dict leaves out have weight 1.
    image_shape : tuple of int, default=None
        Rows are handed to the module in this shape, such as (28, 28) or (3, 32, 32).
    transform : callable or None, default=None
        What a row goes through before the module, in training and in scoring: takes and returns a tensor, in
        the number type of X and in `image_shape`. One that draws is refused.
    train_transform : callable or None, default=None
        Augmentation: what a row goes through in training only, before `transform`; takes and returns a tensor
        too. What it draws from torch, numpy or Python follows from `random_state`.
    random_state : int, RandomState instance or None, default=None
        Fixes initial weights, order, dropout, and whatever else the module draws.
    init_seed, order_seed : int >= 0 or None, default=None
        Fix the initial weights, or the order of the rows in each epoch, in place of `random_state`: nets
        that differ in all else then start from the same weights, or see the same batches.
    n_threads : int >= 1 or None, default=None
        torch's threads during a call. None leaves them alone.
    device : str, torch.device or None, default="auto"
        Where to compute; "auto" is a GPU where there is one. Data in memory goes to a GPU once, if it fits.
    amp : bool, "bfloat16" or "float16", default=False
        Compute the module's output in mixed precision. True takes bfloat16 where the device has it.
    dtype : "auto", "float32", "float64" or None, default="auto"
        Number type of the module and its input. "auto" is float64 for a module with float64 weights, else
        float32. None leaves both, for a module that takes token numbers.
    criterion : class, default=torch.nn.CrossEntropyLoss
        The loss. With ``torch.nn.NLLLoss`` the module returns probabilities, as in skorch.
    optimizer : class, default=torch.optim.Adam
        Its parameters are ``optimizer__<name>``.
    lr : float, default=0.003
        Learning rate.
    max_epochs : int >= 0, default=50
        Passes over the data in each call of `fit` or `partial_fit`.
    weight_decay_scale : float >= 0 or None, default=None
        Weight decay of the optimizer, times the number of rows it trains on: with n rows, it decays by
        ``weight_decay_scale / n``, so that the data outweigh the prior as they grow (Gal et al. 2017). None
        leaves it to ``optimizer__weight_decay``.
    mc_dropout : int >= 1 or None, default=None
        Make `predict_proba` the mean over so many draws of dropout masks, always the same ones. None
        predicts without dropout, as usual.
    batch_size : int >= 1 or -1, default=64
        Rows in a step of training; -1 for all. Batches are of nearly equal size. Prediction takes
        ``iterator_valid__batch_size``, 64 on a CPU if it is not set.
    train_split : callable or None, default=None
        Sets rows apart for ``valid_loss`` and ``valid_acc``, such as ``skorch.dataset.ValidSplit(5)``.
    warm_start : bool, default=False
        Whether `fit` goes on from the weights of the last fit.
    iterator_train, iterator_valid, dataset, callbacks, predict_nonlinearity, verbose, compile, \
            use_caching, torch_load_kwargs
        As in ``skorch.NeuralNetClassifier``. Another `dataset` or iterator takes skorch's way, row by row.
    **kwargs
        Parameters of parts: ``module__<name>``, ``optimizer__<name>``, ``callbacks__<name>``, ...

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, sorted.
    history : skorch.history.History
        One entry an epoch, with ``train_loss`` and ``dur``, over all fits that went on from another.
    module_ : torch.nn.Module
        The trained module.
    seed_ : int
        What all randomness is derived from.
    n_features_in_ : int
        ``X.shape[1]``.
    in_shape_, row_shape_ : tuple of int
        Shape of a row as the module gets it, and before `transform`.

    Notes
    -----
    Weights of rows are divided by their mean over all rows. A weight of 2 equals a row that is there twice
    only with ``batch_size=-1``, ``dtype="float64"`` and no dropout: other nets see other batches and masks.

    References
    ----------
    M. Tietz, T. J. Fan, D. Nouri, B. Bossan: skorch. https://skorch.readthedocs.io

    Y. Gal, R. Islam, Z. Ghahramani (2017). Deep Bayesian Active Learning with Image Data. ICML.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from skal.nets import NetClassifier
    >>> digits = load_digits()
    >>> net = NetClassifier(max_epochs=5, random_state=0)
    >>> net.fit(digits.images[:1000] / 16, digits.target[:1000])
    NetClassifier(max_epochs=5, random_state=0)
    >>> net.score(digits.images[1000:] / 16, digits.target[1000:]) > 0.8
    True
    """

    _parameter_constraints = {
        "class_weight": [dict, StrOptions({"balanced"}), None],
        "image_shape": [tuple, list, None],
        "transform": [callable, None],
        "train_transform": [callable, None],
        "random_state": ["random_state"],
        "init_seed": [Interval(Integral, 0, None, closed="left"), None],
        "order_seed": [Interval(Integral, 0, None, closed="left"), None],
        "n_threads": [Interval(Integral, 1, None, closed="left"), None],
        "amp": ["boolean", StrOptions({"bfloat16", "float16"})],
        "dtype": [StrOptions({"auto", "float32", "float64"}), None],
        "max_epochs": [Interval(Integral, 0, None, closed="left")],
        "weight_decay_scale": [Interval(Real, 0, None, closed="left"), None],
        "mc_dropout": [Interval(Integral, 1, None, closed="left"), None],
        "batch_size": [Interval(Integral, 1, None, closed="left"), Interval(Integral, -1, 0, closed="left")],
        "warm_start": ["boolean"],
    }

    __repr__ = BaseEstimator.__repr__

    def __init__(
        self,
        module=None,
        *,
        classes=None,
        class_weight=None,
        image_shape=None,
        transform=None,
        train_transform=None,
        random_state=None,
        init_seed=None,
        order_seed=None,
        n_threads=None,
        device="auto",
        amp=False,
        dtype="auto",
        criterion=torch.nn.CrossEntropyLoss,
        optimizer=torch.optim.Adam,
        lr=0.003,
        weight_decay_scale=None,
        mc_dropout=None,
        max_epochs=50,
        batch_size=64,
        iterator_train=DataLoader,
        iterator_valid=DataLoader,
        dataset=Dataset,
        train_split=None,
        callbacks=None,
        predict_nonlinearity="auto",
        warm_start=False,
        verbose=0,
        compile=False,
        use_caching="auto",
        torch_load_kwargs=None,
        **kwargs,
    ):
        super().__init__(
            module,
            classes=classes,
            criterion=criterion,
            optimizer=optimizer,
            lr=lr,
            max_epochs=max_epochs,
            batch_size=batch_size,
            iterator_train=iterator_train,
            iterator_valid=iterator_valid,
            dataset=dataset,
            train_split=train_split,
            callbacks=callbacks,
            predict_nonlinearity=predict_nonlinearity,
            warm_start=warm_start,
            verbose=verbose,
            device=device,
            compile=compile,
            use_caching=use_caching,
            torch_load_kwargs=torch_load_kwargs,
            **kwargs,
        )
        self.class_weight = class_weight
        self.image_shape = image_shape
        self.transform = transform
        self.train_transform = train_transform
        self.random_state = random_state
        self.init_seed = init_seed
        self.order_seed = order_seed
        self.weight_decay_scale = weight_decay_scale
        self.mc_dropout = mc_dropout
        self.n_threads = n_threads
        self.amp = amp
        self.dtype = dtype
        for name in ("history_", "initialized_", "virtual_params_"):
            vars(self).pop(name)

    def fit(self, X, y=None, sample_weight=None, **fit_params):
        """Train on the rows of X; a new net unless `warm_start`.

        Parameters
        ----------
        X : array-like of shape (n, m), (n, h, w) or (n, c, h, w); dict of arrays; torch Dataset
            The rows. A Dataset gives pairs of a row and its label; a dict goes to the module by name.
        y : array-like of shape (n,), default=None
            The labels. Only a Dataset goes without.
        sample_weight : array-like of shape (n,), default=None
            Weight of each row in the loss, 0 or more.
        **fit_params
            Passed to ``module.forward`` and `train_split`, as in skorch.

        Returns
        -------
        self : NetClassifier
            The fitted net.
        """
        X, codes = self._start(X, y, sample_weight)
        return self._train(X, codes, **fit_routing(self), **fit_params)

    def partial_fit(self, X, y=None, classes=None, sample_weight=None, **fit_params):
        """Train on from the weights that there are; see `fit`.

        `classes` names all labels that may come, as in scikit-learn; only the first call reads it, and only
        where the parameter `classes` is None.
        """
        self._check_parameters()
        classes = classes if self.classes is None else self.classes
        X, codes = self._check_training_set(X, y, sample_weight, classes, not self.initialized_)
        if not self.initialized_:
            self.initialize()
        return self._train(X, codes, **fit_params)

    @block_wise(door=at_the_net)
    def predict_proba(self, X):
        """Probability of each class, in the order of `classes_`; (n, ...) -> (n, n_classes) float64.

        Always the same for the same net and rows, and, to rounding, for a row whatever its neighbours.
        With `mc_dropout`, the mean over draws of dropout masks, which hang on `seed_` alone.
        """
        self.check_is_fitted()
        X = X if is_foreign(X) else check_rows(self, X, reset=False)
        if self.mc_dropout is not None:
            seed = derive(self.seed_, "draws")
            return as_distribution(draws.mean_proba(self, X, self.mc_dropout, seed), self)
        with self._isolated("predict"):
            return as_distribution(self._get_predict_nonlinearity()(self._outputs(X)).numpy(), self)

    @available_if(draws.can_drop)
    @block_wise(axis=1, door=at_the_net)
    def sample_proba(self, X, n_draws=None, *, random_state=None, consistent=True):
        """Class probabilities under draws of dropout masks; (n, ...) -> (n_draws, n, n_classes) float64.

        Only dropout is switched on, wherever the module calls it: in layers, functions, attention and
        recurrent layers. What comes before the first dropout is computed once for all draws.

        Parameters
        ----------
        X : array-like of shape (n, ...), dict of arrays or torch Dataset
            The rows.
        n_draws : int >= 1 or None, default=None
            How many masks; None is 20. Draw t is the same, to rounding, whatever their number.
        random_state : int, RandomState or None, default=None
            Fixes the masks. None takes them from `seed_`, so that a fitted net repeats its answers.
        consistent : bool, default=True
            Share each draw's masks over the rows: the marginals are the same, joint distributions of rows
            make sense, and a row's draws hang on no other row, no order and no batch. Else each row has
            masks of its own, known by its number in X. What a module draws besides dropout hangs on the
            batch.

        Returns
        -------
        ndarray of shape (n_draws, n, n_classes)
            Probabilities, in the order of `classes_`.

        Raises
        ------
        TypeError
            If the module has no active dropout, or randomness that can't be told from it.
        """
        self.check_is_fitted()
        X = X if is_foreign(X) else check_rows(self, X, reset=False)
        seed = derive(self.seed_, "draws") if random_state is None else draw_seed(random_state)
        drawn = draws.sample_proba(self, X, n_draws, seed, consistent)
        return as_distribution(drawn.reshape(-1, drawn.shape[-1]), self).reshape(drawn.shape)

    @block_wise(door=at_the_net)
    def embed(self, X, layer=None):
        """What the net makes of each row before it answers; (n, ...) -> (n, m), in the net's number type.

        In evaluation mode: the same for the same net and rows, and, to rounding, for a row whatever its
        neighbours.

        Parameters
        ----------
        X : array-like of shape (n, ...), dict of arrays or torch Dataset
            The rows.
        layer : str or None, default=None
            The name of a layer, as in ``net.module_.named_modules()``, whose output is taken, flattened. None
            takes the input of the linear layer that is run last: the features that the answer is linear in.

        Returns
        -------
        ndarray of shape (n, m)

        Raises
        ------
        ValueError
            If the module has no such layer; without `layer`, if it runs no linear layer.
        """
        self.check_is_fitted()
        return embedding.embed(self, X if is_foreign(X) else check_rows(self, X, reset=False), layer)

    def proba_and_embedding(self, X, layer=None):
        """The answers of `predict_proba` and of `embed`, of one pass; -> (n, n_classes), (n, m).

        With `mc_dropout`, whose answers come of many passes, they are asked for one after the other. A module
        that draws while it predicts draws once for both, as in `embed`.

        Parameters
        ----------
        X : array-like of shape (n, ...), dict of arrays or torch Dataset
            The rows.
        layer : str or None, default=None
            See `embed`.

        Returns
        -------
        proba : ndarray of float64 of shape (n, n_classes)
        Z : ndarray of shape (n, m)
        """
        if self.mc_dropout is not None:
            return self.predict_proba(X), self.embed(X, layer)
        return self._proba_and_embedding(X, layer)

    @block_wise(door=at_the_net)
    def _proba_and_embedding(self, X, layer):
        self.check_is_fitted()
        X = X if is_foreign(X) else check_rows(self, X, reset=False)
        answers, Z = embedding.answer_and_embed(self, X, layer)
        with self._isolated("predict"):
            proba = self._get_predict_nonlinearity()(torch.from_numpy(answers).double()).numpy()
        return as_distribution(proba, self), Z

    @property
    def transform(self):
        """Nothing: with an attribute of that name, scikit-learn would take a net for a transformer."""
        raise AttributeError(
            f"{type(self).__name__} is no transformer; its parameter is get_params()['transform']."
        )

    @transform.setter
    def transform(self, transform):
        vars(self)["transform"] = transform

    @property
    def _transform(self):
        return vars(self).get("transform")

    def _get_param_names(self):
        return [name for name in super()._get_param_names() if name != "transform"]

    def get_params(self, deep=True, **kwargs):
        """Parameters and their values, as they were passed."""
        return super().get_params(deep=deep, **kwargs) | {"transform": self._transform}

    def predict(self, X):
        """The most probable label of each row; (n, ...) -> (n,)."""
        codes = self.predict_proba(X).argmax(axis=1)
        # While skorch's scoring callbacks run, they replace forward_iter and compare with codes.
        return codes if "forward_iter" in vars(self) else self.classes_[codes]

    @property
    def classes_(self):
        """The labels, sorted."""
        known = self._known_classes()
        if known is None or not self.initialized_:
            raise NotFittedError(f"{self} knows its classes when it is fitted")
        return known

    def initialize_module(self):
        """Build the module from its class, or copy the instance that is the starting weights."""
        if self.module is None and vars(self).get("in_shape_") is None:
            raise ValueError(f"{self} chooses its module by the shape of X: call fit first, or pass module=")
        module = self._default_module() if self.module is None else self.module
        module = built(module, self.get_params_for("module"), self._learned())
        if any(weight.dtype == torch.float64 for weight in module.parameters()):
            self.dtype_ = torch.float64
        self.module_ = module if self.dtype is None else module.to(self._torch_dtype())
        return self

    def get_iterator(self, dataset, training=False):
        """Batches of a dataset, whose rows have gone through `transform`, and to train `train_transform`."""
        batches = super().get_iterator(dataset, training)
        chosen = [self.train_transform, self._transform] if training else [self._transform]
        functions = [function for function in chosen if function is not None]
        return Transformed(batches, functions, self.row_shape_, self.in_shape_) if functions else batches

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Loss of a batch: the criterion's, or the mean over rows of weight times loss."""
        check_width(y_pred, self)
        _, weight = unweighted(X)
        if weight is None:
            return super().get_loss(y_pred, y_true, X=X, training=training)
        with per_row(self.criterion_):
            losses = super().get_loss(y_pred, y_true, X=X, training=training)
        return (losses * weight.to(losses)).mean()

    def get_split_datasets(self, X, y=None, **fit_params):
        """The data to train on and to validate on, both with labels as codes."""
        train, valid = super().get_split_datasets(X, y, **fit_params)
        if valid is not None and root(valid) is not root(train):
            valid = self._with_codes(valid)
        if self.weight_decay_scale is not None:
            for group in self.optimizer_.param_groups:
                group["weight_decay"] = float(self.weight_decay_scale) / len(train)
        return train, valid

    def _check_parameters(self):
        super()._check_parameters()
        if isinstance(self.mc_dropout, bool):
            raise InvalidParameterError(
                f"mc_dropout={self.mc_dropout} is no number of draws, such as mc_dropout=20."
            )
        if self.mc_dropout is not None and not draws.can_drop(self):
            raise draws.no_dropout(self)
        if self.weight_decay_scale is not None:
            self._check_weight_decay()
        transforms = {"transform": self._transform, "train_transform": self.train_transform}
        given = [name for name, function in transforms.items() if function is not None]
        if given and getattr(self, "labels_pixels", False):
            raise ValueError(
                f"{given[0]}= changes images, and the masks that {type(self).__name__} is trained on would "
                "not follow; transform images and masks before they are passed"
            )

    def _check_weight_decay(self):
        who = f"weight_decay_scale={self.weight_decay_scale}"
        if {"optimizer__weight_decay", "optimizer__param_groups"} & set(vars(self)):
            raise ValueError(
                f"{who} sets the weight decay of all weights, and so does optimizer__weight_decay, or "
                "optimizer__param_groups for some: leave one of them out"
            )
        if "weight_decay" not in signature(self.optimizer).parameters:
            raise ValueError(
                f"{who} needs an optimizer with weight_decay, which {self.optimizer.__name__} lacks: take "
                "torch.optim.Adam, AdamW or SGD"
            )

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _start(self, X, y, sample_weight):
        """X and the codes of y, checked; a net to train, initialised unless it goes on."""
        self._check_parameters()
        start_over = not (self.warm_start and self.initialized_)
        X, codes = self._check_training_set(X, y, sample_weight, self.classes, start_over)
        if start_over:
            self.initialize()
        return X, codes

    def _train(self, X, codes, **fit_params):
        with self._isolated("fit", len(self.history)):
            return super().partial_fit(X, codes, **fit_params)

    def _outputs(self, X):
        """What the module returns for all rows, in order, in evaluation mode; (n, n_classes) float64."""
        with torch.inference_mode():
            outputs = self.forward_iter(X, device=self.device)
            return torch.cat([out[0] if isinstance(out, tuple) else out for out in outputs]).cpu().double()

    def _check_training_set(self, X, y, sample_weight, classes, reset):
        """X and the codes of y as skorch takes them; learns `classes_` and `in_shape_` if `reset`."""
        reset = reset or "classes_inferred_" not in vars(self)
        fitted = None if reset else self.classes_inferred_
        X, codes, known, in_shape = training_set(self, X, y, sample_weight, classes, fitted)
        if reset:
            self.row_shape_, self.in_shape_, self.classes_inferred_ = in_shape, in_shape, known
            if self._transform is not None and in_shape is not None:
                self.in_shape_ = transformed_shape(self._transform, X, in_shape)
        return X, codes

    def _with_codes(self, valid):
        """A validation set of the user's own, with labels as codes."""
        return with_codes(valid, self.classes_)

    def _default_module(self):
        return default_module(self.in_shape_)

    def _learned(self):
        """What the data says of the module, by the names that modules give it; None where it is unknown."""
        classes = self._known_classes()
        n_classes = None if classes is None else len(classes)
        return {"in_shape": vars(self).get("in_shape_"), "n_classes": n_classes}

    def _known_classes(self):
        if "classes_inferred_" in vars(self):
            return self.classes_inferred_
        return None if self.classes is None else vocabulary(self.classes)
