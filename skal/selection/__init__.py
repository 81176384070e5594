"""Selection: arrays in, positions of n rows out, best first."""

from skal.selection._top import priority, top

__all__ = ["priority", "top"]
