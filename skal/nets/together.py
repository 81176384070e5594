"""Nets of one architecture trained in one run: one forward, backward and optimizer step for all.

Each net keeps its own rows, order, masks and weights, and ends up where its own `fit` would have taken it, to
rounding.
"""

from contextlib import suppress
from copy import deepcopy

import torch
from skorch.dataset import Dataset
from torch import nn, optim
from torch.utils.data import DataLoader

from skal.nets.batches import Batches, in_memory, take, unweighted
from skal.nets.classifier import NetClassifier
from skal.nets.rehearsal import fails
from skal.nets.stacked import Streams, stacked
from skal.nets.targets import per_row

# Optimizers that treat each number by itself, so that stacked weights move as each net's would.
_ELEMENTWISE = (
    optim.SGD,
    optim.Adam,
    optim.AdamW,
    optim.Adamax,
    optim.NAdam,
    optim.RAdam,
    optim.RMSprop,
    optim.Adagrad,
    optim.Adadelta,
    optim.Rprop,
)
# How many numbers of all nets together a CPU has at hand, measured by benchmarks/ensemble_speed.py; and the
# steps from which on a rehearsal pays.
ROOM, MIN_STEPS = 2_500_000, 10
_MEANS_OF_ROWS = (nn.CrossEntropyLoss, nn.NLLLoss)


def against(nets):
    """What in the parameters of the nets keeps them from being trained in one run, or None.

    Parameters
    ----------
    nets : list of NetClassifier
        Clones of one net, which differ by their seeds.

    Returns
    -------
    str or None
        What the nets have, for a sentence.
    """
    net = nets[0]
    if any(type(net) is not NetClassifier for net in nets):
        return "a class of their own, whose methods would be passed over"
    if net.callbacks or net.verbose or net.train_split:
        return "callbacks, verbose or train_split, which look at one net at a time"
    if net._transform is not None or net.train_transform is not None:
        return "a transform, which takes one row at a time"
    if net.amp or net.compile:
        return "amp or compile"
    if net.dataset is not Dataset or net.iterator_train is not DataLoader:
        return "a dataset or an iterator of their own"
    if net.optimizer not in _ELEMENTWISE:
        return "an optimizer that may look at more than one weight at a time"
    return None


def fit_together(nets, sets, *, always=False):
    """Fit each net to its training set in one run, if that is possible and pays.

    Parameters
    ----------
    nets : list of NetClassifier
        Which `against` has nothing against.
    sets : list of tuple (X, y, params)
        What each net is fitted to; `params` may hold ``sample_weight``.
    always : bool, default=False
        Whether to do it also where it is not known to be faster.

    Returns
    -------
    str or None
        None if the nets are fitted. Else what keeps them from it, for a sentence that begins with "they
        have"; then they are to be fitted one by one.
    """
    n_rows, size = len(sets[0][1]), nets[0].batch_size
    if not always and nets[0].max_epochs * -(-n_rows // (n_rows if size == -1 else size)) < MIN_STEPS:
        return "so few steps to take that trying would take longer"
    started = [
        net._start(X, y, params.get("sample_weight")) for net, (X, y, params) in zip(nets, sets, strict=True)
    ]
    with nets[0]._isolated("together"):
        run = _Run(nets, started)
        # Small nets on a GPU wait for the processor, and one run waits once. A processor gains where there is
        # little arithmetic beside the calls around it, and loses where the nets crowd its cache.
        room = None if always or run.device.type == "cuda" else ROOM
        reason = run.against() or fails(nets, run.datasets, run.streams, room=room)
        if reason is None:
            run.train()
    return reason


class _Run:
    """The training of nets that have been started, each on its rows."""

    def __init__(self, nets, started):
        self.nets, self.started = nets, started
        self.device = nets[0]._place()
        self.datasets = [net.get_split_datasets(*rows)[0] for net, rows in zip(nets, started, strict=True)]
        self.iterators = [
            net.get_iterator(data, training=True) for net, data in zip(nets, self.datasets, strict=True)
        ]
        self.streams = Streams(len(nets), self.device)

    # -- whether -----------------------------------------------------------------------------------

    def against(self):
        """What in rows or optimizers speaks against one run, or None."""
        if not all(isinstance(iterator, Batches) for iterator in self.iterators):
            return "rows that are not in memory"
        if isinstance(unweighted(self.iterators[0].X)[0], dict):
            return "rows of several parts"
        if any(_options(net) != _options(self.nets[0]) for net in self.nets):
            return "optimizers that differ"
        return None

    # -- training ----------------------------------------------------------------------------------

    def train(self):
        """Train all nets for their epochs, and leave each as its own `fit` would."""
        self.module = stacked([net.module_ for net in self.nets], self.streams).train()
        self.optimizer = self._stacked_optimizer()
        self.sets = _Sets(self.datasets, self.iterators)
        for net, (X, codes) in zip(self.nets, self.started, strict=True):
            net.notify("on_train_begin", X=X, y=codes)
        with suppress(KeyboardInterrupt):  # as in skorch: what has been learned so far counts
            for _ in range(self.nets[0].max_epochs):
                self._epoch()
        self._hand_back()
        for net, (X, codes) in zip(self.nets, self.started, strict=True):
            net.notify("on_train_end", X=X, y=codes)

    def _epoch(self):
        orders = torch.stack([self._begin_epoch(number) for number in range(len(self.nets))])
        sizes, losses = [], []
        for rows in self.sets.batches(orders):
            losses.append(self._step(*rows))
            sizes.append(len(rows[1]) // len(self.nets))
        losses = torch.stack(losses).T.tolist()  # once an epoch: a GPU need not wait
        for net, dataset, own in zip(self.nets, self.datasets, losses, strict=True):
            net.history[-1]["batches"] = [
                {"train_loss": loss, "train_batch_size": size} for loss, size in zip(own, sizes, strict=True)
            ]
            net.history.record("train_batch_count", len(sizes))
            net.notify("on_epoch_end", dataset_train=dataset, dataset_valid=None)

    def _begin_epoch(self, number):
        """The order of one net's rows; its stream goes on from where that was drawn."""
        net, iterator = self.nets[number], self.iterators[number]
        net.notify("on_epoch_begin", dataset_train=self.datasets[number], dataset_valid=None)
        net._seed_order(iterator)
        order = iterator.order()
        self.streams.keep(number)
        return torch.arange(iterator.n) if order is None else order

    def _step(self, X, codes, weights):
        """One step of the optimizer; -> losses (n_nets,)."""
        self.optimizer.zero_grad()
        losses = self._losses(self.module(self.nets[0]._as_input(X)), X, codes, weights)
        losses.sum().backward()
        self.optimizer.step()
        return losses.detach()

    def _losses(self, outputs, X, codes, weights):
        """The loss of each net; -> (n_nets,)."""
        net, criterion, n = self.nets[0], self.nets[0].criterion_, len(self.nets)
        is_mean = (
            type(criterion) in _MEANS_OF_ROWS and criterion.reduction == "mean" and criterion.weight is None
        )
        if weights is None and not is_mean:
            each = zip(self.nets, *(part.chunk(n) for part in (outputs, codes, X)), strict=True)
            return torch.stack([net.get_loss(own, codes, X=X, training=True) for net, own, codes, X in each])
        with per_row(criterion):
            losses = net.get_loss(outputs, codes, training=True)
        if weights is not None:
            losses = losses * weights.to(losses)
        return losses.view(n, -1).mean(dim=1)

    def _stacked_optimizer(self):
        """An optimizer of the stacked weights, with the options that those of the nets have."""
        net = self.nets[0]
        args, kwargs = net.get_params_for_optimizer("optimizer", list(self.module.named_parameters()))
        optimizer = net.optimizer(*args, **kwargs)
        for group, options in zip(optimizer.param_groups, _options(net), strict=True):
            group.update(options)  # what has been set since, such as a weight decay by the number of rows
        return optimizer

    @torch.no_grad()
    def _hand_back(self):
        """Give each net its weights, its buffers, and what its optimizer remembers."""
        stack = dict([*self.module.named_parameters(), *self.module.named_buffers()])
        for number, net in enumerate(self.nets):
            for name, part in [*net.module_.named_parameters(), *net.module_.named_buffers()]:
                part.copy_(stack[name][number])
                if stack[name] in self.optimizer.state:
                    net.optimizer_.state[part] = _of_one(
                        self.optimizer.state[stack[name]], stack[name], number
                    )


class _Sets:
    """The training sets of all nets, for batches in which each has as many rows; net after net.

    A GPU takes as long to call as to gather a batch: so it is called once for all nets.
    """

    def __init__(self, datasets, iterators):
        self.borders, self.device = iterators[0].borders(), iterators[0].device
        parts = [unweighted(iterator.X) for iterator in iterators]
        arrays = [unweighted(in_memory(dataset)[0].X)[0] for dataset in datasets]
        if all(X is arrays[0] for X in arrays):  # one copy on a GPU is enough
            self.Xs = [parts[0][0]]
            for iterator in iterators:
                iterator.X = None
        else:
            self.Xs = [X.to(self.device) for X, _ in parts]
        self.codes = torch.stack([iterator.codes.to(self.device) for iterator in iterators])
        self.weights = None
        if parts[0][1] is not None:
            self.weights = torch.stack([weight.to(self.device) for _, weight in parts])

    def batches(self, orders):
        """X, codes and weights (or None) of each batch of an epoch; orders are those of rows (n_nets, n)."""
        orders = orders.to(self.device)
        for start, stop in self.borders:
            rows = orders[:, start:stop]
            own = zip(self.Xs, rows.flatten().chunk(len(self.Xs)), strict=True)
            X = [take(X, part) for X, part in own]
            yield (
                X[0] if len(X) == 1 else torch.cat(X),
                self.codes.gather(1, rows).flatten(),
                None if self.weights is None else self.weights.gather(1, rows).flatten(),
            )


def _options(net):
    return [
        {name: value for name, value in group.items() if name != "params"}
        for group in net.optimizer_.param_groups
    ]


def _of_one(state, weight, number):
    """What an optimizer remembers of a stacked weight, for one net."""
    return {
        name: value[number].clone() if getattr(value, "shape", None) == weight.shape else deepcopy(value)
        for name, value in state.items()
    }
