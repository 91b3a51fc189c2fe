"""Stand-in until the solver is here."""
from __future__ import annotations
from typing import NamedTuple
import math
Box = tuple[tuple[int, int], ...]
class Align(NamedTuple):
    first: int
    second: int
class Broadcast(NamedTuple):
    operand: int
    axes: tuple[int, ...] | None = None
Constraint = Align | Broadcast
class Operand(NamedTuple):
    shape: tuple[int, ...]
    role: str = "input"
class Partition(NamedTuple):
    launch: tuple[int, ...]
    shapes: tuple
    cuts: tuple
    images: tuple = ()
    def points(self):
        return iter([(i,) for i in range(self.launch[0])] if self.launch else [()])
    def box(self, k, point):
        s = self.shapes[k]
        if not self.launch or not s or not self.cuts[k]: return tuple((0, n) for n in s)
        t = -(-s[0] // self.launch[0])
        return ((min(s[0], t*point[0]), min(s[0], t*(point[0]+1))), *((0, n) for n in s[1:]))
def solve(operands, constraints, pieces, threshold=1, keep={}):
    b = {c.operand for c in constraints if isinstance(c, Broadcast) and (c.axes is None or 0 in c.axes)}
    n = max((o.shape[0] for k, o in enumerate(operands) if o.shape and k not in b), default=1)
    launch = (min(n, pieces),) if n > 1 and pieces > 1 else ()
    return Partition(launch, tuple(o.shape for o in operands), tuple(k not in b for k in range(len(operands))))
def image_box(values, shape, hint): raise NotImplementedError
