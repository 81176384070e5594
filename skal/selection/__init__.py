"""Selection: arrays in, positions of n rows out, best first."""

from skal.selection._batch_bald import batch_bald
from skal.selection._coverage import max_coverage
from skal.selection._facility import facility_location
from skal.selection._joint import joint_mutual_information
from skal.selection._k_center import cover_radius, k_center
from skal.selection._k_means_pp import k_means_pp, largest_norm
from skal.selection._lcmd import lcmd
from skal.selection._nearest import distance_to_nearest
from skal.selection._outer import OuterProducts
from skal.selection._robust import RobustKCenter, robust_k_center
from skal.selection._top import priority, top

__all__ = [
    "OuterProducts",
    "RobustKCenter",
    "batch_bald",
    "cover_radius",
    "distance_to_nearest",
    "facility_location",
    "joint_mutual_information",
    "k_center",
    "k_means_pp",
    "largest_norm",
    "lcmd",
    "max_coverage",
    "priority",
    "robust_k_center",
    "top",
]
