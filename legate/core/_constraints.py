"""Partitioning constraints as users write them: on parameter names of a task, or on the partition symbols of an AutoTask.

Each function returns constraints that name their operands; `translate` turns one into the form of the solver
(`legate_jit.ir.tasks.partition`) once the operands have numbers. Knows no stores and no shapes: the solver
judges those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, overload

from legate.core._enums import ImageComputationHint
from legate_jit.ir.tasks import partition

__all__ = [
    "Constraint",
    "DeferredConstraint",
    "Variable",
    "align",
    "bloat",
    "broadcast",
    "image",
    "min_extents",
    "scale",
]


class Variable:
    """The partition of one store of an AutoTask, yet to be decided; made by `add_input` and its kin. Compared by identity."""

    __slots__ = ("_operation", "_number")

    _operation: object
    _number: int

    def __init__(self, *_: object) -> None:
        raise ValueError(f"{type(self).__name__} objects must not be constructed directly")

    @classmethod
    def _make(cls, operation: object, number: int) -> Variable:
        self = object.__new__(cls)
        self._operation, self._number = operation, number
        return self

    def __repr__(self) -> str:
        return f"X{self._number}"


class _Relation:
    """What both forms share: the `kind` of a constraint, its `operands` (names or Variables) and `parameters` (plain data)."""

    __slots__ = ("kind", "operands", "parameters")

    def __init__(self, kind: str, operands: tuple[Any, ...], parameters: tuple[Any, ...] = ()) -> None:
        self.kind, self.operands, self.parameters = kind, operands, parameters

    def __repr__(self) -> str:
        return f"{self.kind}({', '.join(map(repr, (*self.operands, *self.parameters)))})"


class Constraint(_Relation):
    """A constraint on partition symbols of one AutoTask."""

    __slots__ = ()


class DeferredConstraint(_Relation):
    """A constraint on parameters of a task function, by name; it applies to every call."""

    __slots__ = ()

    @property
    def args(self) -> tuple[Any, ...]:
        """The names it constrains, then its other parameters."""
        return (*self.operands, *self.parameters)


def _relate(kind: str, operands: tuple[Any, ...], parameters: tuple[Any, ...] = ()) -> Any:
    """The constraint in the form that fits its operands: all names, or all Variables. TypeError otherwise."""
    form, class_ = (str, DeferredConstraint) if isinstance(operands[0], str) else (Variable, Constraint)
    for o in operands:
        if not isinstance(o, form):
            raise TypeError(type(o))
    return class_(kind, operands, parameters)


def _integers(values: Iterable[int]) -> tuple[int, ...]:
    return tuple(int(v) for v in values)


def align(*variables: Any) -> list[Any]:
    """Cut all of these the same way: pairs of the first and each other one; none when there are fewer than two.

    variables: all parameter names (str) or all `Variable`. TypeError for anything else and for a mixture.
    """
    if len(variables) < 2:
        return []
    first = variables[0]
    other: type
    if isinstance(first, str):
        other, text = Variable, "All variables for alignment must be strings, not variables, have "
    elif isinstance(first, Variable):
        other, text = str, "All variables for alignment must be variables, not strings, have "
    else:
        raise TypeError(type(first))
    for v in variables[1:]:
        if isinstance(v, other):
            raise TypeError(text + str(variables))
        if not isinstance(v, type(first)):
            raise TypeError(type(v))
    return [_relate("align", (first, v)) for v in variables[1:]]


def broadcast(variable: Any, *more: Any) -> list[Any]:
    """Do not cut these: `broadcast(v)`, `broadcast(v, axes)`, `broadcast(v, w, (x, axes), ...)`; other axes stay free.

    ValueError if `axes` is not iterable.
    """
    if len(more) == 1 and not isinstance(more[0], str | Variable) and not _is_pair(more[0]):
        return [_broadcast(variable, more[0])]
    return [_broadcast(*v) if _is_pair(v) else _broadcast(v) for v in (variable, *more)]


def _is_pair(x: object) -> bool:
    return isinstance(x, tuple) and len(x) == 2 and isinstance(x[0], str | Variable)


def _broadcast(variable: Any, axes: Any = ()) -> Any:
    if axes is None:
        axes = ()
    if not isinstance(axes, Iterable):
        raise ValueError("axes must be iterable")
    return _relate("broadcast", (variable,), (_integers(axes),))


def scale(factors: Sequence[int], smaller: Any, bigger: Any) -> Any:
    """Cut `bigger` where `smaller` is cut, times `factors` (one per axis)."""
    return _relate("scale", (smaller, bigger), (_integers(factors),))


def bloat(source: Any, bloated: Any, low_offsets: Sequence[int], high_offsets: Sequence[int]) -> Any:
    """Give each point of `bloated` the part of `source`'s cut and a halo: so many elements more at the ends of each axis."""
    return _relate("bloat", (source, bloated), (_integers(low_offsets), _integers(high_offsets)))


def image(function: Any, image_of: Any, hint: ImageComputationHint = ImageComputationHint.NO_HINT) -> Any:
    """Cut `image_of` by the points or rectangles that `function`'s part holds.

    hint: how the image may be approximated by a rectangle (`MIN_MAX` of all points, or `FIRST_LAST` of sorted ones).
    """
    return _relate("image", (function, image_of), (int(hint),))


def min_extents(variable: Any, extents: Sequence[int]) -> Any:
    """Do not cut smaller than `extents` (one per axis)."""
    return _relate("min_extents", (variable,), (_integers(extents),))


def flatten(constraints: Any) -> Iterator[Any]:
    """The constraints in arbitrarily nested sequences, in order. TypeError for what is neither a constraint nor iterable."""
    for c in constraints:
        if isinstance(c, _Relation):
            yield c
        else:
            yield from flatten(c)


@overload
def translate(relation: _Relation, number: Callable[[Any], int]) -> partition.Constraint: ...
@overload
def translate(relation: _Relation, number: Callable[[Any], int | None]) -> partition.Constraint | None: ...
def translate(relation: _Relation, number: Callable[[Any], int | None]) -> partition.Constraint | None:
    """The solver's form of a constraint; `number` says an operand's number, or None for one that takes no part in this launch
    (then the constraint does not apply either)."""
    numbers = [number(o) for o in relation.operands]
    if None in numbers:
        return None
    at: Any = numbers
    p = relation.parameters
    match relation.kind:
        case "align":
            return partition.Align(at[0], at[1])
        case "broadcast":
            return partition.Broadcast(at[0], p[0] or None)
        case "scale":
            return partition.Scale(p[0], at[0], at[1])
        case "bloat":
            return partition.Bloat(at[0], at[1], p[0], p[1])
        case "image":
            return partition.Image(at[0], at[1], p[0])
        case "min_extents":
            return partition.MinExtents(at[0], p[0])
    raise ValueError(f"Unknown constraint: {relation.kind}")


def check_alignment(relation: Any, unbound: set[Any]) -> None:
    """ValueError for aligning an unbound store with one that has a shape."""
    if relation.kind == "align" and len({o in unbound for o in relation.operands}) > 1:
        raise ValueError("Alignment requires the stores to be all normal or all unbound")
