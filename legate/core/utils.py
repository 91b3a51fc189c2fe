"""Small public helpers: a set that keeps its order, and annotations of blocks of code.

Knows nothing of Legate's objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, MutableSet
from typing import Any, TypeVar

__all__ = ["Annotation", "OrderedSet"]

T = TypeVar("T")


class OrderedSet(MutableSet[T]):
    """A set that iterates in the order in which elements were added."""

    __slots__ = ("_members",)

    def __init__(self, copy_from: Iterable[T] | None = None) -> None:
        self._members: dict[T, None] = dict.fromkeys(() if copy_from is None else copy_from)

    def add(self, value: T) -> None:
        """Add an element at the end, unless it is there."""
        self._members.setdefault(value)

    def update(self, other: Iterable[T]) -> None:
        """Add several."""
        for value in other:
            self._members.setdefault(value)

    def discard(self, value: T) -> None:
        """Remove an element if it is there."""
        self._members.pop(value, None)

    def remove_all(self, other: Iterable[T]) -> OrderedSet[T]:
        """The elements that are not in `other`, as a new set."""
        out = set(other)
        return OrderedSet(value for value in self._members if value not in out)

    def __contains__(self, value: object) -> bool:
        return value in self._members

    def __iter__(self) -> Iterator[T]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __repr__(self) -> str:
        return f"OrderedSet({list(self._members)})"


class Annotation:
    """A `with` block with key-value pairs attached, for programs that have such blocks; nothing reads the pairs."""

    __slots__ = ("_pairs",)

    def __init__(self, pairs: Mapping[Any, Any]) -> None:
        self._pairs = pairs

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exception: Any) -> None:
        return None
