"""The kernels of the suite as plain NumPy code, by family; `SUITE` lists them in the order of the report."""

from __future__ import annotations

from benchmarks.kernels import elementwise, irregular, library, rows, solvers, stencils
from benchmarks.suite import Kernel

SUITE: dict[str, Kernel] = {
    kernel.name: kernel
    for family in (elementwise, rows, stencils, solvers, irregular, library)
    for kernel in family.KERNELS
}
