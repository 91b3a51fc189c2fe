"""Matrix products over ranks: every rank's part of the result stays where it is, panels of the operands come by.

For operands whose panels (the rows of the first, the columns of the second that a rank needs) are much larger than what a rank
has of them: they are fetched in steps along the axis summed over, so that no rank ever holds a panel. Knows messages, layouts and
arrays only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from legate_jit.comm.base import Comm
from legate_jit.ir.index import Affine
from legate_jit.ir.ranks import layout
from legate_jit.ir.ranks.layout import Layout, Need, Window
from legate_jit.ir.ranks.neighbors import Between

__all__ = ["depth", "multiply"]

#: sums of fewer products than this are not worth a step
_SHORT = 64

Product = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


def depth(held: Sequence[Layout], lines: int, ranks: int) -> int:
    """Products that are summed in a step: slices of panels of so many `lines` are as large as what a rank has of the operands."""
    shares = sum(max(layout.size(of.box(k)) for k in layout.samples(ranks)[0]) for of in held)
    return max(_SHORT, shares // max(lines, 1))


def multiply(
    comm: Comm,
    a: np.ndarray,
    b: np.ndarray,
    lying: tuple[Layout, Layout, Layout],
    out: np.ndarray,
    product: Product,
) -> None:
    """This rank's box of a @ b, into `out`, of the boxes it has of both operands.

    lying: how a, b and the result lie. product(x, y, out): writes x @ y. Sums are taken step by step.
    """
    of_a, of_b, result = lying
    inner = of_a.shape[1]
    rows, columns = _panels(result, (0, -1), of_a), _panels(result, (-1, 1), of_b)
    fetched = [(of, k) for k, (of, panels) in enumerate(((of_a, rows), (of_b, columns))) if of != panels]
    some = [layout.extents(result.box(k)) for k in layout.samples(comm.size)[0]]
    lines = max(sum(extents[k] for _, k in fetched) for extents in some)
    step = depth([of for of, _ in fetched], lines, comm.size) if fetched else inner
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    partial = np.empty_like(out) if inner > step else out
    for lo in range(0, inner, step):
        hi = min(lo + step, inner)
        x = a[:, lo:hi] if of_a == rows else comm.moved(a, _slices(of_a, rows, 1, lo, hi, comm.size))
        y = b[lo:hi] if of_b == columns else comm.moved(b, _slices(of_b, columns, 0, lo, hi, comm.size))
        target = out if not lo else partial
        if target.size:
            product(x, y, target)
        if lo:
            out += partial


def _panels(result: Layout, axes: tuple[int, int], of: Layout) -> Layout:
    """How an operand would lie if every rank had all that it needs of it."""
    return result.picked(axes, of.shape, lossy=True) or layout.replicated(of.shape)


def _slices(of: Layout, panels: Layout, axis: int, lo: int, hi: int, ranks: int) -> Between:
    """Every rank gets the positions lo .. hi of its panel along an axis that is not cut."""
    shape = (of.shape[0], hi - lo) if axis else (hi - lo, of.shape[1])
    view = Affine(shape, ((0 if axis else lo, 1, 0), (lo if axis else 0, 1, 1)))
    seen = panels.sliced(view)
    assert seen is not None
    return Between(of, Window((Need(seen, view),)), ranks)
