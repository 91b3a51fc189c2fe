"""Matrix products over ranks: every rank's part of the result stays where it is, panels of the operands come by.

For operands whose panels (the rows of the first, the columns of the second that a rank needs) are much larger than what a rank
has of them: they are fetched in steps along the axis summed over, so that no rank ever holds a panel. Knows messages and arrays
only.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from legate_jit.comm import Comm
from legate_jit.exchange import Box, extents, volume

__all__ = ["depth", "multiply"]

#: sums of fewer products than this are not worth a step
_SHORT = 64

Product = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


def depth(held: Sequence[Sequence[Box]], lines: int) -> int:
    """Products that are summed in a step: slices of panels of so many `lines` are as large as what a rank has of the operands."""
    shares = sum(max(map(volume, boxes)) for boxes in held)
    return max(_SHORT, shares // max(lines, 1))


def multiply(
    comm: Comm,
    a: np.ndarray,
    b: np.ndarray,
    lying: tuple[Sequence[Box], Sequence[Box], Sequence[Box]],
    out: np.ndarray,
    product: Product,
) -> None:
    """This rank's box of a @ b, into `out`, of the boxes it has of both operands.

    lying: the boxes of a, b and the result on all ranks. product(x, y, out): writes x @ y. Sums are taken step by step.
    """
    of_a, of_b, result = lying
    inner = max(columns[1] for _, columns in of_a)
    near_a = all(_within(rows, (0, inner), box) for (rows, _), box in zip(result, of_a, strict=True))
    near_b = all(_within((0, inner), columns, box) for (_, columns), box in zip(result, of_b, strict=True))
    fetched = [(of, k) for k, (of, near) in enumerate(((of_a, near_a), (of_b, near_b))) if not near]
    lines = max(sum(extents(box)[k] for _, k in fetched) for box in result)
    step = depth([of for of, _ in fetched], lines) if fetched else inner
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    partial = np.empty_like(out) if inner > step else out
    for lo in range(0, inner, step):
        hi = min(lo + step, inner)
        x = a[:, lo:hi] if near_a else comm.fetch(a, of_a, [(rows, (lo, hi)) for rows, _ in result])
        y = b[lo:hi] if near_b else comm.fetch(b, of_b, [((lo, hi), columns) for _, columns in result])
        target = out if not lo else partial
        if target.size:
            product(x, y, target)
        if lo:
            out += partial


def _within(rows: tuple[int, int], columns: tuple[int, int], box: Box) -> bool:
    """Whether a box is exactly these rows and columns, or they are none."""
    return rows[0] == rows[1] or columns[0] == columns[1] or box == (rows, columns)
