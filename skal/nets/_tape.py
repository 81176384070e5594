"""One forward recorded, so that only what comes after dropout is computed for each draw.

A forward is run as it is, with the masks of a first draw, while each call of a torch function is seen. What
derives from a call of dropout is *tainted*; all else is the same for all draws and is never computed again.
The tainted calls, with all their other arguments as they were, are the tape; another draw is the tape with
other masks. Since the module's own code runs on each batch, whatever it does with what is not tainted is
honoured. A forward whose tape would not be the whole truth is `unsafe`.
"""

from functools import partial
from weakref import ref

import torch
from torch.nn import functional

from skal.nets._dropout import DropoutMode
from skal.nets._steps import DropStep, FunctionStep, Slot, leaves, mapped
from skal.nets.seeding import torch_states

# What tells a shape or a type, never a value; a property comes by the name of its getter.
_METADATA = {"__get__", "__len__", "dim", "element_size", "get_device", "is_complex", "is_contiguous"}
_METADATA |= {"is_floating_point", "ndimension", "nelement", "numel", "size", "stride"}
# What shows memory that can be written to behind a tensor's back.
_MEMORY = {"numpy", "__array__", "__dlpack__", "data_ptr", "storage", "untyped_storage"}


class Tape(DropoutMode):
    """Records one forward, with the masks of draw 0; see the module.

    Parameters
    ----------
    factors : callable
        (number, draw, call) -> the `Factors` of a call of dropout.
    known : iterable of torch.Tensor
        What is the same for all draws beforehand: weights, buffers, the batch.

    Attributes
    ----------
    steps : list of FunctionStep and DropStep
        The tainted calls, in order.
    output : Slot
        What the module returns.
    unsafe : str
        Why the tape holds for no other draw; empty if it does.
    """

    def __init__(self, factors, known):
        super().__init__()
        self.factors, self.steps, self.output, self.unsafe = factors, [], None, ""
        self._origin = {id(tensor): (ref(tensor), None) for tensor in known}
        self._n_slots, self._n_calls = 0, 0
        self._read, self._replaced, self._autocast = [], [], None

    def record(self, forward, batch):
        """Run a forward; -> its output, which is draw 0's unless the tape is unsafe."""
        before = torch_states()
        with self:
            output = forward(batch)
        self.output = self._found(output)
        if not isinstance(self.output, Slot):
            self._refuse("what the module returns does not visibly derive from dropout")
        if any(tensor._version != version for tensor, version in self._read):
            self._refuse("something that is combined with dropout's results is written to in place")
        if not torch.equal(before, torch_states()):
            self._refuse("random numbers are drawn besides dropout")
        return output

    def drop(self, call):
        """Apply the mask of draw 0, and note the call."""
        number, self._n_calls = self._n_calls, self._n_calls + 1
        if not self.steps:
            self._know(call.x)
        x, factors = self._slotted(call.x), partial(self.factors, number)
        dropped = factors(0, call)(call.x)
        if call.inplace and isinstance(x, Slot):
            dropped = call.x.copy_(dropped)
        elif call.inplace:  # other draws need the input as it is, so nobody may look at it any more
            self._replaced.append(call.x)
        self._note(DropStep(number, call._replace(x=None), factors, x, self._bound(dropped)), dropped)
        return dropped

    def other(self, func, args, kwargs):
        """Call the function, and note it if it is tainted."""
        if getattr(getattr(func, "__self__", None), "__name__", "") == "data":
            self._refuse("data is read, which can be written to unseen")
        if not self.steps or self.unsafe:
            result = super().other(func, args, kwargs)
            self._know(result)
            return result
        n_read = len(self._read)
        slotted = self._slotted(args), self._slotted(kwargs)
        result = super().other(func, args, kwargs)
        if func.__name__ in _MEMORY:
            self._refuse(f"{func.__name__} shows values that could hang on dropout")
        elif not any(isinstance(leaf, Slot) for leaf in leaves(slotted)):
            del self._read[n_read:]
            self._know(result)
        elif not _is_metadata(func, result):
            first = result if func is functional.linear else None
            self._note(FunctionStep(func, *slotted, self._bound(result), first), result)
        return result

    def _note(self, step, result):
        self.steps.append(step)
        kind = next((leaf.device.type for leaf in leaves(result) if isinstance(leaf, torch.Tensor)), None)
        if kind is not None:
            autocast = kind, torch.get_autocast_dtype(kind), torch.is_autocast_enabled(kind)
            self._autocast = self._autocast or autocast
            if autocast != self._autocast:
                self._refuse("autocast is switched after dropout")

    def _refuse(self, why):
        self.unsafe = self.unsafe or why

    def _know(self, result):
        """Note what a call that is not tainted returns."""
        for leaf in leaves(result):
            if isinstance(leaf, torch.Tensor):
                self._origin[id(leaf)] = ref(leaf), None

    def _found(self, tensor):
        """The slot of a tainted tensor, None for one that is the same for all draws, else False."""
        tensor_ref, slot = self._origin.get(id(tensor), (lambda: None, None))
        return slot if tensor_ref() is tensor else False

    def _slotted(self, tree):
        """Arguments with slots in place of tainted tensors; what else is read is noted."""
        return mapped(self._slot_or_read, tree)

    def _slot_or_read(self, leaf):
        if not isinstance(leaf, torch.Tensor):
            return leaf
        slot = self._found(leaf)
        if slot is False:
            self._refuse("a tensor comes from where no call was seen")
        elif any(_share_memory(leaf, tensor) for tensor in self._replaced):
            self._refuse("the input of a dropout with inplace=True is used again")
        if slot:
            return slot
        if leaf.is_inference():
            self._refuse("whether a tensor of inference mode is written to can't be seen")
            return leaf
        self._read.append((leaf, leaf._version))
        return leaf

    def _bound(self, result):
        """Slots for what a tainted call returns."""
        return mapped(self._slot_for, result)

    def _slot_for(self, leaf):
        if leaf is None:
            return None
        if not isinstance(leaf, torch.Tensor):
            self._refuse("a value that hangs on dropout leaves torch, as by item()")
            return None
        slot = self._found(leaf)
        if not slot or slot.shape != leaf.shape:
            slot = Slot(self._n_slots, leaf.shape)
            self._n_slots += 1
            self._origin[id(leaf)] = ref(leaf), slot
        return slot

    @property
    def is_mixed(self):
        """Whether the steps run in mixed precision."""
        return self._autocast[2]

    def replay(self, draw, steps=None):
        """The output for another draw, by the steps of the tape or others that come to the same."""
        values = {}
        with torch.autocast(*self._autocast):
            for step in self.steps if steps is None else steps:
                step.run(draw, values)
        return values[self.output.index]


def _is_metadata(func, result):
    """Whether a call tells shapes or types, which are the same for all draws."""
    if isinstance(result, torch.Size | torch.dtype | torch.device | torch.layout):
        return True
    values = [leaf for leaf in leaves(result) if isinstance(leaf, torch.Tensor)]
    return func.__name__ in _METADATA and not values


def _share_memory(one, other):
    return one.untyped_storage().data_ptr() == other.untyped_storage().data_ptr()
