"""HDF5 files of stores. With several ranks all of them call these functions, and each reads and writes its own part.

Needs h5py (`pip install 'legate-jit[io]'`): ImportError without it.
"""

from __future__ import annotations

import itertools
from collections.abc import Generator, Sequence
from operator import index as as_int
from typing import Any

from legate.core._files import new, path_of, shards_of
from legate.core._interface import as_logical_store
from legate.core._store import LogicalStore
from legate_jit.files import hdf5
from legate_jit.files.hdf5 import MissingDatasetError

__all__ = ["MissingDatasetError", "from_file", "from_file_batched", "to_file"]


def to_file(array: Any, path: Any, dataset_name: str) -> None:
    """Write a store, or an object with the data interface (an array of cupynumeric), to the one dataset of a new HDF5 file.

    A file at `path` is replaced, when the new one is complete; missing folders are made. The file is there when the call
    returns. ValueError for an unbound store, for a folder's path and for an empty name.
    """
    store = as_logical_store(array)
    shards = shards_of(store)
    if store._type is not None:
        raise ValueError(f"unsupported HDF5 datatype {store.type}")
    hdf5.write(path_of(path), dataset_name, shards)


def from_file(path: Any, dataset_name: str) -> LogicalStore:
    """A new store with the contents of a dataset, given by its full name.

    FileNotFoundError; MissingDatasetError (a KeyError and a ValueError) if there is no such dataset; OSError for what is no
    HDF5 file; ValueError for elements that are no numbers.
    """
    name = path_of(path)
    shape, dtype = hdf5.describe(name, dataset_name)
    return new(hdf5.read(name, dataset_name, tuple((0, n) for n in shape), dtype))


def from_file_batched(
    path: Any, dataset_name: str, chunk_size: Sequence[int]
) -> Generator[tuple[LogicalStore, tuple[int, ...]], None, None]:
    """The chunks of a dataset one by one, in C order, each as a store with its offsets in the dataset. Chunks at the ends are
    smaller.

    A chunk is read when it is asked for. Errors as of `from_file`, and ValueError for a chunk size that is not positive or
    that has not one extent per axis of the dataset, come with the first chunk.
    """
    chunk = tuple(as_int(n) for n in chunk_size)
    if any(n <= 0 for n in chunk):
        raise ValueError(f"Invalid chunk size ({chunk}), must be >0")
    name = path_of(path)
    shape, dtype = hdf5.describe(name, dataset_name)
    if len(shape) != len(chunk):
        raise ValueError(
            f"Dimensions of chunks ({len(chunk)}) must match dimension of dataset ({len(shape)})."
        )
    for offsets in itertools.product(*(range(0, n, c) for n, c in zip(shape, chunk, strict=True))):
        region = tuple((at, min(at + c, n)) for at, c, n in zip(offsets, chunk, shape, strict=True))
        yield new(hdf5.read(name, dataset_name, region, dtype)), offsets
