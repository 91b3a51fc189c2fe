"""Index spaces: shapes, points, domains, orderings of dimensions, and projections of a launch index.

Values only; knows no stores.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterable, Iterator
from enum import IntEnum, unique
from math import prod
from typing import Any, NamedTuple, NewType, TypeAlias

__all__ = [
    "DimOrdering",
    "DimOrderingKind",
    "Domain",
    "DomainPoint",
    "GlobalRedopID",
    "GlobalTaskID",
    "LocalRedopID",
    "LocalTaskID",
    "Shape",
    "SymbolicExpr",
    "constant",
    "dimension",
]

LocalTaskID = NewType("LocalTaskID", int)
GlobalTaskID = NewType("GlobalTaskID", int)
LocalRedopID = NewType("LocalRedopID", int)
GlobalRedopID = NewType("GlobalRedopID", int)

#: a point is a plain tuple; calling it makes one from any iterable
DomainPoint: TypeAlias = tuple[int, ...]


class Domain(NamedTuple):
    """A box of points: both corners are inside."""

    lo: DomainPoint = (0,)
    hi: DomainPoint = (0,)

    @property
    def dim(self) -> int:
        """Number of dimensions."""
        return len(self.lo)


class Shape:
    """Extents of an array. Of an unbound store they are known once somebody asks, which waits for the task that fills it."""

    __slots__ = ("_extents", "_ndim", "_find")

    _extents: tuple[int, ...] | None
    _find: Callable[[], tuple[int, ...]] | None

    def __init__(self, obj: Shape | Iterable[int]) -> None:
        self._extents = obj.extents if isinstance(obj, Shape) else _extents(obj)
        self._ndim, self._find = len(self._extents), None

    @classmethod
    def _later(cls, ndim: int, find: Callable[[], tuple[int, ...]]) -> Shape:
        """The shape of an unbound store: `find` waits for it."""
        self = object.__new__(cls)
        self._extents, self._ndim, self._find = None, ndim, find
        return self

    @property
    def extents(self) -> tuple[int, ...]:
        """The extents."""
        if self._extents is None:
            assert self._find is not None
            self._extents, self._find = self._find(), None
        return self._extents

    @property
    def volume(self) -> int:
        """Number of elements."""
        return prod(self.extents)

    @property
    def ndim(self) -> int:
        """Number of dimensions; never waits."""
        return self._ndim

    def __getitem__(self, idx: int) -> int:
        return self.extents[operator.index(idx)]

    def __len__(self) -> int:
        return self._ndim

    def __iter__(self) -> Iterator[int]:
        return iter(self.extents)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Shape):
            return self.extents == other.extents
        if not isinstance(other, Collection):
            return NotImplemented
        return self.extents == tuple(other)

    def __hash__(self) -> int:
        return hash(self.extents)

    def __repr__(self) -> str:
        if self._extents is None:
            return f"Shape(unbound {self._ndim}D)"
        return f"Shape {list(self._extents)}"

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        """The extents as an array, so that NumPy's functions take a Shape where they take a tuple."""
        import numpy as np

        return np.array(self.extents, dtype)


def _extents(obj: Any) -> tuple[int, ...]:
    if isinstance(obj, str) or not isinstance(obj, Iterable):
        raise ValueError(f"Expected an iterable but got {type(obj)}")
    try:
        extents = tuple(operator.index(n) for n in obj)
    except TypeError as error:
        raise TypeError(f"an integer is required: {error}") from None
    if any(n < 0 for n in extents):
        raise OverflowError("can't convert negative value to size_t")
    return extents


@unique
class DimOrderingKind(IntEnum):
    """A family of orderings."""

    C = 1
    FORTRAN = 2
    CUSTOM = 3


class DimOrdering:
    """In which order dimensions lie in memory. `DimOrdering()` is C order."""

    __slots__ = ("_kind", "_dims")

    def __init__(self) -> None:
        self._kind, self._dims = DimOrderingKind.C, ()

    _kind: DimOrderingKind
    _dims: tuple[int, ...]

    Kind = DimOrderingKind

    @classmethod
    def _make(cls, kind: DimOrderingKind, dims: tuple[int, ...] = ()) -> DimOrdering:
        self = object.__new__(cls)
        self._kind, self._dims = kind, dims
        return self

    @staticmethod
    def c_order() -> DimOrdering:
        """The last dimension is contiguous."""
        return DimOrdering._make(DimOrderingKind.C)

    @staticmethod
    def fortran_order() -> DimOrdering:
        """The first dimension is contiguous."""
        return DimOrdering._make(DimOrderingKind.FORTRAN)

    @staticmethod
    def custom_order(dims: Iterable[int]) -> DimOrdering:
        """Dimensions from the contiguous one on. ValueError unless each dimension is named once."""
        order = tuple(operator.index(d) for d in dims)
        if sorted(order) != list(range(len(order))):
            raise ValueError(f"a dimension ordering names each dimension once, not {order}")
        return DimOrdering._make(DimOrderingKind.CUSTOM, order)

    @property
    def kind(self) -> DimOrderingKind:
        """The family it belongs to."""
        return self._kind

    def dimensions(self, ndim: int) -> tuple[int, ...]:
        """Dimensions from the contiguous one on, of an array of `ndim`. ValueError for a custom order of another number."""
        if self._kind is DimOrderingKind.CUSTOM:
            if len(self._dims) != ndim:
                raise ValueError(
                    f"an ordering of {len(self._dims)} dimensions does not fit an array of {ndim}"
                )
            return self._dims
        return tuple(range(ndim)) if self._kind is DimOrderingKind.FORTRAN else tuple(reversed(range(ndim)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, DimOrdering):
            return NotImplemented
        return self._kind is other._kind and self._dims == other._dims

    def __hash__(self) -> int:
        return hash((self._kind, self._dims))

    def __repr__(self) -> str:
        return f"DimOrdering({self._kind.name}{', ' + str(self._dims) if self._dims else ''})"


class SymbolicExpr:
    """`weight` x (coordinate `dim` of a launch index) + `offset`; a constant has dimension -1 and weight 0.

    Made by `dimension` and `constant`.
    """

    __slots__ = ("_dim", "_weight", "_offset")

    _dim: int
    _weight: int
    _offset: int

    def __init__(self, *_: object) -> None:
        raise ValueError(f"{type(self).__name__} objects must not be constructed directly")

    @classmethod
    def _make(cls, dim: int, weight: int, offset: int) -> SymbolicExpr:
        self = object.__new__(cls)
        self._dim, self._weight, self._offset = dim, weight, offset
        return self

    @property
    def dim(self) -> int:
        """The coordinate; -1 for a constant."""
        return self._dim

    @property
    def weight(self) -> int:
        """What it is multiplied by."""
        return self._weight

    @property
    def offset(self) -> int:
        """What is added."""
        return self._offset

    def is_identity(self, dim: int) -> bool:
        """Whether it is just coordinate `dim`."""
        return self._dim == dim and self._weight == 1 and self._offset == 0

    def __mul__(self, other: int) -> SymbolicExpr:
        factor = operator.index(other)
        return SymbolicExpr._make(self._dim, self._weight * factor, self._offset * factor)

    __rmul__ = __mul__

    def __add__(self, other: int) -> SymbolicExpr:
        return SymbolicExpr._make(self._dim, self._weight, self._offset + operator.index(other))

    __radd__ = __add__

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, SymbolicExpr):
            return NotImplemented
        return (self._dim, self._weight, self._offset) == (other._dim, other._weight, other._offset)

    def __hash__(self) -> int:
        return hash((self._dim, self._weight, self._offset))

    def __repr__(self) -> str:
        if not self._weight:
            return f"{self._offset}"
        scaled = f"COORD{self._dim}" if self._weight == 1 else f"{self._weight} * COORD{self._dim}"
        return f"{scaled} + {self._offset}" if self._offset else scaled


def dimension(dim: int) -> SymbolicExpr:
    """Coordinate `dim` of the launch index."""
    return SymbolicExpr._make(operator.index(dim), 1, 0)


def constant(value: int) -> SymbolicExpr:
    """The same coordinate for every point."""
    return SymbolicExpr._make(-1, 0, operator.index(value))
