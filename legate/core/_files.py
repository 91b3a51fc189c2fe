"""Stores and files: what the I/O modules have in common. Knows stores and the engine's shards, no formats."""

from __future__ import annotations

import os
from typing import Any

from legate.core._physical import _seen
from legate.core._store import LogicalStore, Root
from legate_jit import runtime
from legate_jit.files.shards import Shards, of_store
from legate_jit.store import Store

__all__ = ["new", "path_of", "shards_of"]


def shards_of(store: LogicalStore) -> Shards:
    """The elements of a store as they are now, in the engine's types. ValueError for unbound stores."""
    base, lens = store._bound(), store._lens
    return of_store(base, lens, lambda: _seen(runtime.host(base), lens))


def new(store: Store, type_: Any = None) -> LogicalStore:
    """A store of the program on one of the engine's; `type_` if its elements are carried."""
    return LogicalStore._wrap(store, None, type_, Root())


def path_of(path: Any) -> str:
    """A file's name. TypeError for what is none."""
    name = os.fspath(path)
    if not isinstance(name, str):
        raise TypeError(f"expected a path, got {type(path)}")
    return name
