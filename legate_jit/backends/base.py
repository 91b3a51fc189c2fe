"""What a target offers the executor: compiled kernels by structure. Targets differ only behind this face."""

from __future__ import annotations

from typing import Protocol

from legate_jit.ir.kernel import Kernel


class Target(Protocol):
    """A place where kernels run."""

    def compile_kernel(self, kernel: Kernel) -> int:
        """Address of the kernel's entry point (`void kernel(i64 lo, i64 hi, ptr args, ptr table)`)."""
        ...
