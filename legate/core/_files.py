"""Stores and files: what the I/O modules have in common. Knows stores and the engine's shards, no formats."""

from __future__ import annotations

import os
from typing import Any

from legate.core._store import LogicalStore, Root, carrier_type, fixed_dtype
from legate.core.types import Type
from legate_jit import runtime
from legate_jit.files.shards import Shards, of_store
from legate_jit.ir import dtypes
from legate_jit.ir.node import ArrayType
from legate_jit.store import Store
from legate_jit.strides import shown

__all__ = ["new", "path_of", "raw_type", "shards_of"]


def shards_of(store: LogicalStore) -> Shards:
    """The elements of a store as they are now, in the engine's types. ValueError for unbound stores."""
    base, lens = store._bound(), store._lens
    return of_store(base, lens, lambda: shown(runtime.host(base), lens))


def new(store: Store, type_: Any = None) -> LogicalStore:
    """A store of the program on one of the engine's; `type_` if its elements are carried."""
    return LogicalStore._wrap(store, None, type_, Root())


def path_of(path: Any) -> str:
    """A file's name. TypeError for what is none."""
    name = os.fspath(path)
    if not isinstance(name, str):
        raise TypeError(f"expected a path, got {type(path)}")
    return name


def raw_type(type_: Type, shape: tuple[int, ...]) -> tuple[ArrayType, Type | None]:
    """The engine's type of a store, and the type that the store has to remember, if the engine does not know it.

    TypeError for what is no type, ValueError for types whose elements differ in size.
    """
    if not isinstance(type_, Type):
        raise TypeError(f"expected a Legate type, got {type(type_)}")
    element = fixed_dtype(type_)
    plain = dtypes.is_supported(element) and type_.is_primitive
    return carrier_type(element, shape), None if plain else type_
