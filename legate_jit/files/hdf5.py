"""HDF5: datasets written and read by parts, without an HDF5 library that knows of ranks.

Rank 0 makes a file with one dataset whose elements lie together, and says where; then all ranks write theirs there. Reading
goes through h5py, each rank its hyperslab, so that chunks, filters and virtual datasets are whatever h5py can do. Importing
this needs h5py.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from legate_jit.files import contiguous
from legate_jit.files.shards import Shards, from_first, make, run, run_writing, same, typed, within
from legate_jit.ir import dtypes
from legate_jit.ir.ranks import layout
from legate_jit.ir.ranks.layout import Box
from legate_jit.store import Store

if TYPE_CHECKING:
    from legate_jit.comm.base import Comm

try:
    import h5py
except ImportError as error:
    raise ImportError("HDF5 files need h5py: pip install 'legate-jit[io]'") from error

__all__ = ["MissingDatasetError", "describe", "read", "write"]


class MissingDatasetError(KeyError, ValueError):
    """There is no dataset of that name in the file."""

    def __str__(self) -> str:
        return str(self.args[0])


def write(path: str, name: str, shards: Shards) -> None:
    """Make a file with the one dataset `name`, the array; it takes the place of what was at `path`. Missing folders are made.
    ValueError for a path that is a folder's and for a name that cannot be."""

    def prepare() -> None:
        if os.path.isdir(path) or not os.path.basename(path):
            raise ValueError(f"Not the name of a file: {path!r}")
        if not name.strip("/"):
            raise ValueError(f"Not the name of a dataset: {name!r}")
        os.makedirs(os.path.dirname(os.path.abspath(path)), exist_ok=True)

    def begin(temporary: str) -> int:
        with h5py.File(temporary, "x") as file:
            space = h5py.h5s.create_simple(shards.shape) if shards.shape else h5py.h5s.create(h5py.h5s.SCALAR)
            how = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            how.set_layout(h5py.h5d.CONTIGUOUS)
            how.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
            how.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
            links = h5py.h5p.create(h5py.h5p.LINK_CREATE)
            links.set_create_intermediate_group(True)
            links.set_char_encoding(h5py.h5t.CSET_UTF8)
            kind = h5py.h5t.py_create(shards.dtype, logical=True)
            made = h5py.h5d.create(file.id, name.encode(), kind, space, how, links)
            return made.get_offset() or 0  # none of an array without elements

    run_writing(lambda comm: from_first(comm, prepare))
    contiguous.write(path, shards, begin, name)


def describe(path: str, name: str) -> tuple[tuple[int, ...], np.dtype]:
    """Extents and dtype of a dataset, the same on all ranks. FileNotFoundError, MissingDatasetError; OSError for what is no
    HDF5 file; ValueError for elements that are no numbers."""

    def found() -> tuple[tuple[int, ...], np.dtype]:
        os.stat(path)
        with h5py.File(path, "r") as file:
            dataset = file.get(name) if name else None
            if not isinstance(dataset, h5py.Dataset):
                raise MissingDatasetError(f"Dataset '{name}' does not exist in {path}")
            dtype = dataset.dtype.newbyteorder("=")
            if dataset.shape is None or not dtypes.is_supported(dtype):
                raise ValueError(f"unsupported HDF5 datatype {dataset.dtype} of dataset '{name}' in {path}")
            return dataset.shape, dtypes.canonical(dtype)

    def program(comm: Comm) -> tuple[tuple[int, ...], np.dtype]:
        same(comm, path, name)
        return from_first(comm, found)

    return run(program)


def read(path: str, name: str, region: Box, dtype: np.dtype) -> Store:
    """What lies in a region of a dataset."""

    def fill(box: Box, memory: np.ndarray) -> None:
        if not memory.size:
            return
        with h5py.File(path, "r") as file:
            dataset = file[name]
            if not memory.ndim:
                memory[...] = dataset[()]
                return
            part = tuple((at + lo, at + hi) for (lo, hi), (at, _) in zip(box, region, strict=True))
            dataset.read_direct(memory, within(part))

    return make(typed(layout.extents(region), dtype), fill)
