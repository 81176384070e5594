"""Functions of torch that a CPU computes much faster in another way, with the same bits."""

import torch
from torch.nn import functional


def call(func, args, kwargs):
    """``func(*args, **kwargs)``, by a faster way where there is one."""
    if func in _MAX_POOL:
        pooled = _max_pool(*args, **kwargs)
        if pooled is not None:
            return pooled
    return func(*args, **kwargs)


_MAX_POOL = (functional.max_pool2d, torch.max_pool2d)


def keep_freed_memory():
    """Let glibc keep the memory that a batch has freed for the next one.

    It would go back to the system, and come again page by page, which takes as long as the convolutions. To
    free one block of nearly 32 MiB raises the sizes above which that happens.
    """
    torch.empty(31 * 2**20, dtype=torch.uint8)


def _max_pool(
    input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False, **others
):
    """Max-pooling of windows that tile the image, as maxima of slices; None for all else.

    torch compares the values of a window one by one, which takes ten times as long.
    """
    kernel = _pair(kernel_size)
    tiles = _pair(kernel if stride is None or stride == [] else stride) == kernel
    plain = _pair(padding) == (0, 0) and _pair(dilation) == (1, 1) and not (ceil_mode or return_indices)
    on_cpu = input.device.type == "cpu" and input.is_floating_point() and input.ndim in (3, 4)
    if not (tiles and plain and on_cpu and max(kernel) <= 4):
        return None
    for axis, size in zip((-2, -1), kernel, strict=True):
        whole = input.shape[axis] // size * size
        input = _maximum(*input.narrow(axis, 0, whole).unflatten(axis, (-1, size)).unbind(axis))
    return input


def _maximum(first, *others):
    for other in others:
        first = torch.maximum(first, other)
    return first.clone() if not others else first


def _pair(size):
    return tuple(size) if isinstance(size, tuple | list) else (size, size)
