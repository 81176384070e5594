"""Selection: arrays in, positions of n rows out, best first."""

from skal.selection._batch_bald import batch_bald
from skal.selection._joint import joint_mutual_information
from skal.selection._top import priority, top

__all__ = ["batch_bald", "joint_mutual_information", "priority", "top"]
