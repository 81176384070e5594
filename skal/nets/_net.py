"""skorch's classifier, mended: scikit-learn's parameters, seeds, devices, and batches from memory."""

from math import prod

import numpy as np
import torch
from skorch import NeuralNetClassifier
from skorch.callbacks import PrintLog
from skorch.dataset import Dataset, get_len, unpack_data
from skorch.utils import to_device, to_tensor
from torch.utils.data import DataLoader

from skal._compat import check_parameters
from skal._seeds import derive, draw_seed
from skal.nets.batches import (
    Batches,
    Rows,
    Unlabelled,
    as_input,
    has_no_labels,
    in_memory,
    is_arrays,
    unweighted,
)
from skal.nets.seeding import isolated, modes_kept, seed_all

# Rows in a batch of prediction: a property of this file and not of the caller, so that results don't hang on
# it. On a CPU, the activations of 64 images stay in the cache; more are slower. A GPU takes a power of two,
# fewer of large rows, so that blocks of a pool, see `containers._view`, are whole batches.
INFERENCE_BATCH = {"cpu": 64, "cuda": 1024}
_GPU_VALUES = 2**22  # of all rows in a batch
MIN_ROWS = 16  # smaller batches take other matrix kernels, which differ in the last bits


class Log(PrintLog):
    """skorch's table of epochs, which is drawn only where it is printed."""

    def on_epoch_end(self, net, **kwargs):
        if net.verbose:
            super().on_epoch_end(net, **kwargs)


class SkorchNet(NeuralNetClassifier):
    """What skorch leaves open, whatever data and labels are; `NetClassifier` is the class for users."""

    # skorch sets these in __init__, where scikit-learn wants nothing but parameters.
    history_ = None
    initialized_ = False
    virtual_params_ = {}

    @property
    def _default_callbacks(self):
        return [*super()._default_callbacks[:-1], ("print_log", Log())]

    # -- parameters --------------------------------------------------------------------------------

    def __setattr__(self, name, value):
        """Store parameters as they are: skorch registers torch components only under fitted names."""
        if name in ("module", "criterion"):
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    @property
    def device(self):
        """Where the net computes: "auto" is answered with what there is."""
        return _resolved(vars(self)["device"])

    @device.setter
    def device(self, device):
        vars(self)["device"] = device

    def _get_param_names(self):
        return [name for name in super()._get_param_names() if not name.startswith("_")]

    def get_params(self, deep=True, **kwargs):
        """Parameters and their values, as they were passed."""
        return super().get_params(deep=deep, **kwargs) | {"device": vars(self)["device"]}

    def set_params(self, **params):
        """Set parameters; what depends on them is built anew where the net is initialized already."""
        params = {name: _plain(value) for name, value in params.items()}
        if "callbacks" in params:  # skorch would initialise them at once
            self.callbacks = params.pop("callbacks")
        if not self.initialized_:
            return super().set_params(**params)
        for name in [name for name in params if name.startswith(("iterator_", "dataset__"))]:
            setattr(self, name, params.pop(name))  # nothing to rebuild, which skorch would take for an error
            self._params_to_validate.add(name)
        with self._isolated("set_params"):
            return super().set_params(**params)

    def _check_parameters(self):
        params = {name: vars(self)[name] for name in self._parameter_constraints}
        check_parameters(self._parameter_constraints, params, type(self).__name__)
        if not (self.module is None or callable(self.module)):
            raise ValueError(
                f"module={self.module!r} is neither a torch module nor a class of modules, nor None"
            )
        try:
            self._place()
        except RuntimeError as error:
            raise ValueError(
                f"device={self.device!r} is none that torch knows: 'auto', 'cpu' or 'cuda'"
            ) from error
        if self._place().type == "cuda" and not torch.cuda.is_available():
            raise ValueError(
                f"device={self.device!r} needs a GPU, and torch finds none: device='auto' takes the CPU"
            )
        if self.amp and self.dtype not in ("auto", "float32"):
            raise ValueError(f"amp={self.amp!r} needs dtype='float32', not {self.dtype!r}")

    def get_params_for(self, prefix):
        """Parameters of one component, numpy scalars as Python numbers."""
        return {name: _plain(value) for name, value in super().get_params_for(prefix).items()}

    def get_params_for_optimizer(self, prefix, named_parameters):
        """Arguments of the optimizer; a numpy scalar in its state could not be loaded safely later."""
        args, kwargs = super().get_params_for_optimizer(prefix, named_parameters)
        return args, {name: _plain(value) for name, value in kwargs.items()}

    def __setstate__(self, state):
        """Load a pickle, on the CPU if there is no GPU here."""
        device = state["device"]
        super().__setstate__({**state, "device": _resolved(device)})
        if _is_auto(device):
            self.device = device

    def load_params(self, *args, **kwargs):
        """Load what `save_params` saved; see skorch."""
        device = vars(self)["device"]
        super().load_params(*args, **kwargs)
        if _is_auto(device):  # skorch has put the place it loaded to
            self.device = device

    # -- seeds -------------------------------------------------------------------------------------

    def _isolated(self, *place, seed=None):
        """The block from here on draws from the seed that belongs to `place`, and leaves no trace."""
        seed = derive(self.seed_ if seed is None else seed, *place)
        return isolated(seed, self._place(), dtype=self._torch_dtype(), n_threads=self.n_threads)

    def initialize(self):
        """Build module, criterion, optimizer and callbacks from the seed; drop what was learned."""
        self._check_parameters()
        vars(self).pop("dtype_", None)
        self.seed_ = draw_seed(self.random_state)
        with self._isolated("initialize", seed=self.init_seed):
            return super().initialize()

    def on_epoch_begin(self, net, **kwargs):
        """Seed each epoch by its number: epochs 1 to 5 of a longer fit equal a fit of 5, bit for bit."""
        super().on_epoch_begin(net, **kwargs)
        seed_all(derive(self.seed_, "epoch", len(self.history)), self._place())

    def _seed_order(self, iterator):
        if self.order_seed is not None:
            iterator.generator.manual_seed(derive(self.order_seed, "epoch", len(self.history)))

    # -- data --------------------------------------------------------------------------------------

    def check_data(self, X, y=None):
        """Nothing: `fit` has checked already."""

    def get_dataset(self, X, y=None):
        """The dataset of X and the codes y: in memory if it can be, else skorch's, or the user's own."""
        if self.dataset is not Dataset or not is_arrays(X):
            dataset = super().get_dataset(X, y)
            return Unlabelled(dataset) if dataset is X and y is None and has_no_labels(X) else dataset
        return Rows(X, y, None if y is None else self.classes_[y])

    def get_iterator(self, dataset, training=False):
        """Batches of a dataset: sliced from memory if they can be, else skorch's DataLoader."""
        name = "iterator_train" if training else "iterator_valid"
        loader, kwargs = getattr(self, name), self.get_params_for(name)
        kwargs.setdefault("batch_size", self.batch_size if training else self._inference_rows(dataset))
        if training and self.order_seed is not None:
            kwargs.setdefault("generator", torch.Generator())
        if kwargs["batch_size"] == -1:
            kwargs["batch_size"] = len(dataset)
        if loader is not DataLoader:
            return loader(dataset, **kwargs)
        rows, index = in_memory(dataset)
        if rows is not None and set(kwargs) <= {"batch_size", "shuffle", "generator"}:
            return self._batches(rows, index, **({"shuffle": training} | kwargs), device=self._place())
        if not {"sampler", "batch_sampler"} & set(kwargs):
            kwargs.setdefault("shuffle", training)
        if not training:  # a DataLoader without a generator draws from the caller's
            kwargs.setdefault("generator", torch.Generator())
        return loader(dataset, **kwargs)

    _batches = Batches
    _draws_choose_rows = True  # whether draws may take other batches, of as many rows as suit a cache

    def _inference_rows(self, dataset):
        """Rows in a batch of prediction, where the user leaves it open."""
        if self._place().type != "cuda":
            return INFERENCE_BATCH["cpu"]
        shapes = (vars(self).get(name) or () for name in ("row_shape_", "in_shape_"))
        fitting = max(1, _GPU_VALUES // max(map(prod, shapes)))
        fitting = 1 << fitting.bit_length() - 1
        return min(INFERENCE_BATCH["cuda"], max(INFERENCE_BATCH["cpu"], fitting))

    def _fewest_rows(self, X):
        """Rows to which a smaller batch of prediction is filled up."""
        return MIN_ROWS

    # -- training ----------------------------------------------------------------------------------

    def initialize_optimizer(self, *args, **kwargs):
        """Build the optimizer, and what scales float16 gradients where `amp` asks for them."""
        scale = self._amp_dtype() is torch.float16
        self.scaler_ = torch.amp.GradScaler(self._place().type, enabled=scale)
        return super().initialize_optimizer(*args, **kwargs)

    def train_step(self, batch, **fit_params):
        """One step of the optimizer; float16 gradients are scaled, and unscaled before callbacks."""
        if not self.scaler_.is_enabled():
            return super().train_step(batch, **fit_params)
        self._zero_grad_optimizer()
        step = self.train_step_single(batch, **fit_params)
        optimizers = [getattr(self, name + "_") for name in self._optimizers]
        for optimizer in optimizers:
            self.scaler_.unscale_(optimizer)
        self.notify(
            "on_grad_computed",
            named_parameters=list(self.get_all_learnable_params()),
            batch=batch,
            training=True,
        )
        for optimizer in optimizers:
            self.scaler_.step(optimizer)
        self.scaler_.update()
        return step

    def train_step_single(self, batch, **fit_params):
        """Loss and gradients of one batch."""
        self._set_training(True)
        Xi, yi = unpack_data(batch)
        y_pred = self.infer(Xi, **fit_params)
        loss = self.get_loss(y_pred, yi, X=Xi, training=True)
        self.scaler_.scale(loss).backward()
        return {"loss": loss, "y_pred": y_pred}

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """One epoch, as in skorch, but losses stay on a GPU until its end: no wait for each batch.

        A callback that reads a batch's loss meanwhile finds a tensor of no dimensions there.
        """
        batches = []
        if training:
            self._seed_order(iterator)
        for batch in () if iterator is None else iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            step = step_fn(batch, **fit_params)
            batches.append(self.history[-1]["batches"][-1])
            loss = step["loss"].detach()
            self.history.record_batch(prefix + "_loss", loss if loss.is_cuda else loss.item())
            size = get_len(batch[0] if isinstance(batch, (tuple, list)) else batch)
            self.history.record_batch(prefix + "_batch_size", size)
            self.notify("on_batch_end", batch=batch, training=training, **step)
        if iterator is not None:
            _bring_home(batches, prefix + "_loss")
            self.history.record(prefix + "_batch_count", len(batches))

    # -- inference ---------------------------------------------------------------------------------

    def infer(self, x, **fit_params):
        """The module's output for one batch, in the net's dtype."""
        x = self._as_input(x)
        if self._amp_dtype() is None:
            return super().infer(x, **fit_params)
        with torch.autocast(self._place().type, self._amp_dtype()):
            output = super().infer(x, **fit_params)
        return _map(torch.Tensor.float, output)

    def evaluation_step(self, batch, training=False):
        """The module's output for one batch, for prediction; never of so few rows that bits differ."""
        X, y = unpack_data(batch)
        fewest = 0 if training or not isinstance(X, torch.Tensor) else self._fewest_rows(X)
        if fewest <= len(X):
            return super().evaluation_step(batch, training=training)
        padding = X[-1:].expand(fewest - len(X), *X.shape[1:])
        output = super().evaluation_step((torch.cat([X, padding]), y))
        return _map(lambda part: part[: len(X)], output)

    def forward_iter(self, X, training=False, device="cpu"):
        """Outputs of the module, batch by batch, in the order of X.

        `training` sets the module's mode and no more: skorch would take the training iterator too,
        which shuffles. The modes of all layers are as before when the iteration ends.
        """
        parts = [getattr(self, name + "_") for name in self._modules + self._criteria]
        with modes_kept(*(part for part in parts if isinstance(part, torch.nn.Module))):
            for batch in self.get_iterator(self.get_dataset(X), training=False):
                yield to_device(self.evaluation_step(batch, training=training), device)

    def forward(self, X, training=False, device="cpu"):
        """Outputs of the module for all of X; see skorch."""
        self.check_is_fitted()
        with self._isolated("predict"):
            return super().forward(X, training=training, device=device)

    def _as_input(self, x):
        """One batch as the module gets it, on the device; without the weights of its rows."""
        x, _ = unweighted(x)
        return as_input(to_tensor(x, device=self.device), vars(self).get("in_shape_"), self._torch_dtype())

    # -- precision ---------------------------------------------------------------------------------

    def _place(self):
        """The device, also where skorch's None leaves tensors wherever they are."""
        return torch.device(self.device or "cpu")

    def _torch_dtype(self):
        """The number type of module and input; None leaves both alone."""
        if self.dtype == "auto":  # known when the module is built
            return vars(self).get("dtype_", torch.float32)
        return None if self.dtype is None else getattr(torch, self.dtype)

    def _amp_dtype(self):
        """What autocast computes in, or None for no autocast."""
        if not self.amp or isinstance(self.amp, str):
            return getattr(torch, self.amp) if self.amp else None
        on_gpu = self._place().type == "cuda"
        return torch.float16 if on_gpu and not torch.cuda.is_bf16_supported() else torch.bfloat16


def _is_auto(device):
    return isinstance(device, str) and device == "auto"


def _resolved(device):
    if not _is_auto(device):
        return device
    return "cuda" if torch.cuda.is_available() else "cpu"


def _plain(value):
    """A Python number for a numpy scalar; all else as it is."""
    return value.item() if isinstance(value, np.generic) else value


def _map(function, output):
    """Apply a function to the tensor, or the tuple of tensors, that a module returned."""
    return tuple(map(function, output)) if isinstance(output, tuple) else function(output)


def _bring_home(batches, key):
    """Replace losses that are still on a GPU by numbers, in one transfer."""
    if batches and isinstance(batches[0][key], torch.Tensor):
        for batch, loss in zip(batches, torch.stack([b[key] for b in batches]).tolist(), strict=True):
            batch[key] = loss
