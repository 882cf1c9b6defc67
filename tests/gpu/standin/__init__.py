"""A stand-in of NVIDIA's driver: the functions of its C interface, over the simulator of PTX.

    driver = StandIn()                  # takes the place of ctypes.CDLL("libcuda.so.1")
    driver.fails["cuMemAllocAsync"] = 2 # the next call returns CUDA_ERROR_OUT_OF_MEMORY
    driver.wrong, driver.kept()         # what a caller did that no caller may do; what it has not given back

Each function is a C function with types of its own, which come from the driver's header and not from lucid;
numbers and pointers go through them as through the driver's.
"""

from .driver import StandIn
from .interface import C_TYPES, TYPES

__all__ = ["C_TYPES", "TYPES", "StandIn"]
