"""Randomness and torch's global switches, fenced in: after a call they are as they were before it."""

import random
from contextlib import contextmanager

import numpy as np
import torch
from torch.backends import cudnn


def seed_all(seed, device):
    """Seed numpy, Python and torch, there on the CPU and on `device`.

    ``torch.manual_seed`` would also reach GPUs that the net does not use, at once or when CUDA starts.
    """
    random.seed(seed)
    np.random.seed(seed)
    torch.default_generator.manual_seed(seed)
    if torch.device(device).type == "cuda":
        with torch.cuda.device(device):
            torch.cuda.manual_seed(seed)


@contextmanager
def isolated(seed, device, *, dtype=None, n_threads=None):
    """Run a block from a seed, with gradients on, and put back all that is global.

    On a GPU, cuDNN is held to algorithms that give the same bits each time.

    Parameters
    ----------
    seed : int
        What numpy, Python and torch are seeded with inside the block.
    device : str or torch.device
        Where the block computes; the generator of a GPU is put back too.
    dtype : torch.dtype, default=None
        What ``torch.zeros`` and the like make inside the block; None leaves it.
    n_threads : int, default=None
        torch's threads inside the block; None leaves them.
    """
    device = torch.device(device)
    before = np.random.get_state(), random.getstate()
    switches = torch.get_num_threads(), torch.get_default_dtype(), (cudnn.benchmark, cudnn.deterministic)
    gpus = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=gpus), torch.inference_mode(False), torch.enable_grad():
        try:
            seed_all(seed, device)
            _set_switches(n_threads or switches[0], dtype or switches[1], (False, True))
            yield
        finally:
            np.random.set_state(before[0])
            random.setstate(before[1])
            _set_switches(*switches)


def _set_switches(n_threads, dtype, of_cudnn):
    if torch.get_num_threads() != n_threads:  # setting it costs a thread pool, so only on change
        torch.set_num_threads(n_threads)
    torch.set_default_dtype(dtype)
    cudnn.benchmark, cudnn.deterministic = of_cudnn


def torch_states():
    """The states of torch's generators, to see whether something has drawn from them."""
    gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return torch.cat([torch.get_rng_state(), *gpus])


@contextmanager
def modes_kept(*modules):
    """Put the training flag of every layer back as it was, whatever the block sets."""
    flags = [(layer, layer.training) for module in modules for layer in module.modules()]
    try:
        yield
    finally:
        for layer, training in flags:
            layer.training = training
