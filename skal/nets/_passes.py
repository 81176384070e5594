"""All draws of one batch: from a tape where it is safe, else by full passes, with the same masks."""

from functools import partial

import torch

from skal._seeds import derive
from skal.nets._dropout import DropoutMode
from skal.nets._fused import fused
from skal.nets._source import cloned, n_rows, take, tensors
from skal.nets._tape import Tape

_TOLERANCE = 1e-3  # between a tape and a full pass of the same draw, relative to the largest logit


class Passes:
    """Runs a net's batches, in order, under the masks of all draws.

    Parameters
    ----------
    source : Source
    masks : Masks
    found : Probe
    n_draws : int

    Attributes
    ----------
    unsafe : str
        Why batches take full passes; empty where they don't.
    """

    def __init__(self, source, masks, found, n_draws):
        self.source, self.masks, self.found, self.n_draws = source, masks, found, n_draws
        self.unsafe = "the module draws random numbers besides dropout" if found.random else ""
        self._start, self._known = 0, source.tensors()
        self._kept = {} if masks.consistent else None
        self._weights = {id(tensor) for tensor in self._known}

    def run(self, batch):
        """The module's output for each draw, n_draws tensors of shape (b, ...)."""
        first = self._start == 0
        rows = range(self._start, self._start + n_rows(batch))
        self._start = rows.stop
        if first and self.n_draws > 1 and not self.unsafe:
            self._compare(take(batch, range(min(3, len(rows)))))
        if not self.unsafe:
            outputs = self._from_tape(batch, rows)
            if not self.unsafe:
                return outputs
        return [self._full_pass(batch, rows, draw) for draw in range(self.n_draws)]

    def factors(self, rows, number, draw, call):
        """The masks of a call of dropout; see `Masks`."""
        return self.masks.factors(draw, self.found.site(number, call.x, len(rows)), call, rows)

    def _from_tape(self, batch, rows, draws=None):
        draws = range(self.n_draws) if draws is None else draws
        batch = cloned(batch)
        tape = Tape(partial(self.factors, rows), [*self._known, *tensors(batch)])
        output = tape.record(self.source.forward, batch)
        if tape.unsafe:
            self.unsafe = tape.unsafe
            return None
        try:
            steps = fused(tape, self.n_draws, self._weights, self._kept)
            return [output if draw == 0 else tape.replay(draw, steps) for draw in draws]
        except Exception as error:  # if it is the module's own, a full pass raises it again
            self.unsafe = str(error) or type(error).__name__

    def _full_pass(self, batch, rows, draw):
        if self.found.random:  # masks are keyed; what else the module draws hangs on the draw and the batch
            torch.manual_seed(derive(self.masks.seed, "noise", draw, rows.start))
        with FullPass(draw, partial(self.factors, rows)):
            return self.source.forward(cloned(batch))

    def _compare(self, batch):
        """Find a tape unsafe whose draw differs from that of a full pass: what no rule has foreseen."""
        rows = range(n_rows(batch))
        taped = self._from_tape(batch, rows, [1])
        if taped is None:
            return
        full = self._full_pass(batch, rows, 1)
        finite = full[full.isfinite()]  # a logit of a class that can't be is -inf
        near = _TOLERANCE * float(finite.abs().max()) if len(finite) else 0.0
        if not torch.allclose(taped[0], full, rtol=0, atol=near, equal_nan=True):
            self.unsafe = "a tape and a full pass differ"


class FullPass(DropoutMode):
    """One draw: dropout multiplies by its masks, and all else runs as it is.

    Parameters
    ----------
    draw : int
    factors : callable
        (number, draw, call) -> the `Factors` of a call of dropout.
    """

    def __init__(self, draw, factors):
        super().__init__()
        self.draw, self.factors, self._n_calls = draw, factors, 0

    def drop(self, call):
        """The input times the mask."""
        number, self._n_calls = self._n_calls, self._n_calls + 1
        dropped = self.factors(number, self.draw, call)(call.x)
        return call.x.copy_(dropped) if call.inplace else dropped
