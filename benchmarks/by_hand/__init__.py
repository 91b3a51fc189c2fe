"""The same kernels as loops written by hand for Numba (parallel, fastmath), one module per family.

A function has the kernel's name, takes its data and returns its result. Kernels without a function have no sensible
hand-written form here (a library does the work). Importing these modules imports Numba; compiling happens at the first call.
"""
