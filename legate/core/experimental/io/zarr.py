"""Zarr folders of stores, written in format 3, not compressed, and read whatever the zarr library can read.

With several ranks all of them call these functions, and each writes whole chunks. Needs zarr 3 (`pip install 'legate-
jit[io]'`): ImportError without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from operator import index as as_int
from typing import Any

from legate.core._files import new, path_of, shards_of
from legate.core._interface import as_logical_store
from legate.core._store import LogicalStore
from legate_jit.files import zarrs

__all__ = ["read_array", "write_array"]


def write_array(ary: Any, dirpath: Any, chunks: int | Sequence[int] | None = None) -> None:
    """Write a store to a folder, which takes the place of `dirpath` when it is complete.

    chunks: the shape of each chunk, or its extent along every axis; None: as the store is dealt out over the ranks, in chunks
    of at most 64 MiB. ValueError for chunks that do not fit and for elements that Zarr does not know.
    """
    store = as_logical_store(ary)
    if store._type is not None:
        raise ValueError(f"unsupported Zarr datatype {store.type}")
    if chunks is not None and not isinstance(chunks, int):
        chunks = tuple(as_int(c) for c in chunks)
    zarrs.write(path_of(dirpath), shards_of(store), chunks)


def read_array(dirpath: Any) -> LogicalStore:
    """A store with the contents of a Zarr array. FileNotFoundError; ValueError for elements that are no numbers."""
    return new(zarrs.read(path_of(dirpath)))
