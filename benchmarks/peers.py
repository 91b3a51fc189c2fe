"""The packages that run a kernel: how each takes the data, runs the code and says that it has finished.

A peer is only imported when it is asked for. One that cannot run a kernel returns None (it has no version of it) or
raises at the first call, which the report shows as a failure of that peer.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy

from benchmarks.suite import Data, Kernel, Result

Call = Callable[[], Result]  # runs the kernel once; returns when the result has been computed
Prepare = Callable[[Kernel, Data], Call | None]

OURS = "cupynumeric"


@dataclass(frozen=True)
class Peer:
    """A way to run kernels: its name on the command line, the module it needs, and what makes a call."""

    name: str
    module: str
    prepare: Prepare

    @property
    def available(self) -> bool:
        return importlib.util.find_spec(self.module) is not None


def converted(data: Data, to_array: Callable[[Any], Any]) -> Data:
    """The data with its NumPy arrays handed to `to_array`."""
    return tuple(to_array(each) if isinstance(each, numpy.ndarray) else each for each in data)


def own_version(module: str, kernel: Kernel) -> Callable[..., Result] | None:
    """The function named like the kernel in a module of rewritten kernels, if there is one."""
    full = f"benchmarks.by_hand.{module}"
    if importlib.util.find_spec(full) is None:
        return None
    found: Callable[..., Result] | None = getattr(importlib.import_module(full), kernel.name, None)
    return found


def with_numpy(kernel: Kernel, data: Data) -> Call | None:
    """Plain NumPy."""
    return lambda: kernel.run(numpy, *data)


def with_ours(kernel: Kernel, data: Data) -> Call | None:
    """The same code under cupynumeric; a fence ends each call."""
    import cupynumeric
    import legate

    arrays = converted(data, cupynumeric.array)
    legate.fence()

    def call() -> Result:
        result = kernel.run(cupynumeric, *arrays)
        legate.fence()
        return result

    return call


def with_numba(kernel: Kernel, data: Data) -> Call | None:
    """The loops written by hand."""
    function = own_version(kernel.family, kernel)
    return None if function is None else lambda: function(*data)


def with_numexpr(kernel: Kernel, data: Data) -> Call | None:
    """The kernel as expression strings."""
    function = own_version("with_numexpr", kernel)
    return None if function is None else lambda: function(*data)


def with_jax(kernel: Kernel, data: Data) -> Call | None:
    """The same code traced by jax.jit, or its functional rewrite where it assigns into arrays."""
    import jax

    jax.config.update("jax_enable_x64", True)
    function = own_version("with_jax", kernel)
    if function is None and not kernel.pure:
        return None
    program = function or (lambda *arrays: kernel.run(jax.numpy, *arrays))
    arrays = converted(data, jax.numpy.asarray)
    compiled = (
        program if kernel.name in {"compress", "unique"} else jax.jit(program)
    )  # shapes that depend on values
    return lambda: jax.block_until_ready(compiled(*arrays))


def with_torch(kernel: Kernel, data: Data) -> Call | None:
    """The same code, eagerly, on PyTorch's NumPy namespace."""
    if kernel.name == "channel_flow":
        return None
    tnp = importlib.import_module("torch._numpy")
    arrays = converted(data, tnp.asarray)
    return lambda: kernel.run(tnp, *arrays)


def with_torch_compile(kernel: Kernel, data: Data) -> Call | None:
    """The same code through torch.compile, which understands NumPy programs."""
    if kernel.name == "channel_flow":
        return None
    import torch

    # torch.compile looks for this namespace as a module, which it is no more: every kernel would fail
    sys.modules.setdefault("numpy.emath", numpy.emath)
    compiled: Callable[..., Result] = torch.compile(lambda *arrays: kernel.run(numpy, *arrays))
    return lambda: compiled(*data)


PEERS: dict[str, Peer] = {
    peer.name: peer
    for peer in (
        Peer("numpy", "numpy", with_numpy),
        Peer(OURS, OURS, with_ours),
        Peer("numba", "numba", with_numba),
        Peer("numexpr", "numexpr", with_numexpr),
        Peer("jax", "jax", with_jax),
        Peer("torch", "torch", with_torch),
        Peer("compile", "torch", with_torch_compile),
    )
}
