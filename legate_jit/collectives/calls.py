"""The collectives that calls of a window become: how the parts of each lie, and which algorithm computes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from legate_jit.backends.calls import blas, library
from legate_jit.collectives import gathers, halos, implementation, products, transforms
from legate_jit.collectives.indices import counted
from legate_jit.comm.base import Comm
from legate_jit.ir.ranks.exchanges import Collective


@implementation("fft")
def _fft(comm: Comm, parts: Sequence[np.ndarray], outs: Sequence[np.ndarray], what: Collective) -> None:
    """In the precision of the result from the start, so that libraries do not choose differently on different ranks."""
    (source,), out = what.operands, outs[0]
    precision = np.result_type(np.empty(0, what.dtype).real.dtype, *("c8",) * (parts[0].dtype.kind == "c"))
    boxes, wanted = (tuple(how.box(k) for k in range(comm.size)) for how in (source, what.result))
    part = parts[0].astype(precision, copy=False)
    options = dict(what.options)
    out[...] = transforms.transform(comm, part, source.shape, boxes, wanted, options, _transformed)


def _transformed(name: str, x: np.ndarray, n: int, axis: int, norm: Any) -> np.ndarray:
    return library.transformed(x, name, {"n": n, "axis": axis, "norm": norm})


@implementation("take")
def _take(comm: Comm, parts: Sequence[np.ndarray], outs: Sequence[np.ndarray], what: Collective) -> None:
    """Rows of a table that is cut along option `axis`, by indices in range that may count from its end."""
    (table, indices), (of_table, of_indices), (out,) = parts, what.operands, outs
    axis = int(dict(what.options)["axis"])
    span, spread = of_table.spans[axis], indices.ndim
    edges = [span.edge(k) for k in range(comm.size + 1)]
    part = np.moveaxis(table, axis, 0)
    cut = what.result.cut_axes()[0] - axis if what.result.cut_axes() else 0
    goal = what.result.spans[axis : axis + spread]
    if of_indices.grid and of_indices.spans[cut].edges() != goal[cut].edges():
        source = [of_indices.box(k) for k in range(comm.size)]
        wanted = [what.result.box(k)[axis : axis + spread] for k in range(comm.size)]
        indices = comm.fetch(np.ascontiguousarray(indices), source, wanted)
    lines = np.moveaxis(indices, cut, 0)
    where = counted(lines.reshape(-1).astype(np.int64, copy=False), span.extent)
    if of_indices.grid:
        rows = gathers.gather(comm, part, edges, where)
    elif what.result.grid:
        inner = where.size // max(len(lines), 1)
        rows = gathers.gather_known(comm, part, edges, where, [edge * inner for edge in goal[cut].edges()])
    else:
        rows = gathers.gather_same(comm, part, edges, where)
    shape = (goal[cut].extent if not what.result.grid else out.shape[axis + cut], *lines.shape[1:])
    found = rows.reshape((*shape, *part.shape[1:]))
    at = [axis + d for d in (cut, *(d for d in range(spread) if d != cut))]
    rest = [d for d in range(out.ndim) if d not in at]
    out[...] = found.transpose(np.argsort((*at, *rest)))


@implementation("matmul")
def _matmul(comm: Comm, parts: Sequence[np.ndarray], outs: Sequence[np.ndarray], what: Collective) -> None:
    a, b = (part.astype(what.dtype, copy=False) for part in parts)
    of_a, of_b = what.operands
    products.multiply(comm, a, b, (of_a, of_b, what.result), outs[0], blas.matmul)


@implementation("convolve")
def _convolve(comm: Comm, parts: Sequence[np.ndarray], outs: Sequence[np.ndarray], what: Collective) -> None:
    long, short = (0, 1) if what.operands[0].grid else (1, 0)
    pattern = halos.sliding(what, comm.size)
    halos.convolve(comm, parts[long], parts[short], pattern, outs[0], _whole_convolution)


@implementation("correlate")
def _correlate(comm: Comm, parts: Sequence[np.ndarray], outs: Sequence[np.ndarray], what: Collective) -> None:
    pattern = halos.sliding(what, comm.size)
    halos.convolve(comm, parts[0], parts[1][::-1].conj(), pattern, outs[0], _whole_convolution)


def _whole_convolution(x: np.ndarray, v: np.ndarray, out: np.ndarray) -> None:
    library.TABLE["convolve"]((x, v), (out,), {"mode": "full"})
